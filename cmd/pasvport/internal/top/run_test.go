package top

import (
	"bytes"
	"context"
	"errors"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/creack/pty"

	"github.com/pasvport/pasvport/cmd/pasvport/internal/api"
)

// An agent is a Source that can go away.
type agent struct {
	mu   sync.Mutex
	gone error
}

func (a *agent) Status(context.Context) (*api.Status, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return busy(1), a.gone
}

func (a *agent) StopSession(context.Context, int64) error { return nil }

func (a *agent) leave(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.gone = err
}

// screen collects what is written to a terminal.
type screen struct {
	pty  io.ReadWriter
	text chan []byte // what was read
	seen []byte
}

// waitFor waits until text is written.
func (s *screen) waitFor(t *testing.T, text string) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for !bytes.Contains(s.seen, []byte(text)) {
		select {
		case more := <-s.text:
			s.seen = append(s.seen, more...)
		case <-deadline:
			t.Fatalf("no %q on the screen, but %q", text, s.seen)
		}
	}
	s.seen = nil
}

// run starts Run on a terminal of 80x24; its end comes to the channel.
func run(t *testing.T, ctx context.Context, source Source) (*screen, <-chan error) {
	t.Helper()
	t.Setenv("TERM", "xterm-256color")
	terminal, tty, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	if err := pty.Setsize(terminal, &pty.Winsize{Rows: 24, Cols: 80}); err != nil {
		t.Fatal(err)
	}
	s := &screen{pty: terminal, text: make(chan []byte, 1000)}
	go func() {
		for {
			buf := make([]byte, 4096)
			n, err := terminal.Read(buf)
			if err != nil {
				return
			}
			s.text <- buf[:n]
		}
	}()
	ended := make(chan error, 1)
	go func() { ended <- Run(ctx, source, tty, tty) }()
	t.Cleanup(func() {
		tty.Close()
		terminal.Close()
	})
	return s, ended
}

func wait(t *testing.T, ended <-chan error) {
	t.Helper()
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("Run: %v", err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("it does not end")
	}
}

// TestRun is on a terminal: the agent is there, goes, returns; the user quits.
func TestRun(t *testing.T) {
	a := &agent{}
	s, ended := run(t, t.Context(), a)
	s.waitFor(t, "reconnecting")
	a.leave(errors.New("connection refused"))
	s.waitFor(t, "connection refused")
	a.leave(nil)
	s.waitFor(t, "reconnecting")
	if _, err := s.pty.Write([]byte("q")); err != nil {
		t.Fatal(err)
	}
	wait(t, ended)
}
