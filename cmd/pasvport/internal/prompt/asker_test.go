package prompt

import (
	"context"
	"errors"
	"testing"
)

// typist answers with what is next.
type typist struct{ answers []string }

func (p *typist) Secret(ctx context.Context, prompt string) (string, error) {
	if len(p.answers) == 0 {
		return "", errors.New("nobody types")
	}
	answer := p.answers[0]
	p.answers = p.answers[1:]
	return answer, nil
}

func (p *typist) Ask(ctx context.Context, prompt string) (string, error) {
	return p.Secret(ctx, prompt)
}

func attended(by *typist) *Asker {
	a := &Asker{}
	a.Attend(by)
	return a
}

// TestPromptsEndWithTheStart looks that a reconnect asks nobody, and gets what
// was typed last at the start.
func TestPromptsEndWithTheStart(t *testing.T) {
	ctx := t.Context()
	keyboard := &typist{answers: []string{"wrong", "right", "yes", "stray"}}
	p := attended(keyboard)
	for _, want := range []string{"wrong", "right"} {
		if got, err := p.Secret(ctx, "password: "); got != want || err != nil {
			t.Fatalf("got %q, %v; want %q", got, err, want)
		}
	}
	if got, err := p.Ask(ctx, "yes/no? "); got != "yes" || err != nil {
		t.Fatalf("got %q, %v", got, err)
	}
	p.Attend(nil)
	for range 2 { // reconnects
		conn, cancel := context.WithCancel(ctx)
		defer cancel()
		if got, err := p.Secret(conn, "password: "); got != "right" || err != nil {
			t.Errorf("got %q, %v; want what was typed last", got, err)
		}
	}
	if got, err := p.Secret(ctx, "other password: "); err != ErrNobody {
		t.Errorf("got %q, %v", got, err)
	}
	if got, err := p.Ask(ctx, "yes/no? "); err != ErrNobody {
		t.Errorf("got %q, %v", got, err)
	}
	if len(keyboard.answers) != 1 {
		t.Error("the keyboard was read after the start")
	}
}

// TestRefusedAnswerIsNotGivenAgain looks that a reconnect sends a password once, and
// none that was refused.
func TestRefusedAnswerIsNotGivenAgain(t *testing.T) {
	p := attended(&typist{answers: []string{"old"}})
	if _, err := p.Secret(t.Context(), "password: "); err != nil {
		t.Fatal(err)
	}
	p.Attend(nil)
	first, cancel := context.WithCancel(t.Context())
	defer cancel()
	if got, err := p.Secret(first, "password: "); got != "old" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	second, cancel := context.WithCancel(t.Context())
	defer cancel()
	for _, ctx := range []context.Context{first, second} {
		if got, err := p.Secret(ctx, "password: "); err != ErrNobody {
			t.Errorf("got %q, %v after a refusal", got, err)
		}
	}
}

// TestAnswersOfTwoHosts looks that no host gets the password of another that asks in
// the same words.
func TestAnswersOfTwoHosts(t *testing.T) {
	for _, tt := range []struct {
		name  string
		typed []string
		want  string
		err   error
	}{
		{"the same", []string{"both", "both"}, "both", nil},
		{"different", []string{"jump's", "host's"}, "", ErrNobody},
	} {
		p := attended(&typist{answers: tt.typed})
		connect := func() (string, error) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			return p.Secret(ctx, "root@127.0.0.1's password: ")
		}
		for range tt.typed {
			if _, err := connect(); err != nil {
				t.Fatal(err)
			}
		}
		p.Attend(nil)
		for range tt.typed {
			if got, err := connect(); got != tt.want || err != tt.err {
				t.Errorf("%s: got %q, %v", tt.name, got, err)
			}
		}
	}
}

// TestAway looks who is asked when nobody attends, and what of.
func TestAway(t *testing.T) {
	p := attended(&typist{answers: []string{"typed"}})
	p.Away = &typist{answers: []string{"program's", "yes"}}
	if _, err := p.Secret(t.Context(), "password: "); err != nil {
		t.Fatal(err)
	}
	p.Attend(nil)
	conn, cancel := context.WithCancel(t.Context())
	defer cancel()
	for _, want := range []string{"typed", "program's"} { // the first one was refused
		if got, err := p.Secret(conn, "password: "); got != want || err != nil {
			t.Errorf("got %q, %v; want %q", got, err, want)
		}
	}
	if got, err := p.Ask(conn, "yes/no? "); got != "yes" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
}

// dialog is a program that waits for an answer for ever.
type dialog struct{ shown chan struct{} }

func (d dialog) Secret(ctx context.Context, _ string) (string, error) {
	d.shown <- struct{}{}
	<-ctx.Done()
	return "", ctx.Err()
}

func (d dialog) Ask(ctx context.Context, prompt string) (string, error) { return d.Secret(ctx, prompt) }

// TestSomebodyComes has a program leave its question to the person who comes.
func TestSomebodyComes(t *testing.T) {
	d := dialog{make(chan struct{})}
	p := &Asker{Away: d}
	ended := make(chan error)
	go func() {
		_, err := p.Secret(t.Context(), "password: ")
		ended <- err
	}()
	<-d.shown
	go p.Attend(&typist{answers: []string{"typed"}})
	if err := <-ended; !errors.Is(err, ErrNobody) {
		t.Errorf("the question ended with %v", err)
	}
}
