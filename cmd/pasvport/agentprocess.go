package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/pasvport/pasvport/cmd/pasvport/internal/agent"
	"github.com/pasvport/pasvport/cmd/pasvport/internal/agentlog"
	"github.com/pasvport/pasvport/cmd/pasvport/internal/api"
	"github.com/pasvport/pasvport/cmd/pasvport/internal/config"
	"github.com/pasvport/pasvport/cmd/pasvport/internal/metrics"
	"github.com/pasvport/pasvport/cmd/pasvport/internal/prompt"
	"github.com/pasvport/pasvport/cmd/pasvport/internal/sdnotify"
	"github.com/pasvport/pasvport/ftpmux"
)

// runAgent is the agent. It returns nil when it was told to stop.
func runAgent(ctx context.Context, detached bool, stdout io.Writer) (err error) {
	told := tellStarter(detached, stdout)
	defer func() {
		if errors.Is(err, api.ErrRunning) {
			told(readiness{Running: true})
		} else if err != nil {
			told(readiness{Error: explain(err)})
		}
	}()
	notifier, err := sdnotify.FromEnvironment()
	if err != nil {
		return err
	}
	passed, err := sdnotify.Listeners()
	if err != nil {
		return err
	}
	if err := config.MakeRuntimeDir(); err != nil {
		return &placeError{fmt.Errorf("making a folder for the agent's socket: %w", err), "XDG_RUNTIME_DIR names another folder"}
	}
	unlock, err := api.Lock(config.RuntimeDir())
	if err != nil {
		return err
	}
	defer unlock()
	file, err := loadConfig()
	if err != nil {
		return err
	}
	log, err := agentlog.Open(file.Agent, detached)
	if err != nil {
		return &placeError{err, "XDG_STATE_HOME names another folder, log under [agent] in config.toml another file"}
	}
	defer log.Close()
	ln, err := agentSocket(passed.Agent, log.Logger)
	if err != nil {
		return err
	}
	defer ln.Close()

	p := &agentProcess{log: log, notifier: notifier}
	p.agent = agent.New(agent.Options{
		Open:    p.open,
		Explain: explain,
		Load:    loadConfig,
		Apply:   p.apply,
		Away:    prompt.Program,
		Passed:  passed.Tunnels,
		Metrics: metrics.Handler,
		Status:  api.Status{Version: version(), Since: time.Now(), Log: log.Path(), Config: config.Path()},
		Changed: p.show,
		Logger:  log.Logger,
	})
	defer p.close()
	if err := p.agent.Start(); err != nil {
		return err
	}
	ctx, hurry, stop := p.signals(ctx)
	defer stop()
	log.Info("agent ready", "pid", os.Getpid(), "version", version(), "socket", ln.Addr())
	told(readiness{})
	notifier.Ready(p.summary())
	go notifier.Watchdog(ctx, p.healthy)
	err = p.agent.Serve(ctx, hurry, ln)
	log.Info("agent ends", "error", err)
	return err
}

// placeError is a file, a folder or an address that the agent cannot have, with what
// gives it another one.
type placeError struct {
	err  error
	hint string
}

func (e *placeError) Error() string { return e.err.Error() }
func (e *placeError) Unwrap() error { return e.err }

// agentSocket is where commands come: what systemd has passed, or else our own.
func agentSocket(passed net.Listener, log *slog.Logger) (net.Listener, error) {
	if passed == nil {
		return api.ListenAt(socketPath(), log)
	}
	return api.Guard(passed, log), nil
}

// tellStarter returns what tells pasvport up how the start went, once.
func tellStarter(detached bool, stdout io.Writer) func(readiness) {
	if !detached {
		return func(readiness) {}
	}
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE) // the starter may be gone
	done := false
	return func(r readiness) {
		if !done {
			done = true
			json.NewEncoder(stdout).Encode(r)
		}
	}
}

// agentProcess is what the agent has of its process.
type agentProcess struct {
	agent    *agent.Agent
	log      *agentlog.Log
	notifier *sdnotify.Notifier
	ids      ftpmux.Sequence

	mu      sync.Mutex
	metrics *http.Server // nil for none
}

// open makes the line of a tunnel.
func (p *agentProcess) open(name string, t config.Tunnel, ask *prompt.Asker, changed func(agent.Change)) (agent.Line, error) {
	o := &options{t}
	return o.line(p.log.Tunnel(name, o.Verbose), &p.ids, ask, changed)
}

// apply takes over what config.toml says of the agent. Where the log goes is settled at
// the start.
func (p *agentProcess) apply(a config.Agent) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.serveMetrics(a.Metrics); err != nil {
		return err
	}
	p.log.SetLevel(a.LogLevel)
	return nil
}

// serveMetrics answers scrapes at addr, where it does not yet; "" is nowhere. An error
// leaves all as it was. p.mu is held.
func (p *agentProcess) serveMetrics(addr string) error {
	if p.metrics != nil && p.metrics.Addr == addr || p.metrics == nil && addr == "" {
		return nil
	}
	var next *http.Server
	if addr != "" {
		ln, err := metrics.Listen(addr)
		if err != nil {
			return &placeError{err, "metrics under [agent] in config.toml takes another address"}
		}
		next = metrics.Server(p.agent.Metrics())
		next.Addr = addr
		go next.Serve(ln)
	}
	if p.metrics != nil {
		p.metrics.Close()
	}
	p.metrics = next
	return nil
}

// signals returns what the signals mean: ctx ends with the first one that asks to stop,
// hurry with the second. A hang-up reads the configuration again.
func (p *agentProcess) signals(parent context.Context) (ctx, hurry context.Context, stop func()) {
	ctx, end := context.WithCancel(parent)
	hurry, cut := context.WithCancel(context.WithoutCancel(parent))
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	go func() {
		for s := range signals {
			switch {
			case s == syscall.SIGHUP:
				p.reload()
			case ctx.Err() == nil:
				p.notifier.Stopping()
				end()
			default:
				cut()
			}
		}
	}()
	return ctx, hurry, func() {
		signal.Stop(signals)
		close(signals)
		end()
		cut()
	}
}

// reload reads the configuration again, as SIGHUP wants it.
func (p *agentProcess) reload() {
	p.notifier.Reloading()
	if _, err := p.agent.Reload(); err != nil {
		p.log.Error("config.toml is refused; all is as before", "error", err)
	}
	p.notifier.Ready(p.summary())
}

// summary is how the tunnels are, for systemctl status.
func (p *agentProcess) summary() string {
	up, all := 0, 0
	for _, t := range p.agent.Status().Tunnels {
		all++
		if t.State == api.Up {
			up++
		}
	}
	return fmt.Sprintf("%d of %d tunnels up", up, all)
}

// show tells the service manager how the tunnels are.
func (p *agentProcess) show() { p.notifier.Status(p.summary()) }

// healthy is the watchdog's question: an agent that hangs does not come back from it.
func (p *agentProcess) healthy() bool {
	p.agent.Status()
	return true
}

// close ends what serves metrics.
func (p *agentProcess) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.metrics != nil {
		p.metrics.Close()
	}
}
