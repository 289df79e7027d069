package main

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

// TestPromptsEndWithTheStart looks that a reconnect asks nobody, and gets what
// was typed last at the start.
func TestPromptsEndWithTheStart(t *testing.T) {
	ctx := t.Context()
	keyboard := &typist{answers: []string{"wrong", "right", "yes", "stray"}}
	p := &prompter{ask: keyboard}
	for _, want := range []string{"wrong", "right"} {
		if got, err := p.Secret(ctx, "password: "); got != want || err != nil {
			t.Fatalf("got %q, %v; want %q", got, err, want)
		}
	}
	if got, err := p.Ask(ctx, "yes/no? "); got != "yes" || err != nil {
		t.Fatalf("got %q, %v", got, err)
	}
	p.close()
	if got, err := p.Secret(ctx, "password: "); got != "right" || err != nil {
		t.Errorf("got %q, %v; want what was typed last", got, err)
	}
	if got, err := p.Secret(ctx, "other password: "); err != errNoPrompt {
		t.Errorf("got %q, %v", got, err)
	}
	if got, err := p.Ask(ctx, "yes/no? "); err != errNoPrompt {
		t.Errorf("got %q, %v", got, err)
	}
	if len(keyboard.answers) != 1 {
		t.Error("the keyboard was read after the start")
	}
}
