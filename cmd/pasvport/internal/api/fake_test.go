package api

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"testing"
)

// A fake agent notes what it is asked, and answers with what it was made with.
type fake struct {
	heard  chan any // has room for some
	err    error    // of every request
	open   func(ctx context.Context, ask Ask) error
	status Status
}

// What a fake has heard.
type (
	heardOpening struct {
		verb, name string
		o          Opening
		canAsk     bool
	}
	heardDown string
	heardStop int64
	heardVerb string
)

func (f *fake) Status() *Status { return &f.status }

func (f *fake) opening(ctx context.Context, verb, name string, o Opening, ask Ask) (*Tunnel, error) {
	f.heard <- heardOpening{verb, name, o, ask != nil}
	if f.open != nil {
		if err := f.open(ctx, ask); err != nil {
			return nil, err
		}
	}
	return &Tunnel{Name: name, State: Up}, f.err
}

func (f *fake) Up(ctx context.Context, name string, o Opening, ask Ask) (*Tunnel, error) {
	return f.opening(ctx, "up", name, o, ask)
}

func (f *fake) Restart(ctx context.Context, name string, o Opening, ask Ask) (*Tunnel, error) {
	return f.opening(ctx, "restart", name, o, ask)
}

func (f *fake) Down(_ context.Context, name string) (*Tunnel, error) {
	f.heard <- heardDown(name)
	return &Tunnel{Name: name, State: Up}, f.err
}

func (f *fake) StopSession(id int64) error {
	f.heard <- heardStop(id)
	return f.err
}

func (f *fake) Reload() (*Reloaded, error) {
	f.heard <- heardVerb("reload")
	return &Reloaded{Added: []string{"a"}, Changed: []string{"b", "c"}}, f.err
}

func (f *fake) Stop() { f.heard <- heardVerb("stop") }

func (f *fake) Metrics() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("pasvport 1\n")) })
}

// serve answers on a socket until the end of the test.
func serve(t *testing.T, h http.Handler) (socket string) {
	t.Helper()
	socket = filepath.Join(t.TempDir(), "agent.sock")
	ln, err := ListenAt(socket, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	serveOn(t, ln, h)
	return socket
}

func serveOn(t *testing.T, ln net.Listener, h http.Handler) {
	server := &http.Server{Handler: h}
	done := make(chan error)
	go func() { done <- server.Serve(ln) }()
	t.Cleanup(func() {
		server.Close()
		<-done
	})
}

// start starts a fake and returns a client of its own.
func (f *fake) start(t *testing.T) *Client {
	t.Helper()
	f.heard = make(chan any, 10)
	return New(serve(t, Handler(f)))
}
