// Package agent is the background agent: it keeps the tunnels open that commands
// asked for or that config.toml starts, and answers the commands on its socket, as
// package api describes. One runs for each user.
//
// It knows neither SSH nor FTP: what a tunnel is made of is a [Line], and the program
// opens it. A tunnel that was asked for on the command line is forgotten when it goes
// down; one of config.toml stays, as down. Passwords are kept in memory alone.
package agent

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pasvport/pasvport/cmd/pasvport/internal/api"
	"github.com/pasvport/pasvport/cmd/pasvport/internal/config"
	"github.com/pasvport/pasvport/cmd/pasvport/internal/prompt"
)

// A Line is a tunnel with its listeners, opened for one config.Tunnel.
type Line interface {
	// Connect makes the SSH connection, and asks whoever attends.
	Connect(ctx context.Context) error
	// Greets looks whether the FTP servers answer. It connects when it has to.
	Greets(ctx context.Context) error
	// Listen opens the listeners, or takes copies of those that are passed in their place.
	Listen(passed []net.Listener) error
	// Serve keeps the SSH connection up and serves FTP clients until ctx is done;
	// then transfers have their grace. It returns with everything closed.
	Serve(ctx context.Context) error
	// Close ends everything at once.
	Close()
	// Show fills in what the line knows: SSH, Connections, Listens, Sessions, Totals.
	Show(*api.Tunnel)
	// StopSession ends the FTP session of that id, and tells whether there is one.
	StopSession(id int64) bool
}

// A Change is news of a line's SSH connection.
type Change struct {
	State api.State // Connecting, Up, Reconnecting, NeedsLogin or Failed
	Retry time.Time // of the next attempt, when Reconnecting
	Err   error     // why it is not up; may be nil
}

// Options are what an agent needs. All but Passed and Changed is required.
type Options struct {
	// Open makes a line of settings and connects nothing. ask is asked, changed
	// told of every change, one at a time.
	Open func(name string, t config.Tunnel, ask *prompt.Asker, changed func(Change)) (Line, error)
	// Explain makes of an error what commands tell.
	Explain func(error) *api.Error
	// Load reads the configuration; it is called at the start and by a reload.
	Load func() (*config.File, error)
	// Apply is told of the [agent] part of a configuration that was loaded.
	Apply func(config.Agent) error
	// Away is whom to ask when no command attends; nil is nobody.
	Away func() prompt.Prompter
	// Passed are the listeners of a service manager's, by tunnel.
	Passed map[string][]net.Listener
	// Metrics makes of the status what Prometheus scrapes.
	Metrics func(status func() *api.Status) http.Handler
	// Status is what stands at the head of every api.Status.
	Status api.Status
	// Changed is told that something has changed, for those who show it. May be nil.
	Changed func()
	// Logger gets the log.
	Logger *slog.Logger
}

// An Agent keeps tunnels. Its methods may be called by several goroutines at once.
type Agent struct {
	opts Options
	log  *slog.Logger
	stop context.CancelFunc // of Run
	ctx  context.Context    // Run's

	reloading sync.Mutex // one at a time

	mu      sync.Mutex
	file    *config.File
	tunnels map[string]*tunnel
	closing bool
}

// New returns an agent that has not read its configuration yet.
func New(opts Options) *Agent {
	a := &Agent{opts: opts, log: opts.Logger, file: &config.File{}, tunnels: make(map[string]*tunnel)}
	a.ctx, a.stop = context.WithCancel(context.Background())
	return a
}

// Start reads the configuration and begins to open the tunnels that start by
// themselves. Its error is the configuration's.
func (a *Agent) Start() error {
	file, err := a.opts.Load()
	if err != nil {
		return err
	}
	if err := a.opts.Apply(file.Agent); err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.file = file
	for name, settings := range file.Tunnels {
		t := a.add(name, settings, true)
		if a.startsItself(name, settings) {
			go t.begin()
		}
	}
	for name := range a.opts.Passed {
		if _, ok := file.Tunnels[name]; !ok {
			a.log.Warn("a socket was passed for a tunnel that is not in the configuration; FileDescriptorName= in its unit says for which it is", "name", name)
		}
	}
	return nil
}

// startsItself tells whether a tunnel is opened without being asked for: a socket that
// was passed for it has clients.
func (a *Agent) startsItself(name string, settings config.Tunnel) bool {
	return settings.Autostart || len(a.opts.Passed[name]) > 0
}

// Serve answers commands on ln until Stop was called or ctx is done, and closes ln.
// It returns when all tunnels are down; the end of hurry cuts their grace.
func (a *Agent) Serve(ctx, hurry context.Context, ln net.Listener) error {
	defer context.AfterFunc(ctx, a.stop)()
	server := &http.Server{ // a reply may wait for a person
		Handler:           api.Handler(a),
		ReadHeaderTimeout: headTimeout,
		ErrorLog:          slog.NewLogLogger(a.log.Handler(), slog.LevelWarn),
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(ln) }()
	var err error
	select {
	case <-a.ctx.Done():
	case err = <-served:
	}
	defer context.AfterFunc(hurry, a.closeAll)()
	a.downAll()
	// Whoever asked for the stop gets its reply.
	last, cancel := context.WithTimeout(hurry, lastReply)
	defer cancel()
	if server.Shutdown(last) != nil {
		server.Close()
	}
	if err != nil {
		return fmt.Errorf("answering commands on %s: %w", ln.Addr(), err)
	}
	return nil
}

// headTimeout is how long a command may take to say what it wants.
const headTimeout = 5 * time.Second

// lastReply is for commands that still wait for a reply.
const lastReply = 2 * time.Second

// Stop closes all tunnels, with their grace, and has Serve return.
func (a *Agent) Stop() {
	a.downAll()
	a.stop()
}

// downAll closes all tunnels; none is opened afterwards.
func (a *Agent) downAll() {
	a.mu.Lock()
	a.closing = true
	all := slices.Collect(maps.Values(a.tunnels))
	a.mu.Unlock()
	var group sync.WaitGroup
	for _, t := range all {
		group.Go(func() { t.down(context.Background()) })
	}
	group.Wait()
}

// closeAll takes what has its grace its connections away.
func (a *Agent) closeAll() {
	a.mu.Lock()
	var lines []Line
	for _, t := range a.tunnels {
		if t.line != nil {
			lines = append(lines, t.line)
		}
	}
	a.mu.Unlock()
	for _, l := range lines {
		l.Close()
	}
}

// add takes a tunnel in; a.mu is held.
func (a *Agent) add(name string, settings config.Tunnel, configured bool) *tunnel {
	t := &tunnel{agent: a, name: name, settings: settings, configured: configured, turn: make(chan struct{}, 1), state: api.Down, since: time.Now()}
	if a.opts.Away != nil {
		t.asker.Away = a.opts.Away()
	}
	a.tunnels[name] = t
	return t
}

// named finds a tunnel.
func (a *Agent) named(name string) (*tunnel, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	t := a.tunnels[name]
	if t == nil {
		return nil, a.unknown(name)
	}
	return t, nil
}

// unknown is for a tunnel that there is not; a.mu is held.
func (a *Agent) unknown(name string) error {
	hint := "pasvport up " + name + " opens it"
	if names := slices.Sorted(maps.Keys(a.tunnels)); len(names) > 0 {
		hint = "the tunnels are " + strings.Join(names, ", ")
	}
	return &api.Error{Text: fmt.Sprintf("there is no tunnel %q", name), Hints: []string{hint}, Code: 1, Time: time.Now(), Status: http.StatusNotFound}
}

// Up opens a tunnel and returns when it is ready, or why not. The end of ctx ends the
// attempt. ask is asked what the way needs to know; nil is nobody.
func (a *Agent) Up(ctx context.Context, name string, o api.Opening, ask api.Ask) (*api.Tunnel, error) {
	for {
		t, err := a.wanted(name)
		if err != nil {
			return nil, err
		}
		if err = t.up(ctx, o, ask); !errors.Is(err, errForgotten) {
			return a.reply(t, err)
		}
	}
}

// Restart closes a tunnel and opens it again.
func (a *Agent) Restart(ctx context.Context, name string, o api.Opening, ask api.Ask) (*api.Tunnel, error) {
	t, err := a.named(name)
	if err != nil {
		return nil, err
	}
	return a.reply(t, t.restart(ctx, func(t *config.Tunnel) error { return overlay(t, o) }, func() error { return t.open(ctx, ask) }))
}

// reply is what commands are told of t.
func (a *Agent) reply(t *tunnel, err error) (*api.Tunnel, error) {
	if err != nil {
		return nil, a.explain(err)
	}
	return t.show(), nil
}

func (a *Agent) explain(err error) *api.Error {
	if e, ok := errors.AsType[*api.Error](err); ok {
		return e
	}
	return a.opts.Explain(err)
}

func errStopping() error {
	return &api.Error{Text: "the agent is stopping", Hints: []string{"try again in a moment"}, Code: 1, Time: time.Now()}
}

// wanted finds the tunnel that is meant, or makes it.
func (a *Agent) wanted(name string) (*tunnel, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closing {
		return nil, errStopping()
	}
	if t := a.tunnels[name]; t != nil {
		return t, nil
	}
	return a.add(name, config.Tunnel{Host: name}, false), nil
}

// overlay puts what a command says over a tunnel's settings.
func overlay(t *config.Tunnel, o api.Opening) error {
	if o.Tunnel == nil {
		return nil
	}
	return t.Overlay(*o.Tunnel)
}

// Down closes a tunnel; its transfers have their grace. It returns how it was.
func (a *Agent) Down(ctx context.Context, name string) (*api.Tunnel, error) {
	t, err := a.named(name)
	if err != nil {
		return nil, err
	}
	was := t.show()
	return was, t.down(ctx)
}

// StopSession ends an FTP session.
func (a *Agent) StopSession(id int64) error {
	a.mu.Lock()
	lines := make([]Line, 0, len(a.tunnels))
	for _, t := range a.tunnels {
		if t.line != nil {
			lines = append(lines, t.line)
		}
	}
	a.mu.Unlock()
	for _, l := range lines {
		if l.StopSession(id) {
			return nil
		}
	}
	return &api.Error{Text: fmt.Sprintf("there is no session %d", id), Hints: []string{"pasvport status --json lists them"}, Code: 1, Time: time.Now(), Status: http.StatusNotFound}
}

// Status is all that is known.
func (a *Agent) Status() *api.Status {
	a.mu.Lock()
	all := slices.Collect(maps.Values(a.tunnels))
	s := a.opts.Status
	s.Metrics = a.file.Agent.Metrics
	a.mu.Unlock()
	s.Schema, s.PID = api.SchemaVersion, os.Getpid()
	slices.SortFunc(all, func(x, y *tunnel) int { return cmp.Compare(x.name, y.name) })
	s.Tunnels = make([]api.Tunnel, 0, len(all))
	for _, t := range all {
		s.Tunnels = append(s.Tunnels, *t.show())
	}
	return &s
}

// Metrics is what Prometheus scrapes.
func (a *Agent) Metrics() http.Handler { return a.opts.Metrics(a.Status) }

// Reload reads the configuration again. A broken one changes nothing. Tunnels of which
// nothing has changed are not touched; the changed ones that are up are opened again,
// with their grace, if they would work in another way, and new ones that start by
// themselves are started.
func (a *Agent) Reload() (*api.Reloaded, error) {
	a.reloading.Lock()
	defer a.reloading.Unlock()
	file, err := a.opts.Load()
	if err == nil {
		err = a.opts.Apply(file.Agent)
	}
	if err != nil {
		e := a.explain(err)
		e.Status = http.StatusUnprocessableEntity
		return nil, e
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closing {
		return nil, errStopping()
	}
	var r api.Reloaded
	r.Added, r.Changed, r.Removed, r.Unchanged = config.Diff(a.file, file)
	a.file = file
	for _, name := range r.Removed {
		if t := a.tunnels[name]; t != nil {
			t.configured = false
			go t.down(context.Background())
		}
	}
	for _, name := range slices.Concat(r.Added, r.Changed) {
		t, settings := a.tunnels[name], file.Tunnels[name]
		if t == nil {
			t = a.add(name, settings, true)
		}
		t.configured = true
		switch {
		case t.line != nil && t.settings.Same(settings):
			t.settings = settings
		case t.line != nil:
			go t.restart(context.Background(), a.asConfigured(name), func() error { t.start(); return nil })
		case a.startsItself(name, settings):
			t.settings = settings
			go t.begin()
		default:
			t.settings = settings
		}
	}
	a.log.Info("configuration reloaded", "added", r.Added, "changed", r.Changed, "removed", r.Removed, "unchanged", len(r.Unchanged))
	return &r, nil
}

// asConfigured has a tunnel's settings be those of the newest configuration; a.mu is
// held when it does.
func (a *Agent) asConfigured(name string) func(*config.Tunnel) error {
	return func(t *config.Tunnel) error {
		if settings, ok := a.file.Tunnels[name]; ok {
			*t = settings
		}
		return nil
	}
}

// changed tells those who show it.
func (a *Agent) changed() {
	if a.opts.Changed != nil {
		a.opts.Changed()
	}
}
