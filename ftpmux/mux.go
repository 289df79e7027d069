// Package ftpmux sits between FTP clients and one FTP server and rewrites the
// few lines that carry an address, so that every data connection takes the
// same path as the control connection. All other lines pass byte for byte.
//
//   - PORT, and the 227 reply to PASV: RFC 959, sections 4.1.2 and 4.2
//   - EPRT, and the 229 reply to EPSV: RFC 2428, sections 2 and 3
//   - replies, their order and their lines: RFC 959, sections 4.2 and 5.4
//   - Telnet in front of a command: RFC 959, section 4.1.3; RFC 1123, section 4.1.2.10
//
// How the client gets its data connection and how the server gets its own are
// negotiated apart and then joined, so either may use the mode it likes.
//
// Addresses in these lines are not followed, only ports are used, and neither
// side can aim a data connection at a third host (but see Mux.AllowFXP) or at a
// port below 1024: RFC 2577, section 3. AUTH is refused, because an encrypted control
// connection cannot be rewritten; so are LPRT, LPSV, SPSV, CPSV and SSCN. With a
// server that insists on TLS the mux speaks it itself (Mux.TLS): RFC 4217.
// A transfer that did not complete is never shown as one that did.
package ftpmux

import (
	"bufio"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Remote is a network as one side sees it: all that this package knows of a
// tunnel. Its streams read as io.EOF only where the peer has ended them, and as
// another error where the way to the peer broke.
type Remote interface {
	// DialContext opens a stream to addr. The stream has CloseWrite() error;
	// deadlines are not used. The end of ctx ends the dialling, and not the stream. An
	// error of the way, where addr may be reachable, is an io.ErrUnexpectedEOF.
	DialContext(ctx context.Context, network, addr string) (net.Conn, error)

	// Listen accepts streams that arrive at addr. Port 0 picks a free port;
	// the listener's Addr tells which.
	Listen(ctx context.Context, network, addr string) (net.Listener, error)
}

// DataMode says how the FTP server gets its data connections.
type DataMode string

const (
	// Auto gives a passive client a passive server. An active client gets an
	// active server where that works, and else a passive one.
	Auto DataMode = "auto"
	// Passive asks the server for a passive port whatever the client uses.
	Passive DataMode = "passive"
	// Active has the server connect to a listener of the far side's, for
	// servers without a passive mode. The server must be on its loopback.
	Active DataMode = "active"
)

// OnLoopback tells whether addr, host:port, is on its machine's loopback. An FTP
// server there can reach a listener of the far side's, which by sshd's default is
// on loopback only; other servers cannot be Active.
func OnLoopback(addr string) bool {
	host, _, _ := net.SplitHostPort(addr)
	ip, err := netip.ParseAddr(host)
	return strings.EqualFold(host, "localhost") || err == nil && ip.IsLoopback()
}

// A Mux serves FTP clients with one FTP server. Its fields must not change
// once it serves; several goroutines may call its methods.
type Mux struct {
	// Remote reaches the FTP server. Required.
	Remote Remote

	// DataRemote opens the data connections to the FTP server's passive ports, where
	// that is another than Remote; nil is Remote. Data may then be there ahead of what was
	// sent before it by a stream of Remote's; where the order matters, that stream's method
	// Arrived(context.Context) error is called, if it has one, which returns when what was
	// written to it is at the far side.
	DataRemote Remote

	// Server is the FTP server's address, host:port, as Remote understands it.
	Server string

	// Local reaches the FTP clients; nil is the network of this machine.
	Local Remote

	// Data is the server's side of data connections; "" is Auto.
	Data DataMode

	// AllowFXP lets a client have its data connections made to another host, by
	// PORT or EPRT: this machine's Local connects there, in plain. RFC 2577, section
	// 3, is about why that is not so by itself. No loopback, link-local or multicast
	// address will do, but for a client on this machine, which may name the loopback.
	AllowFXP bool

	// TLS has the mux speak TLS to the server, on the control connection and on data
	// connections; its clients stay in plain. Without a ServerName the host in Server
	// is what the certificate is compared with; ClientSessionCache is the mux's own.
	// nil is plain FTP.
	TLS *tls.Config

	// Prefetch answers what the server is known to grant before it does, so that a
	// client waits for fewer round trips.
	Prefetch bool

	// Grace is how long transfers may go on after Serve was told to stop.
	Grace time.Duration

	// Logger gets sessions at Info, and transfers, what was rewritten and the whole
	// conversation, without passwords, at Debug; nil discards.
	Logger *slog.Logger

	// Ended is called once for each transfer that a client has asked for, when it is
	// over: complete, broken, or refused here or by the server. Several sessions may
	// call it at a time, each from the loop on which all of it waits, so it must not
	// block. nil: nobody is told.
	Ended func(TransferEnd)

	// IDs numbers sessions and transfers; nil: by a Sequence of the mux's own.
	IDs *Sequence

	ownIDs Sequence
	views  views
	tally  tally
	habits habits
}

// Limits of one session.
const (
	dialTimeout     = 30 * time.Second      // to reach the server, or an active client
	greetingTimeout = 30 * time.Second      // for the server's first reply
	acceptTimeout   = 30 * time.Second      // for a client to come to its data port
	replyTimeout    = 60 * time.Second      // for a reply that others wait for
	deathWatch      = 3 * time.Millisecond  // between the ends of a killed client's connections
	longDeathWatch  = 50 * time.Millisecond // ... at most, for an upload that took long
	abortPatience   = time.Second           // for a server to heed ABOR before its data ends
	earlyPatience   = time.Second           // for a 125 or 150 behind a 226
	lingerTimeout   = time.Second           // for a client to read our last words
)

// deathWatchShare is which part of an upload's time a longer deathWatch may take.
const deathWatchShare = 50

// Serve answers FTP clients on ln until ctx is done; then it closes ln, ends
// idle sessions with 421 at once and those with a transfer when that is
// through, after Grace at the latest, and returns nil. The failure of one
// client is logged and does not end the others, and so is a passing lack of
// descriptors. It returns an error only when ln fails.
func (m *Mux) Serve(ctx context.Context, ln net.Listener) error {
	var sessions sync.WaitGroup
	defer sessions.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer ln.Close()
	defer context.AfterFunc(ctx, func() { ln.Close() })()
	for pause := minPause; ; {
		c, err := ln.Accept()
		switch {
		case err == nil:
			pause = minPause
			sessions.Go(func() { m.ServeConn(ctx, c) })
		case ctx.Err() != nil:
			return nil
		case !passing(err):
			return fmt.Errorf("accepting FTP clients on %s: %w", ln.Addr(), err)
		default:
			m.logger().Warn("cannot accept an FTP client", "error", err, "pause", pause)
			select {
			case <-time.After(pause):
			case <-ctx.Done():
			}
			pause = min(2*pause, maxPause)
		}
	}
}

// How long Serve waits when the system has nothing left for another client.
const (
	minPause = 5 * time.Millisecond
	maxPause = time.Second
)

// passing tells whether accepting may work again later.
func passing(err error) bool {
	for _, e := range []syscall.Errno{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ECONNABORTED} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// ServeConn serves one client and returns when its session is over and all of
// its goroutines have ended. It closes c. The end of ctx ends it as in Serve.
func (m *Mux) ServeConn(ctx context.Context, c net.Conn) {
	id := m.ids().sessions.Add(1)
	log := m.logger().With("session", id)
	client := prepareControl(c)
	defer client.Close()

	dialCtx, cancel := context.WithTimeout(ctx, dialTimeout)
	server, err := m.Remote.DialContext(dialCtx, "tcp", m.Server)
	cancel()
	if err != nil {
		log.Warn("no way to the FTP server", "client", c.RemoteAddr(), "server", m.Server, "error", err)
		fmt.Fprintf(client, "421 %s\r\n", oneLine(err.Error()))
		lingeringClose(client)
		return
	}
	defer server.Close()
	log.Info("session begins", "client", c.RemoteAddr(), "server", m.Server)
	control, dataTLS := m.overTLS(server, log)
	s := newSession(m, log, client, control)
	s.way, s.tls = server, dataTLS
	s.view = m.views.add(id, c.RemoteAddr().String())
	defer m.views.remove(s.view)
	m.tally.sessions.Add(1)
	s.run(ctx)
	log.Info("session ends", "reason", s.reason)
}

// Check connects to the FTP server, reads its greeting and leaves. It returns
// nil for a server that speaks FTP, also when it turns guests away, a
// *NotFTPError for one that does not, and a *TLSError for one with which there is
// no TLS where there should be. The end of ctx ends the attempt.
func (m *Mux) Check(ctx context.Context) error {
	server, err := m.Remote.DialContext(ctx, "tcp", m.Server)
	if err != nil {
		return err
	}
	defer server.Close()
	defer context.AfterFunc(ctx, func() { server.Close() })()

	control, _ := m.overTLS(server, m.logger())
	replies := replyReader{r: bufio.NewReader(control), fresh: true}
	var first string
	for {
		line, err := replies.next()
		first = cmp.Or(first, string(line.raw))
		noTLS, isTLS := errors.AsType[*TLSError](err)
		switch {
		case isTLS:
			return noTLS
		case ctx.Err() != nil:
			return &NotFTPError{Addr: m.Server, Got: first, Err: ctx.Err()}
		case err != nil:
			return &NotFTPError{Addr: m.Server, Got: first, Err: err}
		case line.code == 0:
			return &NotFTPError{Addr: m.Server, Got: first}
		case line.last && line.code >= 200:
			fmt.Fprint(control, "QUIT\r\n")
			return nil
		}
	}
}

// A NotFTPError tells that what listens at the server's address does not
// greet as an FTP server does.
type NotFTPError struct {
	Addr string
	Got  string // what it sent first; "" for nothing
	Err  error  // why there was no more, or nil
}

func (e *NotFTPError) Error() string {
	code, _ := replyCode([]byte(e.Got))
	switch {
	case code != 0:
		return fmt.Sprintf("the greeting of %s has no end; it begins with %.60q", e.Addr, oneLine(e.Got))
	case e.Got != "":
		return fmt.Sprintf("%s does not speak FTP but %s: it greets with %.60q", e.Addr, speaks(e.Got), oneLine(e.Got))
	case errors.Is(e.Err, context.DeadlineExceeded):
		return fmt.Sprintf("%s took the connection and said nothing, where an FTP server greets; HTTP, or TLS from the first byte, would wait like that", e.Addr)
	}
	return fmt.Sprintf("%s ended the connection before a greeting: %v", e.Addr, e.Err)
}

func (e *NotFTPError) Unwrap() error { return e.Err }

// speaks names the protocol that greets with got.
func speaks(got string) string {
	for _, p := range []struct{ prefix, name string }{
		{"SSH-", "SSH"},
		{"HTTP/", "HTTP"},
		{"<", "HTTP"},
		{"\x15\x03", "TLS"},
		{"\x16\x03", "TLS"},
		{"* OK", "IMAP"},
		{"+OK", "POP3"},
	} {
		if strings.HasPrefix(got, p.prefix) {
			return p.name
		}
	}
	return "something else"
}

func (m *Mux) logger() *slog.Logger {
	if m.Logger == nil {
		return slog.New(slog.DiscardHandler)
	}
	return m.Logger
}

func (m *Mux) local() Remote {
	if m.Local == nil {
		return localNetwork{}
	}
	return m.Local
}

func (m *Mux) dataRemote() Remote {
	if m.DataRemote == nil {
		return m.Remote
	}
	return m.DataRemote
}

// localNetwork is the network of this machine.
type localNetwork struct{}

func (localNetwork) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, network, addr)
}

func (localNetwork) Listen(ctx context.Context, network, addr string) (net.Listener, error) {
	var lc net.ListenConfig
	return lc.Listen(ctx, network, addr)
}

// lingeringClose ends c so that what was written to it still arrives: a close
// with unread bytes in the receive buffer would be a reset.
func lingeringClose(c net.Conn) {
	closeWrite(c)
	timer := time.AfterFunc(lingerTimeout, func() { c.Close() })
	io.Copy(io.Discard, c)
	timer.Stop()
	c.Close()
}

// closeWrite ends c's outgoing half.
func closeWrite(c net.Conn) error {
	if h, ok := c.(interface{ CloseWrite() error }); ok {
		return h.CloseWrite()
	}
	return c.Close()
}

// reset closes c so that the peer cannot take it for the end of a file.
func reset(c net.Conn) {
	if l, ok := c.(interface{ SetLinger(sec int) error }); ok {
		l.SetLinger(0)
	}
	c.Close()
}

// addrOf returns the IP address of a, without an IPv4-mapped prefix; it is
// invalid where a has none.
func addrOf(a net.Addr) netip.Addr {
	ap, _ := netip.ParseAddrPort(a.String())
	return ap.Addr().Unmap()
}

// oneLine makes text fit for one line of a reply.
func oneLine(text string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, text))
}
