package api

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"testing"
)

// TestPrompts asks one thing after the other.
func TestPrompts(t *testing.T) {
	ids := make(map[string]bool)
	f := &fake{open: func(ctx context.Context, ask Ask) error {
		for n, want := range []Answer{{Text: []byte("hunter2\n\x00\xfc")}, {}, {Refused: true}} {
			a, err := ask(ctx, Prompt{ID: "not this one", Text: fmt.Sprint("question ", n), Secret: n == 0})
			if err != nil || !bytes.Equal(a.Text, want.Text) || a.Refused != want.Refused {
				return fmt.Errorf("answer %d: %+v, %v, want %+v", n, a, err, want)
			}
		}
		return nil
	}}
	client := f.start(t)
	n := 0
	_, err := client.Up(t.Context(), "prod", Opening{Ask: true}, func(_ context.Context, p Prompt) (Answer, error) {
		if p.Text != fmt.Sprint("question ", n) || p.Secret != (n == 0) || len(p.ID) < 26 || ids[p.ID] {
			t.Errorf("asked %+v as question %d", p, n)
		}
		ids[p.ID] = true
		n++
		switch n {
		case 1:
			return Answer{Text: []byte("hunter2\n\x00\xfc")}, nil
		case 2:
			return Answer{}, nil
		}
		return Answer{}, errors.New("Ctrl-C") // which the agent learns as a refusal
	})
	if err != nil || n != 3 {
		t.Errorf("%d questions, %v", n, err)
	}
	for id := range ids { // answered twice
		if status, _ := raw(t, client, "1", "POST", "/v1/prompts/"+id, "{}"); status != http.StatusNotFound {
			t.Errorf("a second answer: %d, want 404", status)
		}
	}
}

// TestPromptsAtOnce asks several things at the same time, of two commands.
func TestPromptsAtOnce(t *testing.T) {
	f := &fake{open: func(ctx context.Context, ask Ask) error {
		var group sync.WaitGroup
		errs := make([]error, 5)
		for n := range errs {
			group.Go(func() {
				a, err := ask(ctx, Prompt{Text: fmt.Sprint(n)})
				if err != nil || string(a.Text) != fmt.Sprint("answer to ", n) {
					errs[n] = fmt.Errorf("question %d: %q, %v", n, a.Text, err)
				}
			})
		}
		group.Wait()
		return errors.Join(errs...)
	}}
	client := f.start(t)
	var group sync.WaitGroup
	for range 2 {
		group.Go(func() {
			_, err := client.Restart(t.Context(), "prod", Opening{Ask: true}, func(_ context.Context, p Prompt) (Answer, error) {
				return Answer{Text: []byte("answer to " + p.Text)}, nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
}

// TestCommandGoes takes the command away while it is asked, and while it waits.
func TestCommandGoes(t *testing.T) {
	for _, asks := range []bool{true, false} {
		ended := make(chan error, 1)
		reached := make(chan struct{}, 1)
		f := &fake{open: func(ctx context.Context, ask Ask) (err error) {
			defer func() { ended <- errors.Join(err, ctx.Err()) }()
			if asks {
				_, err := ask(context.Background(), Prompt{Text: "?"})
				return err
			}
			reached <- struct{}{}
			<-ctx.Done()
			return nil
		}}
		client := f.start(t)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() {
			_, err := client.Up(ctx, "prod", Opening{Ask: asks}, func(asking context.Context, _ Prompt) (Answer, error) {
				reached <- struct{}{}
				<-asking.Done()
				return Answer{}, asking.Err()
			})
			done <- err
		}()
		<-reached
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("asks %v: Up ended with %v", asks, err)
		}
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("asks %v: the agent's attempt ended with %v", asks, err)
		}
	}
}

// TestAskingEnds ends a question on the agent's side; the answer comes too late, and
// the command hears how the opening ends.
func TestAskingEnds(t *testing.T) {
	gone := make(chan struct{})
	asked := make(chan struct{})
	f := &fake{open: func(ctx context.Context, ask Ask) error {
		ctx, cancel := context.WithCancel(ctx)
		go func() {
			<-asked
			cancel()
		}()
		_, err := ask(ctx, Prompt{Text: "?"})
		close(gone)
		if !errors.Is(err, context.Canceled) {
			return err
		}
		return nil
	}}
	client := f.start(t)
	tunnel, err := client.Up(t.Context(), "prod", Opening{Ask: true}, func(context.Context, Prompt) (Answer, error) {
		close(asked)
		<-gone
		return Answer{Text: []byte("too late")}, nil
	})
	if err != nil || tunnel.Name != "prod" {
		t.Errorf("got %+v, %v", tunnel, err)
	}
}

// TestAskedTooLate asks when the command has its answer already.
func TestAskedTooLate(t *testing.T) {
	asks := make(chan Ask, 1)
	f := &fake{open: func(_ context.Context, ask Ask) error {
		asks <- ask
		return nil
	}}
	client := f.start(t)
	if _, err := client.Up(t.Context(), "prod", Opening{Ask: true}, answerNothing); err != nil {
		t.Fatal(err)
	}
	if a, err := (<-asks)(context.Background(), Prompt{Text: "?"}); err == nil {
		t.Errorf("answered %+v", a)
	}
}

// TestAgentDies cuts the stream off.
func TestAgentDies(t *testing.T) {
	client := New(serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		head(w, http.StatusOK)
		http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})))
	tunnel, err := client.Up(t.Context(), "prod", Opening{}, answerNothing)
	if _, refused := errors.AsType[*Error](err); err == nil || refused {
		t.Errorf("got %+v, %v", tunnel, err)
	}
}
