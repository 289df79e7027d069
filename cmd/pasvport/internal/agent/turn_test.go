package agent

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pasvport/pasvport/cmd/pasvport/internal/api"
	"github.com/pasvport/pasvport/cmd/pasvport/internal/config"
)

// A person is asked, and answers when the test wants it.
type person chan string

func (p person) Secret(ctx context.Context, _ string) (string, error) {
	select {
	case answer := <-p:
		return answer, nil
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

func (p person) Ask(ctx context.Context, text string) (string, error) { return p.Secret(ctx, text) }

// up has a command open a tunnel, and p asked; it tells what came of it.
func (p person) up(t *testing.T, a *Agent, name string) (ended chan error) {
	ended = make(chan error, 1)
	go func() {
		_, err := a.Up(t.Context(), name, api.Opening{Ask: true}, func(ctx context.Context, _ api.Prompt) (api.Answer, error) {
			text, err := p.Secret(ctx, "")
			return api.Answer{Text: []byte(text)}, err
		})
		ended <- err
	}()
	synctest.Wait()
	return ended
}

func asking(w *world) { w.asks.Store(true) }

// left looks that no line but those of config.toml's autostart is there.
func (w *world) left(t *testing.T, name string, want int) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.open[name] != want {
		t.Errorf("%d lines of %s are open, want %d", w.open[name], name, want)
	}
}

// TestUpBehindOneThatFails looks that the tunnel of a command that waited for another
// is the agent's, and can be closed.
func TestUpBehindOneThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, a := newWorld(t, asking)
		defer a.Stop()
		first, second := make(person), make(person)
		one, two := first.up(t, a, "a"), second.up(t, a, "a")
		first <- "wrong"
		if err := <-one; err == nil {
			t.Fatal("it is up")
		}
		second <- "secret"
		if err := <-two; err != nil {
			t.Fatal(err)
		}
		if state := a.state("a"); state != api.Up {
			t.Errorf("it is %q", state)
		}
		w.left(t, "a", 1)
		if _, err := a.Down(t.Context(), "a"); err != nil {
			t.Error(err)
		}
		w.left(t, "a", 0)
	})
}

// TestEndOfAllThatWait looks that down, restart and stop end a command at a question,
// and those behind it.
func TestEndOfAllThatWait(t *testing.T) {
	for what, end := range map[string]func(*world, *Agent){
		"down": func(_ *world, a *Agent) { a.Down(context.Background(), "a") },
		"stop": func(_ *world, a *Agent) { a.Stop() },
		"restart": func(w *world, a *Agent) {
			w.asks.Store(false)
			a.Restart(context.Background(), "a", api.Opening{}, nil)
			a.Down(context.Background(), "a")
		},
	} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, a := newWorld(t, asking)
				defer a.Stop()
				p := make(person)
				ups := []chan error{p.up(t, a, "a"), p.up(t, a, "a"), p.up(t, a, "a")}
				end(w, a)
				for i, up := range ups {
					if err := <-up; err == nil {
						t.Errorf("up %d has not noticed", i)
					}
				}
				if state := a.state("a"); state != "" {
					t.Errorf("it is %q", state)
				}
				w.left(t, "a", 0)
			})
		})
	}
}

// TestDownWhileAProgramAsks looks that nobody has to answer SSH_ASKPASS before a tunnel
// can be closed.
func TestDownWhileAProgramAsks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, a := newWorld(t, asking, func(w *world) { w.away = make(person) })
		defer a.Stop()
		synctest.Wait()
		if _, err := a.Down(t.Context(), "auto"); err != nil || a.state("auto") != api.Down {
			t.Errorf("it is %q, %v", a.state("auto"), err)
		}
		w.left(t, "auto", 0)
	})
}

// TestFlagsGoWithTheirTunnel looks that what a command said of a tunnel of config.toml
// is forgotten when that is closed, or was not opened.
func TestFlagsGoWithTheirTunnel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, a := newWorld(t)
		defer a.Stop()
		w.refuse.Store(true)
		for _, refuse := range []bool{true, false} {
			w.refuse.Store(refuse)
			a.Up(t.Context(), "kept", api.Opening{Tunnel: &config.Tunnel{Port: "1"}}, nil)
			a.Down(t.Context(), "kept")
			w.refuse.Store(false)
			if _, err := a.Up(t.Context(), "kept", api.Opening{}, nil); err != nil {
				t.Fatal(err)
			}
			if w.last.Port != "" {
				t.Errorf("with refuse %v: opened with %+v", refuse, w.last)
			}
			a.Down(t.Context(), "kept")
		}
	})
}

// TestUpAfterADownThatWasLeft looks that a tunnel which still has its grace is not
// taken for one that stays.
func TestUpAfterADownThatWasLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, a := newWorld(t, func(w *world) { w.grace = time.Minute })
		defer a.Stop()
		if _, err := a.Up(t.Context(), "a", api.Opening{}, nil); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := a.Down(ctx, "a"); !errors.Is(err, context.DeadlineExceeded) || a.state("a") != api.Stopping {
			t.Fatalf("it is %q, %v", a.state("a"), err)
		}
		if _, err := a.Up(t.Context(), "a", api.Opening{}, nil); err != nil || a.state("a") != api.Up {
			t.Errorf("it is %q, %v", a.state("a"), err)
		}
		w.left(t, "a", 1)
	})
}

// TestStatusBeforeItListens looks that a tunnel is not up before FTP clients can come.
func TestStatusBeforeItListens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, a := newWorld(t, func(w *world) {
			w.greets = func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
		})
		defer a.Stop()
		ended := make(person).up(t, a, "a")
		<-time.After(time.Second)
		if state := a.state("a"); state != api.Connecting {
			t.Errorf("it is %q", state)
		}
		a.Down(t.Context(), "a")
		if err := <-ended; err == nil {
			t.Error("it is up")
		}
	})
}

// TestSecretsOfAFailedStart looks that nothing is kept for a tunnel that is not open.
func TestSecretsOfAFailedStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, a := newWorld(t, asking, func(w *world) {
			w.greets = func(context.Context) error { return errRefused }
		})
		defer a.Stop()
		p := make(person)
		ended := p.up(t, a, "kept")
		p <- "secret"
		if err := <-ended; err == nil {
			t.Fatal("it is up")
		}
		if _, err := a.tunnels["kept"].asker.Secret(t.Context(), "password: "); err == nil {
			t.Error("the answer is kept")
		}
	})
}

// TestOldReloads looks that what a reload began does not undo what a later one says.
func TestOldReloads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, a := newWorld(t, func(w *world) { w.grace = time.Minute })
		defer a.Stop()
		if _, err := a.Up(t.Context(), "kept", api.Opening{}, nil); err != nil {
			t.Fatal(err)
		}
		for _, file := range []map[string]config.Tunnel{{"kept": {Host: "kept", Port: "1"}}, {}} {
			w.file.Store(&config.File{Tunnels: file})
			if _, err := a.Reload(); err != nil {
				t.Fatal(err)
			}
			synctest.Wait() // it is in its grace
		}
		<-time.After(time.Hour)
		if state := a.state("kept"); state != "" {
			t.Errorf("it is %q", state)
		}
		w.left(t, "kept", 0)
	})
}

// TestRestartThatMakesNoSense looks that a tunnel stays which cannot be what a restart
// would have it be.
func TestRestartThatMakesNoSense(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, a := newWorld(t)
		defer a.Stop()
		if _, err := a.Up(t.Context(), "a", api.Opening{}, nil); err != nil {
			t.Fatal(err)
		}
		if _, err := a.Restart(t.Context(), "a", api.Opening{Tunnel: &config.Tunnel{Port: "bad"}}, nil); err == nil || a.state("a") != api.Up {
			t.Errorf("it is %q, %v", a.state("a"), err)
		}
		w.left(t, "a", 1)
	})
}
