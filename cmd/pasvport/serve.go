package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pasvport/pasvport/cmd/pasvport/internal/config"
	"github.com/pasvport/pasvport/cmd/pasvport/internal/prompt"
	"github.com/pasvport/pasvport/ftpmux"
	"github.com/pasvport/pasvport/sshconf"
	"github.com/pasvport/pasvport/tunnel"
)

// checkTimeout is for an FTP server's greeting at the start: some look the
// client's name up first.
const checkTimeout = 30 * time.Second

// serve is a tunnel in the foreground. It returns nil when a signal ended it.
func (o *options) serve(ctx context.Context, destination string, stdout, stderr io.Writer) error {
	forwards, err := o.parseForwards(net.JoinHostPort(defaultBind, defaultPort))
	if err != nil {
		return err
	}
	s, err := o.prepare(destination, o.means(stderr, nil))
	if err != nil {
		return err
	}
	defer s.ssh.Close()
	ctx, stop := s.stopOnSignal(ctx)
	defer stop()
	if err := s.start(ctx, forwards); err != nil {
		return unlessStopped(ctx, err, beforeTunnel)
	}
	for _, l := range s.links {
		fmt.Fprintf(stdout, "pasvport: %s is %s at %s; stop with Ctrl-C\n", l.url(), l.mux.Server, s.host.Alias)
	}
	return s.serve(ctx)
}

const beforeTunnel = "stopped before the tunnel was up"

// unlessStopped makes err short where a signal is behind it, or Ctrl-C at a
// question.
func unlessStopped(ctx context.Context, err error, text string) error {
	if err != nil && (ctx.Err() != nil || errors.Is(err, context.Canceled)) {
		return &stoppedError{text}
	}
	return err
}

// parseForwards reads the -L flags; without any it listens on bind.
func (o *options) parseForwards(bind string) ([]forward, error) {
	if len(o.Listen) == 0 {
		return []forward{{bind, net.JoinHostPort(defaultFTPHost, defaultFTPPort)}}, nil
	}
	var forwards []forward
	for _, text := range o.Listen {
		f, err := parseForward(text)
		if err != nil {
			return nil, err
		}
		near, err := f.onLoopback()
		switch {
		case err != nil:
			return nil, usagef(fmt.Sprintf("-L %s: %v", text, err))
		case !near && !o.Gateway:
			return nil, usagef(fmt.Sprintf("-L %s listens beyond this machine", text),
				"-g allows that; FTP passwords then cross that network in plain")
		}
		if err := o.suits(f.server); err != nil {
			return nil, err
		}
		forwards = append(forwards, f)
	}
	return forwards, nil
}

// suits refuses a server that --data cannot work with.
func (o *options) suits(server string) error {
	if ftpmux.DataMode(o.Data) == ftpmux.Active && !ftpmux.OnLoopback(server) {
		return usagef(fmt.Sprintf("--data active cannot work with %s", server),
			"sshd listens for the FTP server on its loopback only; the server must be reached at 127.0.0.1, ::1 or localhost")
	}
	return nil
}

// serving is a tunnel with its listeners.
type serving struct {
	config.Tunnel
	log     *slog.Logger
	tls     *tls.Config // towards the FTP server; nil for none
	host    *sshconf.Host
	ssh     *tunnel.Tunnel
	prompts *prompt.Asker // nil where there is nobody to ask
	unmet   *unmet
	jump    func(hop string) (*sshconf.Host, error)
	links   []link
}

// link is one -L at work.
type link struct {
	ln  net.Listener
	mux *ftpmux.Mux
}

// url is where FTP clients are pointed at.
func (l link) url() string {
	host, port, _ := net.SplitHostPort(l.ln.Addr().String())
	if ip, err := netip.ParseAddr(host); err == nil && ip.IsUnspecified() {
		host, _ = os.Hostname()
	}
	return "ftp://" + net.JoinHostPort(host, port)
}

// means are what a tunnel uses of the program that opens it.
type means struct {
	log     *slog.Logger
	prompts *prompt.Asker // nil where there is nobody to ask
	tunnel  tunnel.Options
}

// means are those of a program in the foreground; trace is told of the way to the
// SSH server and may be nil.
func (o *options) means(stderr io.Writer, trace func(tunnel.Stage)) means {
	m := means{log: slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: o.level()}))}
	if ask := prompt.Choose(); ask != nil {
		m.prompts = new(prompt.Asker)
		m.prompts.Attend(ask)
	}
	m.tunnel.Trace, m.tunnel.Stderr = trace, os.Stderr
	return m
}

// prepare resolves the destination and connects nothing yet. The tunnel is the
// caller's to close.
func (o *options) prepare(destination string, with means) (*serving, error) {
	log := with.log
	tlsConfig, err := tlsConfig(&o.Tunnel)
	if err != nil {
		return nil, err
	}
	resolver := o.resolver()
	host, err := resolve(resolver, destination)
	if err != nil {
		return nil, err
	}
	if o.TLSInsecure {
		log.Warn("--tls-insecure: any certificate of the FTP server's is taken")
	}
	s := &serving{Tunnel: o.Tunnel, log: log, tls: tlsConfig, host: host, prompts: with.prompts, unmet: newUnmet(log)}
	s.unmet.add(host)
	s.jump = func(hop string) (*sshconf.Host, error) {
		h, err := resolver.Jump(hop)
		if err == nil {
			s.unmet.add(h)
		}
		return h, err
	}
	opts := with.tunnel
	opts.Jump, opts.Logger = s.jump, log
	if o.ViaSSH {
		opts.SSH = o.sshArgs(destination)
	}
	if s.prompts != nil { // who has BatchMode is not asked
		opts.Prompter = s.prompts
	}
	s.ssh = tunnel.New(host, opts)
	return s, nil
}

// resolve reads the configuration for destination.
func resolve(resolver *sshconf.Resolver, destination string) (*sshconf.Host, error) {
	host, err := resolver.Resolve(destination)
	if is[*sshconf.RefusedError](err) {
		return nil, usagef(err.Error(), "RefuseConnection is there on purpose; ask whoever wrote it")
	} else if err != nil {
		return nil, usagef(err.Error(), sameFiles(resolver, destination, err)...)
	}
	return host, nil
}

// sameFiles tells how to ask ssh about an error in the configuration. What is
// wrong in the command line needs no second opinion.
func sameFiles(resolver *sshconf.Resolver, destination string, err error) []string {
	if e, ok := errors.AsType[*sshconf.SyntaxError](err); ok && e.Line == 0 {
		return nil
	}
	file := ""
	if resolver.File != "" {
		file = fmt.Sprintf("-F %q ", resolver.File)
	}
	return []string{fmt.Sprintf("`ssh %s-G %s` reads the same files", file, destination)}
}

// start makes the SSH connection, looks whether FTP servers answer behind it,
// and only then listens. The end of ctx ends the attempt.
func (s *serving) start(ctx context.Context, forwards []forward) (err error) {
	defer func() {
		if err != nil {
			for _, l := range s.links {
				l.ln.Close()
			}
		}
	}()
	if err := s.connect(ctx); err != nil {
		return err
	}
	for _, f := range forwards {
		mux := s.mux(s.ssh, f.server)
		if err := greets(ctx, mux); err != nil {
			return err
		}
		ln, err := net.Listen("tcp", f.bind)
		if err != nil {
			return &listenError{err}
		}
		s.links = append(s.links, link{ln, mux})
	}
	if s.prompts != nil {
		s.prompts.Attend(nil)
	}
	return nil
}

// connect makes the SSH connection.
func (s *serving) connect(ctx context.Context) error {
	err := s.ssh.Connect(ctx)
	if err == nil || ctx.Err() != nil {
		return err
	}
	if s.ViaSSH {
		return &sshError{err: err}
	}
	return &sshError{err, s.unmet.hints(err), unaskedHints(err, s.host, s.prompts != nil && !s.host.BatchMode)}
}

// mux serves FTP clients with the server at addr.
func (s *serving) mux(remote ftpmux.Remote, addr string) *ftpmux.Mux {
	return &ftpmux.Mux{
		Remote:   remote,
		Server:   addr,
		Data:     ftpmux.DataMode(s.Data),
		TLS:      s.tls,
		AllowFXP: s.AllowFXP,
		Grace:    s.grace(),
		Logger:   s.log,
	}
}

// greets looks whether an FTP server answers behind mux.
func greets(ctx context.Context, mux *ftpmux.Mux) error {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	return mux.Check(ctx)
}

// serve serves FTP clients until ctx is done, and returns when all listeners are
// closed and all sessions have ended.
func (s *serving) serve(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, l := range s.links {
		group.Go(func() error { return l.mux.Serve(ctx, l.ln) })
	}
	return group.Wait()
}

// stopOnSignal returns a context that the first signal to stop ends; a second
// one takes the SSH connection away from what has still its grace.
func (s *serving) stopOnSignal(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	signals := stopSignals()
	go func() {
		for n := 1; ; n++ {
			if _, ok := <-signals; !ok {
				return
			}
			cancel()
			if n > 1 {
				s.ssh.Close()
			}
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		close(signals)
		cancel()
	}
}

// stopSignals are those that ask the program to end. A hang-up that was
// ignored before us, as under nohup, stays ignored.
func stopSignals() chan os.Signal {
	c := make(chan os.Signal, 2)
	signal.Notify(c, os.Interrupt, syscall.SIGTERM)
	if !signal.Ignored(syscall.SIGHUP) {
		signal.Notify(c, syscall.SIGHUP)
	}
	return c
}

// grace is how long transfers may go on after a stop.
func (s *serving) grace() time.Duration {
	if s.Grace == nil {
		return agentGrace
	}
	return time.Duration(*s.Grace)
}

// agentGrace is the agent's; in the foreground a person waits for it.
const agentGrace = 10 * time.Second
