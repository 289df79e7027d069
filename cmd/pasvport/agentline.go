package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/pasvport/pasvport/cmd/pasvport/internal/agent"
	"github.com/pasvport/pasvport/cmd/pasvport/internal/api"
	"github.com/pasvport/pasvport/cmd/pasvport/internal/config"
	"github.com/pasvport/pasvport/cmd/pasvport/internal/prompt"
	"github.com/pasvport/pasvport/ftpmux"
	"github.com/pasvport/pasvport/tunnel"
)

// linkPatience is how long an FTP client waits for an SSH connection that was lost
// before it is told so.
const linkPatience = 10 * time.Second

// A line is a tunnel of the agent's.
type line struct {
	*serving
	forwards []config.Forward

	tell func() // has the agent know how the connection is now

	mu sync.Mutex // of links
}

// line makes ready what o says, and connects nothing.
func (o *options) line(log *slog.Logger, ids *ftpmux.Sequence, ask *prompt.Asker, changed func(agent.Change)) (*line, error) {
	if err := o.Check(); err != nil {
		return nil, asFlags(err)
	}
	forwards, err := o.parseForwards(config.DefaultBind)
	if err != nil {
		return nil, err
	}
	l := &line{forwards: forwards}
	with := means{log: log, prompts: ask, ids: ids, ended: logTransfer(log)}
	with.tunnel.Patience = linkPatience
	var telling sync.Mutex // what is told last is what is true
	l.tell = func() {
		telling.Lock()
		defer telling.Unlock()
		if s := l.ssh.State(); s.Phase != tunnel.Idle || !errors.Is(s.Err, net.ErrClosed) { // a close is no news
			changed(l.change(s))
		}
	}
	with.tunnel.Changed = func(tunnel.State) { l.tell() }
	l.serving, err = o.prepare(o.Host, with)
	return l, err
}

// change is news of the connection as the agent tells them.
func (l *line) change(s tunnel.State) agent.Change {
	c := agent.Change{Retry: s.Retry}
	if s.Err != nil {
		c.Err = l.explained(s.Err)
	}
	switch s.Phase {
	case tunnel.Idle, tunnel.Connecting:
		c.State = api.Connecting
		if s.Made > 0 {
			c.State = api.Reconnecting
		}
	case tunnel.Up:
		c.State = api.Up
	case tunnel.Waiting:
		c.State = api.Reconnecting
	case tunnel.Resting:
		c.State = api.Failed
		if is[*tunnel.AuthError](s.Err) || errors.Is(s.Err, prompt.ErrNobody) {
			c.State = api.NeedsLogin
		}
	}
	return c
}

func (l *line) Connect(ctx context.Context) error {
	defer l.tell() // before somebody asks, who knows the outcome
	return l.connect(ctx)
}

func (l *line) Greets(ctx context.Context) error { return l.greet(ctx, l.forwards) }

func (l *line) Listen(passed []net.Listener) error {
	links, err := l.listen(l.forwards, passed)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.links = links
	return err
}

// open are the listeners at work.
func (l *line) open() []link {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.links
}

func (l *line) Serve(ctx context.Context) error {
	keeping, stop := context.WithCancel(context.Background())
	kept := make(chan struct{})
	go func() {
		defer close(kept)
		l.ssh.Keep(keeping)
	}()
	err := l.serve(ctx)
	stop()
	<-kept
	l.Close()
	return err
}

func (l *line) Close() {
	for _, k := range l.open() {
		k.ln.Close()
	}
	l.ssh.Close()
}

func (l *line) StopSession(id int64) bool {
	for _, k := range l.open() {
		if k.mux.StopSession(id) {
			return true
		}
	}
	return false
}

// Show fills in what the connection and its sessions are.
func (l *line) Show(t *api.Tunnel) {
	state := l.ssh.State()
	t.Connections = state.Live
	t.Totals.Reconnections = max(0, int64(state.Made)-1)
	t.SSH = l.host.User + "@" + net.JoinHostPort(l.host.HostName, strconv.Itoa(l.host.Port))
	for _, k := range l.open() {
		address := k.ln.Addr().String()
		t.Listens = append(t.Listens, api.Listen{Address: address, Server: k.mux.Server})
		for _, s := range k.mux.Sessions() {
			t.Sessions = append(t.Sessions, session(address, s))
		}
		n := k.mux.Totals()
		t.Totals.Sessions += n.Sessions
		t.Totals.Downloads += n.Downloads
		t.Totals.Uploads += n.Uploads
		t.Totals.Failed += n.Failed
		t.Totals.BytesDown += n.BytesDown
		t.Totals.BytesUp += n.BytesUp
	}
}

// session is one as commands see it, which came to address.
func session(address string, s ftpmux.SessionInfo) api.Session {
	shown := api.Session{
		ID:        s.ID,
		Client:    s.Client,
		User:      s.User,
		Listen:    address,
		Since:     s.Since,
		BytesDown: s.BytesDown,
		BytesUp:   s.BytesUp,
		Transfers: []api.Transfer{},
	}
	for _, t := range s.Transfers {
		shown.Transfers = append(shown.Transfers, api.Transfer(t))
	}
	return shown
}

// logTransfer tells of transfers in the agent's log.
func logTransfer(log *slog.Logger) func(ftpmux.TransferEnd) {
	return func(e ftpmux.TransferEnd) {
		if !e.Began {
			return
		}
		attrs := []any{"session", e.Session, "transfer", e.ID, "verb", e.Verb, "name", e.Name, "bytes", e.Bytes, "seconds", e.Duration.Seconds()}
		if e.Complete() {
			log.Info("transfer complete", attrs...)
		} else {
			log.Info("transfer not complete", append(attrs, "reason", e.Reason)...)
		}
	}
}
