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
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pasvport/pasvport/cmd/pasvport/internal/api"
	"github.com/pasvport/pasvport/cmd/pasvport/internal/config"
	"github.com/pasvport/pasvport/cmd/pasvport/internal/prompt"
	"github.com/pasvport/pasvport/cmd/pasvport/internal/view"
	"github.com/pasvport/pasvport/ftpmux"
	"github.com/pasvport/pasvport/sshconf"
	"github.com/pasvport/pasvport/tunnel"
)

// checkTimeout is for an FTP server's greeting at the start: some look the
// client's name up first.
const checkTimeout = 30 * time.Second

// serve is a tunnel in the foreground. It returns nil when a signal ended it.
func (o *options) serve(ctx context.Context, destination string, stdout, stderr io.Writer) error {
	forwards, err := o.parseForwards(config.DefaultBind)
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
func (o *options) parseForwards(bind string) ([]config.Forward, error) {
	forwards, err := o.Forwards(bind)
	return forwards, asFlags(err)
}

// serving is a tunnel with its listeners.
type serving struct {
	config.Tunnel
	means
	tls   *tls.Config // towards the FTP server; nil for none
	host  *sshconf.Host
	ssh   *tunnel.Tunnel
	unmet *unmet
	jump  func(hop string) (*sshconf.Host, error)
	links []link
}

// link is one -L at work.
type link struct {
	ln  net.Listener
	mux *ftpmux.Mux
}

// url is where FTP clients are pointed at.
func (l link) url() string { return ftpURL(l.ln.Addr().String()) }

// ftpURL is for clients, of the address of a listener.
func ftpURL(addr string) string {
	host, port, _ := net.SplitHostPort(addr)
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
	ids     *ftpmux.Sequence         // of sessions and transfers; nil for their own
	ended   func(ftpmux.TransferEnd) // is told of each transfer; may be nil
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
	if o.Verbose > 0 {
		m.ended = func(e ftpmux.TransferEnd) {
			fmt.Fprintln(stderr, view.TransferLine(api.Transfer(e.TransferInfo), e.Duration, e.Reason))
		}
	}
	return m
}

// prepare resolves the destination and connects nothing yet. The tunnel is the
// caller's to close.
func (o *options) prepare(destination string, with means) (*serving, error) {
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
		with.log.Warn("--tls-insecure: any certificate of the FTP server's is taken")
	}
	s := &serving{Tunnel: o.Tunnel, means: with, tls: tlsConfig, host: host, unmet: newUnmet(with.log)}
	s.unmet.add(host)
	s.jump = func(hop string) (*sshconf.Host, error) {
		h, err := resolver.Jump(hop)
		if err == nil {
			s.unmet.add(h)
		}
		return h, err
	}
	opts := with.tunnel
	opts.Jump, opts.Logger, opts.Connections = s.jump, s.log, o.Connections
	if o.ViaSSH {
		opts.SSH = o.sshArgs(destination)
	}
	if s.prompts != nil { // who has BatchMode is not asked
		opts.Prompter = s.prompts
	}
	s.ssh = tunnel.New(host, opts)
	return s, nil
}

// start makes the SSH connection, looks whether FTP servers answer behind it,
// and only then listens. The end of ctx ends the attempt.
func (s *serving) start(ctx context.Context, forwards []config.Forward) error {
	if err := s.connect(ctx); err != nil {
		return err
	}
	if err := s.greet(ctx, forwards); err != nil {
		return err
	}
	links, err := s.listen(forwards, nil)
	if err != nil {
		return err
	}
	s.links = links
	if s.prompts != nil {
		s.prompts.Attend(nil)
	}
	return nil
}

// greet looks whether FTP servers answer.
func (s *serving) greet(ctx context.Context, forwards []config.Forward) error {
	for _, f := range forwards {
		if err := greets(ctx, s.mux(s.ssh, f.Server)); err != nil {
			return err
		}
	}
	return nil
}

// listen opens the listeners; those that are passed come in place of the first ones.
func (s *serving) listen(forwards []config.Forward, passed []net.Listener) ([]link, error) {
	var links []link
	for i, f := range forwards {
		listen := func() (net.Listener, error) { return net.Listen("tcp", f.Bind) }
		if i < len(passed) {
			listen = func() (net.Listener, error) { return another(passed[i]) }
		}
		ln, err := listen()
		if err != nil {
			for _, l := range links {
				l.ln.Close()
			}
			return nil, &listenError{err}
		}
		mux := s.mux(s.ssh, f.Server)
		if s.Connections > 1 {
			mux.DataRemote = s.ssh.Spread()
		}
		links = append(links, link{ln, mux})
	}
	return links, nil
}

// another is a listener on the socket of ln, which stays open when it is closed.
func another(ln net.Listener) (net.Listener, error) {
	tcp, ok := ln.(*net.TCPListener)
	if !ok {
		return nil, fmt.Errorf("the socket %s that was passed is not of TCP", ln.Addr())
	}
	file, err := tcp.File()
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return net.FileListener(file)
}

// connect makes the SSH connection.
func (s *serving) connect(ctx context.Context) error {
	err := s.ssh.Connect(ctx)
	if err == nil || ctx.Err() != nil {
		return err
	}
	return s.explained(err)
}

// explained adds to what a connection ended with what is known of its destination.
func (s *serving) explained(err error) error {
	if s.ViaSSH {
		return &sshError{err: err}
	}
	return &sshError{err, append(tunnelHints(err, s.host.Alias), s.unmet.hints(err)...), unaskedHints(err, s.host, s.prompts != nil && !s.host.BatchMode)}
}

// mux serves FTP clients with the server at addr.
func (s *serving) mux(remote ftpmux.Remote, addr string) *ftpmux.Mux {
	return &ftpmux.Mux{
		Remote:   remote,
		Server:   addr,
		Data:     ftpmux.DataMode(s.Data),
		TLS:      s.tls,
		AllowFXP: s.AllowFXP,
		Prefetch: s.Prefetch == nil || *s.Prefetch,
		Grace:    s.grace(),
		IDs:      s.ids,
		Ended:    s.ended,
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

// grace is how long transfers may go on after a stop.
func (s *serving) grace() time.Duration {
	if s.Grace == nil {
		return config.AgentGrace
	}
	return time.Duration(*s.Grace)
}
