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
	"regexp"
	"sync"
	"sync/atomic"
	"time"
)

// tlsTimeout is for the server's reply to AUTH and the handshake, and less than
// the greeting has: that one is shown to nobody before.
const tlsTimeout = 20 * time.Second

// A TLSError tells why there is no TLS with the FTP server. Err has a
// *tls.CertificateVerificationError in it where the certificate is the reason.
type TLSError struct {
	Addr  string
	Reply string // to AUTH, if it is a refusal
	Err   error  // else
}

func (e *TLSError) Error() string {
	if e.Reply != "" {
		return fmt.Sprintf("no TLS with %s: it answers AUTH TLS with %.80q", e.Addr, e.Reply)
	}
	return fmt.Sprintf("no TLS with %s: %v", e.Addr, e.Err)
}

func (e *TLSError) Unwrap() error { return e.Err }

// overTLS returns what to talk to the server through, which is server itself
// unless there is to be TLS, and what TLS of data connections is made of, or nil.
func (m *Mux) overTLS(server net.Conn, log *slog.Logger) (control net.Conn, data *tls.Config) {
	if m.TLS == nil {
		return server, nil
	}
	config := m.TLS.Clone()
	if config.ServerName == "" {
		config.ServerName, _, _ = net.SplitHostPort(m.Server)
	}
	ticket := new(ticket)
	config.ClientSessionCache = ticket
	data = config.Clone()
	data.ClientSessionCache = borrowed{ticket}
	return &tlsControl{
		Conn: server, addr: m.Server, config: config, log: log,
		replies: replyReader{r: bufio.NewReader(server), fresh: true},
	}, data
}

// A ticket is the TLS session of a control connection. Its data connections
// resume it, and no other: that is how servers know that both have one client.
type ticket struct {
	mu      sync.Mutex
	session *tls.ClientSessionState
}

func (t *ticket) Get(string) (*tls.ClientSessionState, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.session, t.session != nil
}

func (t *ticket) Put(_ string, session *tls.ClientSessionState) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.session = session
}

// borrowed is a ticket for who must not change it.
type borrowed struct{ *ticket }

func (borrowed) Put(string, *tls.ClientSessionState) {}

// tlsStream is a stream to the server inside TLS, of which we are the client
// whoever has connected to whom. The first Read or Write shakes hands.
//
// The end that it reads is TLS's, which nobody can forge. That of the stream below
// is errCut: anybody between sshd and the server can cause one.
type tlsStream struct {
	*tls.Conn
	raw net.Conn
}

func newTLSStream(raw net.Conn, config *tls.Config) *tlsStream {
	return &tlsStream{tls.Client(withoutDeadlines{raw}, config), raw}
}

// errCut is an end of the stream below TLS. Behind a handshake, some servers have no
// other for what is no download.
var errCut = errors.New("the connection ended without the end that TLS has, so it may be cut short")

// errNoHandshake is an end ahead of TLS.
var errNoHandshake = errors.New("the server ended the connection before TLS was there")

// HandshakeContext never fails with io.EOF, which crypto/tls makes of an end in plain,
// and which would be an empty file to a reader.
func (c *tlsStream) HandshakeContext(ctx context.Context) error {
	err := c.Conn.HandshakeContext(ctx)
	if err == io.EOF || errors.Is(err, errCut) {
		return errNoHandshake
	}
	return err
}

func (c *tlsStream) Read(p []byte) (int, error) {
	if err := c.HandshakeContext(context.Background()); err != nil {
		return 0, err
	}
	return c.Conn.Read(p)
}

func (c *tlsStream) Write(p []byte) (int, error) {
	if err := c.HandshakeContext(context.Background()); err != nil {
		return 0, err
	}
	return c.Conn.Write(p)
}

// CloseWrite tells the server that the data is whole and ends our half.
func (c *tlsStream) CloseWrite() error {
	err := c.HandshakeContext(context.Background()) // an empty file may be the first that it hears of us
	if err == nil {
		err = c.Conn.CloseWrite()
	}
	return errors.Join(err, closeWrite(c.raw))
}

// Close lets the stream go without a word of TLS's, so that what was not ended by
// CloseWrite looks cut off to the server.
func (c *tlsStream) Close() error { return c.raw.Close() }

// finish ends a stream from which all was read, with TLS's own end where there is
// TLS: some servers wait for it.
func finish(c net.Conn) {
	if t, ok := c.(*tlsStream); ok {
		t.CloseWrite()
	}
	c.Close()
}

// withoutDeadlines is a stream as crypto/tls needs it: Remote's streams need not
// have deadlines, and crypto/tls takes io.EOF, and a bare io.ErrUnexpectedEOF, for its
// own end.
type withoutDeadlines struct{ net.Conn }

func (c withoutDeadlines) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	switch err {
	case io.EOF:
		err = errCut
	case io.ErrUnexpectedEOF:
		err = fmt.Errorf("connection lost: %w", err)
	}
	return n, err
}

func (withoutDeadlines) SetDeadline(time.Time) error      { return nil }
func (withoutDeadlines) SetReadDeadline(time.Time) error  { return nil }
func (withoutDeadlines) SetWriteDeadline(time.Time) error { return nil }

// A tlsControl is a control connection that goes on inside TLS behind the server's
// greeting: RFC 4217, section 4. Its reader gets that greeting once TLS is
// there, or a *TLSError; its writer can send nothing before.
type tlsControl struct {
	net.Conn // below TLS
	addr     string
	config   *tls.Config
	log      *slog.Logger
	replies  replyReader // in plain
	unread   []byte      // of the greeting
	err      error       // behind it
	tls      atomic.Pointer[tlsStream]
}

func (c *tlsControl) Read(p []byte) (int, error) {
	for len(c.unread) == 0 {
		if t := c.tls.Load(); t != nil {
			n, err := t.Read(p)
			if err == errCut { // as servers leave; transfers have had their replies by then
				err = io.EOF
			}
			return n, err
		}
		if c.err != nil {
			return 0, c.err
		}
		c.unread, c.err = c.greeting()
	}
	n := copy(p, c.unread)
	c.unread = c.unread[n:]
	return n, nil
}

func (c *tlsControl) Write(p []byte) (int, error) {
	if t := c.tls.Load(); t != nil {
		return t.Write(p)
	}
	return 0, errors.New("nothing is sent outside TLS")
}

func (c *tlsControl) CloseWrite() error {
	if t := c.tls.Load(); t != nil {
		return t.CloseWrite()
	}
	return c.Close()
}

// greeting reads a reply of the greeting, and starts TLS if that is the one that
// lets us in.
func (c *tlsControl) greeting() ([]byte, error) {
	code, reply, err := c.reply()
	switch {
	case err != nil, code == 0: // whoever reads it will say what it is
		return reply, cmp.Or(err, io.EOF)
	case code < 200:
		return reply, nil
	case code >= 300:
		return reply, io.EOF // we are turned away
	}
	if err := c.startTLS(); err != nil {
		return nil, err
	}
	return reply, nil
}

// startTLS asks for TLS and shakes hands. Nothing that came in plain is left to be
// taken for a reply from inside TLS.
func (c *tlsControl) startTLS() error {
	no := func(err error) error { return &TLSError{Addr: c.addr, Err: err} }
	if c.replies.r.Buffered() > 0 {
		return no(errors.New("it sends more than its greeting before it is asked anything, as if somebody had tampered with the connection"))
	}
	ctx, cancel := context.WithTimeoutCause(context.Background(), tlsTimeout, fmt.Errorf("nothing came of AUTH TLS within %v", tlsTimeout))
	defer cancel()
	defer context.AfterFunc(ctx, func() { c.Close() })()
	because := func(err error) error { return no(cmp.Or(context.Cause(ctx), err)) }

	if _, err := io.WriteString(c.Conn, "AUTH TLS\r\n"); err != nil {
		return because(err)
	}
	code, reply, err := c.reply()
	switch {
	case err != nil:
		return because(err)
	case code != 234:
		return &TLSError{Addr: c.addr, Reply: lastLine(reply)}
	case c.replies.r.Buffered() > 0: // CVE-2021-22947 and its like
		return no(errors.New("bytes in plain came behind its reply to AUTH TLS, as if somebody had tampered with the connection"))
	}
	t := newTLSStream(c.Conn, c.config)
	if err := t.HandshakeContext(ctx); err != nil {
		return because(err)
	}
	state := t.ConnectionState()
	c.log.Info("TLS with the server", "version", tls.VersionName(state.Version), "cipher", tls.CipherSuiteName(state.CipherSuite))
	c.tls.Store(t)
	return nil
}

// reply reads one, whole. Its code is 0 if it is none.
func (c *tlsControl) reply() (code int, text []byte, err error) {
	for {
		line, err := c.replies.next()
		text = append(text, line.raw...)
		switch {
		case err != nil, line.code == 0, line.last:
			return line.code, text, err
		case len(text) > maxReply:
			return 0, text, fmt.Errorf("a reply of %s is over %d KiB", c.addr, maxReply>>10)
		}
	}
}

// protect has the server encrypt its data connections, once for each login: RFC
// 4217, section 9. It ends with a call of refuse, with the reply that the client
// is to get, or of done.
func (s *session) protect(refuse func(reply string), done func()) {
	if s.tls == nil || s.protected {
		done()
		return
	}
	s.ask("PBSZ 0", func(int, string) {}) // what it is worth, PROT will tell
	s.ask("PROT P", func(code int, reply string) {
		switch {
		case code == 200:
			s.protected = true
			done()
		case code == 0, final(reply):
			refuse(reply)
		default:
			refuse("425 The server does not encrypt data connections: " + oneLine(reply))
		}
	})
}

// user passes USER on: with a new login, protection may be to be asked for again.
func (s *session) user(cmd command) {
	s.protected, s.loggedIn = false, false
	s.dropSpare("USER")
	user := printable(cmd.arg)
	s.view.user.Store(&user)
	s.image = false // with some servers
	s.forward(&exchange{cmd: cmd}, nil)
}

var tlsWords = regexp.MustCompile(`(?i)\b(TLS|SSL|encrypt\w*|cleartext|AUTH first)\b`)

// DemandsTLS tells whether reply is the refusal of a server that lets nobody in
// without TLS.
func DemandsTLS(reply string) bool {
	code, _ := replyCode([]byte(reply))
	return code >= 400 && tlsWords.MatchString(reply)
}

// noticeTLS tells in the log what a server is after that refuses x for want of TLS, or
// of a session in which data may come: crypto/tls resumes none without a ticket.
func (s *session) noticeTLS(x *exchange, line replyLine) {
	if s.tls != nil {
		_, ticket := s.tls.ClientSessionCache.Get("")
		if x.data != nil && (line.code == 425 || line.code == 522) && !ticket {
			s.log.Warn("the FTP server may want data connections to resume a TLS session, and gave no ticket for it",
				"reply", oneLine(string(line.raw)), "mend", "TLS 1.3 or session tickets at the server, or no such demand")
		}
		return
	}
	login := x.cmd.name == "USER" || x.cmd.name == "PASS"
	data := x.data != nil && (line.code == 521 || line.code == 522)
	if !x.own && (login || data) && DemandsTLS(string(line.raw)) {
		s.log.Warn("the FTP server insists on TLS", "reply", oneLine(string(line.raw)), "mend", "--tls upstream")
	}
}
