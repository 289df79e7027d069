package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pasvport/pasvport/cmd/pasvport/internal/api"
	"github.com/pasvport/pasvport/cmd/pasvport/internal/config"
	"github.com/pasvport/pasvport/cmd/pasvport/internal/prompt"
)

var (
	errRefused = errors.New("refused")
	errBad     = errors.New("makes no sense")
)

// world is what fake lines are made in: it counts them, and no two of a tunnel's may be
// there at once.
type world struct {
	mu   sync.Mutex
	open map[string]int
	most int
	last config.Tunnel // of the line made last

	file   atomic.Pointer[config.File]
	refuse atomic.Bool // connections fail
	asks   atomic.Bool // ... or ask for "secret" first

	away   prompt.Prompter             // nil is nobody
	greets func(context.Context) error // nil is that they do
	grace  time.Duration
}

type fakeLine struct {
	w       *world
	name    string
	ask     *prompt.Asker
	changed func(Change)
	up      atomic.Bool
	once    sync.Once
}

func (w *world) line(name string, settings config.Tunnel, ask *prompt.Asker, changed func(Change)) (Line, error) {
	if settings.Port == "bad" {
		return nil, errBad
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.open[name]++
	w.last = settings
	return &fakeLine{w: w, name: name, ask: ask, changed: changed}, nil
}

func (l *fakeLine) Connect(ctx context.Context) error {
	if l.up.Load() {
		return nil
	}
	l.w.mu.Lock()
	l.w.most = max(l.w.most, l.w.open[l.name])
	l.w.mu.Unlock()
	l.changed(Change{State: api.Connecting})
	if l.w.asks.Load() {
		answer, err := l.ask.Secret(ctx, "password: ")
		if err == nil && answer != "secret" {
			err = errRefused
		}
		if err != nil {
			return err
		}
	}
	select {
	case <-time.After(rand.N(50 * time.Millisecond)):
	case <-ctx.Done():
		return ctx.Err()
	}
	if l.w.refuse.Load() {
		return errRefused
	}
	l.up.Store(true)
	l.changed(Change{State: api.Up})
	return nil
}

func (l *fakeLine) Greets(ctx context.Context) error {
	if l.w.greets != nil {
		return l.w.greets(ctx)
	}
	return ctx.Err()
}

func (l *fakeLine) Listen([]net.Listener) error { return nil }

func (l *fakeLine) Serve(ctx context.Context) error {
	for ctx.Err() == nil {
		if l.Connect(ctx) == nil {
			select {
			case <-time.After(time.Second + rand.N(time.Second)):
			case <-ctx.Done():
			}
		}
		l.up.Store(false)
		l.changed(Change{State: api.Reconnecting, Err: errRefused})
		select {
		case <-time.After(rand.N(20 * time.Millisecond)):
		case <-ctx.Done():
		}
	}
	<-time.After(l.w.grace + rand.N(30*time.Millisecond))
	l.Close()
	return nil
}

func (l *fakeLine) Close() {
	l.once.Do(func() {
		l.changed(Change{State: api.Connecting, Err: net.ErrClosed})
		l.w.mu.Lock()
		defer l.w.mu.Unlock()
		l.w.open[l.name]--
	})
}

func (l *fakeLine) Show(t *api.Tunnel) { t.SSH = l.name }

func (l *fakeLine) StopSession(int64) bool { return false }

// newWorld returns an agent with fake lines, that is started, in a world of its own.
func newWorld(t *testing.T, own ...func(*world)) (*world, *Agent) {
	t.Helper()
	w := &world{open: make(map[string]int)}
	for _, set := range own {
		set(w)
	}
	w.file.Store(&config.File{Tunnels: map[string]config.Tunnel{"auto": {Host: "auto", Autostart: true}, "kept": {Host: "kept"}}})
	a := New(Options{
		Open:    w.line,
		Explain: func(err error) *api.Error { return &api.Error{Text: err.Error(), Code: 255, Time: time.Now()} },
		Load:    func() (*config.File, error) { return w.file.Load(), nil },
		Apply:   func(config.Agent) error { return nil },
		Away:    func() prompt.Prompter { return w.away },
		Metrics: func(func() *api.Status) http.Handler { return http.NotFoundHandler() },
		Logger:  slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	if err := a.Start(); err != nil {
		t.Fatal(err)
	}
	return w, a
}

func (a *Agent) state(name string) api.State {
	for _, t := range a.Status().Tunnels {
		if t.Name == name {
			return t.State
		}
	}
	return ""
}

// TestEverythingAtOnce has many commands do all that they can to a few tunnels. No
// tunnel is ever opened twice, and after the stop none is left, nor any goroutine.
func TestEverythingAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, a := newWorld(t)
		names := []string{"auto", "kept", "a", "b"}
		ask := func(ctx context.Context, _ api.Prompt) (api.Answer, error) {
			select {
			case <-time.After(rand.N(20 * time.Millisecond)):
				return api.Answer{Text: []byte("secret"), Refused: rand.N(4) == 0}, nil
			case <-ctx.Done():
				return api.Answer{}, ctx.Err()
			}
		}
		var group sync.WaitGroup
		for range 20 {
			group.Go(func() {
				for range 200 {
					name := names[rand.N(len(names))]
					ctx, cancel := context.WithTimeout(t.Context(), rand.N(200*time.Millisecond))
					switch rand.N(8) {
					case 0, 1:
						a.Up(ctx, name, api.Opening{}, nil)
					case 2:
						a.Up(ctx, name, api.Opening{Ask: true}, ask)
					case 3:
						a.Down(ctx, name)
					case 4:
						a.Restart(ctx, name, api.Opening{Tunnel: &config.Tunnel{Verbose: rand.N(2)}}, nil)
					case 5:
						w.file.Store(&config.File{Tunnels: map[string]config.Tunnel{
							"auto": {Host: "auto", Autostart: rand.N(2) == 0},
							"kept": {Host: "kept", Port: fmt.Sprint(rand.N(2))},
						}})
						a.Reload()
					case 6:
						w.refuse.Store(rand.N(3) == 0)
						w.asks.Store(rand.N(3) == 0)
					case 7:
						a.Status()
					}
					cancel()
				}
			})
		}
		group.Wait()
		a.Stop()
		synctest.Wait()
		for name, n := range w.open {
			if n != 0 {
				t.Errorf("%d lines of %s are left", n, name)
			}
		}
		if w.most != 1 {
			t.Errorf("%d lines of one tunnel at once", w.most)
		}
		if _, err := a.Up(t.Context(), "late", api.Opening{}, nil); err == nil {
			t.Error("a tunnel was opened after the stop")
		}
	})
}

// TestUpAndDown is the plain course of a tunnel of the command line's.
func TestUpAndDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, a := newWorld(t)
		up, err := a.Up(t.Context(), "a", api.Opening{}, nil)
		if err != nil || up.State != api.Up || up.SSH != "a" {
			t.Fatalf("got %+v, %v", up, err)
		}
		if _, err := a.Down(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
		if state := a.state("a"); state != "" {
			t.Errorf("after down it is %q", state)
		}
		if _, err := a.Down(t.Context(), "kept"); err != nil || a.state("kept") != api.Down {
			t.Errorf("one of the configuration's is %q, %v", a.state("kept"), err)
		}
		w.refuse.Store(true)
		if _, err := a.Up(t.Context(), "a", api.Opening{}, nil); err == nil || a.state("a") != "" {
			t.Errorf("one that cannot be opened is %q, %v", a.state("a"), err)
		}
		if _, err := a.Up(t.Context(), "kept", api.Opening{}, nil); err == nil || a.state("kept") != api.Failed {
			t.Errorf("one of the configuration's is %q, %v", a.state("kept"), err)
		}
		w.refuse.Store(false)
		if up, err := a.Up(t.Context(), "kept", api.Opening{}, nil); err != nil || up.Error != nil {
			t.Errorf("got %+v, %v, and no error of before", up, err)
		}
		a.Stop()
	})
}

// TestDownEndsAnOpening has a command at a question while another takes the tunnel down.
func TestDownEndsAnOpening(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, a := newWorld(t)
		w.asks.Store(true)
		ended := make(chan error, 1)
		go func() {
			_, err := a.Up(t.Context(), "a", api.Opening{Ask: true}, func(ctx context.Context, _ api.Prompt) (api.Answer, error) {
				<-ctx.Done()
				return api.Answer{}, ctx.Err()
			})
			ended <- err
		}()
		synctest.Wait()
		if state := a.state("a"); state != api.Connecting {
			t.Errorf("at the question it is %q", state)
		}
		if _, err := a.Down(t.Context(), "a"); err != nil {
			t.Error(err)
		}
		if err := <-ended; err == nil {
			t.Error("up has not noticed")
		}
		a.Stop()
	})
}
