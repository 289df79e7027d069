// Package tunnel makes and keeps one SSH connection to a destination and lends
// out its forwardings as Go connections and listeners.
//
//   - Transport and host keys: RFC 4253, with known_hosts as ssh reads it
//   - publickey and password: RFC 4252; keyboard-interactive: RFC 4256
//   - Channels: RFC 4254, section 5; direct-tcpip and tcpip-forward: section 7
//
// What comes out behaves as a TCP connection does: it can be closed by halves,
// closing it frees whoever is blocked in it, and a link that broke reads as a
// [LostError], never as the end of a stream.
//
// A connection is made when somebody needs it, or kept up by [Tunnel.Keep], which makes
// it anew when it is lost, at once after a sleep or when the network is back, and leaves
// alone who has refused it. [Tunnel.State] tells how it is.
//
// The way there is TCP, other SSH servers (ProxyJump), or a ProxyCommand, which the
// user's shell runs as ssh has it run: it may use the terminal, and ends with the
// connection. Where the configuration names a live ControlMaster, its connection is
// used, and [Options].SSH has the system's ssh make one; then keys and trust are ssh's
// affair, and nothing is asked to listen.
//
// A host key that is not the one on file is refused whatever the configuration
// says, where ssh with StrictHostKeyChecking no goes on; keys that a server announces
// for later (UpdateHostKeys) are not learnt. On the server the package runs nothing
// but the "true" that each connection starts, for sshd's sake; it prints nothing, and
// what it has to ask goes through [Prompter].
package tunnel

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pasvport/pasvport/sshconf"
)

// Prompter asks the person in front of the program. A Prompter is asked one
// thing at a time, and gives up with an error when ctx is done; a Close of the
// tunnel waits for that. All questions about one connection, which is one for each
// hop, come with the same ctx, and no others do. An error ends the attempt to connect.
type Prompter interface {
	// Secret asks for what must not be shown while it is typed.
	Secret(ctx context.Context, prompt string) (string, error)
	// Ask asks for what may be shown.
	Ask(ctx context.Context, prompt string) (string, error)
}

// Options are what a Tunnel needs besides the destination. The zero value will do.
type Options struct {
	// Jump resolves a hop of ProxyJump. Without it, ProxyJump is an error.
	Jump func(hop string) (*sshconf.Host, error)
	// Prompter asks for passwords, passphrases and the word on unknown host
	// keys. When it is nil, whatever would be asked is refused.
	Prompter Prompter
	// SSH has the system's ssh make the connection: these are its arguments, the
	// destination last. Nil: the package makes it itself. That ssh asks on the
	// terminal, until it has connected once; on Linux it ends even if we are killed.
	SSH []string
	// Stderr gets what that ssh prints there, as it comes: banners, and what it has
	// to say about keys to be touched. Nil: the log gets it.
	Stderr io.Writer
	// Trace is told of each stage of the way that was passed, one at a time. May be nil.
	Trace func(Stage)
	// Patience is how long DialContext and Listen wait for the connection while Keep
	// runs and it is down: then they fail with what the last attempt failed with, and at
	// once when Keep rests. 0: they wait for an attempt that is under way, and for no other.
	Patience time.Duration
	// Connections is how many SSH connections the streams of Spread may use, the
	// tunnel's own among them. 0 is 1.
	Connections int
	// Changed is told of each change of the State, in order and one at a time. It may
	// call the tunnel's methods but for Close, which waits for it. May be nil.
	Changed func(State)
	// Logger gets the log, which never holds a secret. Nil discards it.
	Logger *slog.Logger
}

// A Stage is a part of connecting that went well.
type Stage struct {
	Host   string // as in the configuration; a hop or the destination
	Name   string // dns, tcp, hostkey or auth; proxy and master where they stand for what they spare
	Detail string // for people: addresses, the key, the method; a master's socket or ssh's command line
}

// A Tunnel is one SSH connection to one destination, made when it is needed and
// made anew when it is needed after it was lost, or kept up by Keep. Its methods may
// be called by several goroutines at once.
type Tunnel struct {
	host   *sshconf.Host
	opts   Options
	log    *slog.Logger
	keys   keyring
	prompt sync.Mutex // one question at a time
	stages sync.Mutex // one call of Trace at a time
	net    network
	senses senses

	spread *Spread

	reached atomic.Bool // Keep's attempt has got somewhere

	wg      sync.WaitGroup // the attempts, each as long as its link lives; Keep; who tells Changed
	mu      sync.Mutex
	closed  bool
	link    *link    // nil before the first, may be dead
	attempt *attempt // nil unless one is under way
	backoff backoff
	upOnce  bool // ssh has made a connection for us, and was asked whatever it asks

	keeping bool
	state   State         // what follows from the rest here: see note
	moved   chan struct{} // closed when state changes
	untold  []State       // for Changed, the one that it is being told included
	made    int           // links
	upSince time.Time     // the last one's beginning
	tried   time.Time     // the last attempt's end
	err     error         // why there is no link; nil if there is or was never to be one
	rest    bool          // err is one that trying again does not mend
	cut     bool          // the last attempt ended in the middle of a login
}

// An attempt is one connecting, shared by all who wait for it.
type attempt struct {
	waiters int // under Tunnel.mu; nobody left cancels it
	cancel  context.CancelFunc
	done    chan struct{}
	link    *link // these two once done is closed
	err     error
}

// New returns the tunnel to host. It connects nothing yet. Neither host nor what
// Jump returns may be changed afterwards.
func New(host *sshconf.Host, opts Options) *Tunnel {
	log := opts.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	t := &Tunnel{host: host, opts: opts, log: log, moved: make(chan struct{}), state: State{Phase: Idle, Since: time.Now()}}
	t.spread = newSpread(t)
	return t
}

// Connect makes the SSH connection unless one is up. Callers that come while it
// is being made share the attempt and its outcome; it goes on as long as one of
// them still waits. It tries in any case, while DialContext and Listen give the
// error of a failed attempt again for a second, and up to a minute when attempts
// go on failing or the login or host key was refused. Its success is what a Keep that
// rests waits for. Its errors hold a
// [ConnectError], [HostKeyError], [AuthError], [ViaSSHError], or net.ErrClosed
// after Close.
func (t *Tunnel) Connect(ctx context.Context) error {
	_, err := t.up(ctx, true)
	return err
}

// DialContext opens a stream to addr, as the SSH server sees it: host:port with
// a numeric port; network is tcp, tcp4 or tcp6 and tells the server nothing. It
// connects first when there is no live connection, or waits for one while Keep runs
// (see [Options].Patience). The end of ctx ends the dialling at once and has no say
// over the stream. A refusal by the server is an [OpenError].
//
// The stream has CloseWrite() error and no deadlines. Reading it gives io.EOF only
// when the peer has ended it, and a [LostError] when the connection has died.
func (t *Tunnel) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	host, port, err := dialable(network, addr)
	if err != nil {
		return nil, err
	}
	l, err := t.borrow(ctx)
	if err != nil {
		return nil, err
	}
	return l.dial(ctx, host, port)
}

// Listen has the SSH server listen at addr and returns what arrives there; port
// 0 takes a free one, which the listener's Addr tells. A server may listen on
// another address than it was asked to and not say so. It connects first when
// there is no live connection, or waits for one as DialContext does. A refusal is a
// [ForwardError], and so is that a ControlMaster has the connection: then nobody is
// asked. A listener ends with its SSH connection. Streams that nobody accepts are
// few: 16 wait, more are refused.
func (t *Tunnel) Listen(ctx context.Context, network, addr string) (net.Listener, error) {
	host, port, err := splitAddr(network, addr)
	if err != nil {
		return nil, err
	}
	l, err := t.borrow(ctx)
	if err != nil {
		return nil, err
	}
	return l.listen(ctx, host, port)
}

// Close ends the connection, all that runs over it, and Keep. It waits for their
// goroutines, and until Changed was told. What is called afterwards fails with
// net.ErrClosed.
func (t *Tunnel) Close() error {
	t.mu.Lock()
	t.closed = true
	t.note()
	if t.attempt != nil {
		t.attempt.cancel()
	}
	l := t.link
	t.mu.Unlock()
	t.spread.cancel()
	if l != nil {
		l.fail(net.ErrClosed)
	}
	t.wg.Wait()
	return nil
}

// up returns a link that was alive a moment ago. Unless it is asked to insist, it
// gives the last attempt's error again while that is fresh.
func (t *Tunnel) up(ctx context.Context, insist bool) (*link, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	t.mu.Lock()
	switch {
	case t.closed:
		t.mu.Unlock()
		return nil, t.errClosed()
	case t.link != nil && t.link.alive():
		defer t.mu.Unlock()
		return t.link, nil
	case t.attempt == nil && !insist && t.backoff.err != nil && time.Now().Before(t.backoff.until):
		defer t.mu.Unlock()
		return nil, t.backoff.err
	case t.attempt == nil:
		actx, cancel := context.WithCancel(context.Background())
		t.attempt = &attempt{cancel: cancel, done: make(chan struct{})}
		a := t.attempt
		t.wg.Go(func() { t.run(actx, a) })
		t.note()
	}
	a := t.attempt
	a.waiters++
	t.mu.Unlock()

	select {
	case <-a.done:
		return a.link, a.err
	case <-ctx.Done():
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if a.waiters--; a.waiters == 0 {
		a.cancel()
		if t.attempt == a {
			t.attempt = nil // whoever comes next starts over
			t.tried = time.Now()
			t.note()
		}
	}
	return nil, fmt.Errorf("connecting to %s: %w", display(t.host), ctx.Err())
}

// run makes the attempt, hands out its link and stays until that has ended.
func (t *Tunnel) run(ctx context.Context, a *attempt) {
	defer a.cancel()
	a.link, a.err = t.connect(ctx)
	t.mu.Lock()
	if t.attempt == a {
		t.attempt = nil
	}
	if ctx.Err() == nil {
		t.backoff.after(a.err)
		t.tried = time.Now()
	}
	switch {
	case a.err == nil && (t.closed || a.waiters == 0):
		a.link.fail(net.ErrClosed)
	case a.err == nil:
		t.link = a.link
		t.made, t.upSince = t.made+1, time.Now()
		t.err, t.rest, t.cut = nil, false, false
	case ctx.Err() == nil:
		t.failed(a.err)
	}
	t.note()
	if t.closed {
		a.err = t.errClosed()
	}
	t.mu.Unlock()
	close(a.done)
	if a.link != nil {
		<-a.link.done
		t.lost(a.link)
		a.link.wait()
	}
}

// goes starts f, for which Close waits, unless the tunnel is closed.
func (t *Tunnel) goes(f func()) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.closed {
		t.wg.Go(f)
	}
	return !t.closed
}

func (t *Tunnel) errClosed() error {
	return fmt.Errorf("tunnel to %s: %w", display(t.host), net.ErrClosed)
}
