package tunnel

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/pasvport/pasvport/sshconf"
)

// A ControlMaster shares its connection over a socket (ssh_config(5)), in either
// of two ways. In the one that ssh.NewControlClientConn speaks, it passes on
// packets, and keeps a record of each channel that sshd refused until the client
// goes; then it wants to close what was never open, and OpenSSH (9.2 was tried)
// dies of that, with every shell on it. So the other way is used here, that of
// "ssh -W": a connection to the socket for each stream, over which the master is
// handed two pipes and opens the channel itself. A client may then be refused,
// or be killed, whenever it likes.

// The messages of the multiplexing protocol that are used here; PROTOCOL.mux in
// OpenSSH's source has them all.
const (
	muxHello       = 0x00000001
	muxNewSession  = 0x10000002
	muxAliveCheck  = 0x10000004
	muxNewStdioFwd = 0x10000008

	muxDenied  = 0x80000002
	muxFailure = 0x80000003
	muxAlive   = 0x80000005
	muxOpened  = 0x80000006

	muxVersion   = 4
	muxMaxPacket = 64 << 10 // what is read here is far shorter
)

// masterPatience is for a master's first words.
const masterPatience = 5 * time.Second

var (
	errMasterGone  = errors.New("the ssh process that shares the connection has ended")
	errNoListening = errors.New("a shared connection is not asked to listen")
)

// A muxMsg is any message: what it is, a number that is the request's but in the
// hello, and what depends on the type.
type muxMsg struct {
	Type   uint32
	Number uint32
	Rest   []byte `ssh:"rest"`
}

// readMux reads one message.
func readMux(r io.Reader) (m muxMsg, err error) {
	var size [4]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return m, err
	}
	n := binary.BigEndian.Uint32(size[:])
	if n > muxMaxPacket {
		return m, fmt.Errorf("ssh's master sends a message of %d bytes", n)
	}
	buf := make([]byte, n)
	if _, err := io.ReadFull(r, buf); err != nil {
		return m, noEOF(err)
	}
	if err := ssh.Unmarshal(buf, &m); err != nil {
		return m, fmt.Errorf("ssh's master sends a message that is too short: % x", buf)
	}
	return m, nil
}

// words are the master's reason for a refusal.
func (m muxMsg) words() string {
	var reason struct {
		Text string
		Rest []byte `ssh:"rest"`
	}
	if ssh.Unmarshal(m.Rest, &reason) != nil {
		return ""
	}
	return reason.Text
}

// writeMux sends one message; body is what follows the type.
func writeMux(w io.Writer, kind uint32, body any) error {
	packet := ssh.Marshal(struct {
		Size, Type uint32
		Body       []byte `ssh:"rest"`
	}{Type: kind, Body: ssh.Marshal(body)})
	binary.BigEndian.PutUint32(packet, uint32(len(packet)-4))
	_, err := w.Write(packet)
	return err
}

// muxNumber is the whole body of a hello and of an alive check.
type muxNumber struct{ Number uint32 }

// A master is an ssh process that shares its connection.
type master struct {
	net.Conn // ends with the process; alive checks go over it
	path     string
	ssh      *sshProcess // if it is ours, to be ended by Close; or nil

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	mu     sync.Mutex // wg grows under it, until ctx ends
	wg     sync.WaitGroup
	turn   chan struct{} // who greets; the process's queue is short, and Go does not wait in it
	alive  chan struct{} // its answers
	ended  chan struct{} // it said its last
	err    error         // why, then
}

// attach connects to the master whose socket is at path, if it answers in time.
func attach(ctx context.Context, path string, patience time.Duration) (*master, error) {
	if err := checkOwner(path); err != nil {
		return nil, err
	}
	m := &master{path: path, turn: make(chan struct{}, 1), alive: make(chan struct{}, 1), ended: make(chan struct{})}
	m.ctx, m.cancel = context.WithCancel(context.Background())
	ctx, cancel := context.WithTimeoutCause(ctx, patience, timeoutError(patience))
	defer cancel()
	var err error
	if m.Conn, err = m.greet(ctx); err == nil {
		return m, nil
	}
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	m.cancel()
	return nil, err
}

// greet makes a connection to the master.
func (m *master) greet(ctx context.Context) (*net.UnixConn, error) {
	select {
	case m.turn <- struct{}{}:
		defer func() { <-m.turn }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	c, err := new(net.Dialer).DialContext(ctx, "unix", m.path)
	if err != nil {
		return nil, err
	}
	free := context.AfterFunc(ctx, func() { c.Close() })
	err = hello(c)
	if !free() {
		err = ctx.Err()
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	return c.(*net.UnixConn), nil
}

func hello(c net.Conn) error {
	if err := writeMux(c, muxHello, muxNumber{muxVersion}); err != nil {
		return err
	}
	msg, err := readMux(c)
	switch {
	case err != nil:
		return noEOF(err)
	case msg.Type != muxHello || msg.Number != muxVersion:
		return fmt.Errorf("ssh's master speaks another protocol (message %#x, version %d)", msg.Type, msg.Number)
	}
	return nil
}

// Close cuts all streams and lets go of the master, which lives on unless it is ours.
func (m *master) Close() error {
	m.cancel()
	if m.ssh != nil {
		m.ssh.stop()
	}
	return m.Conn.Close()
}

// wait returns when no stream is left, and none can come any more.
func (m *master) wait() {
	m.mu.Lock()
	m.cancel()
	m.mu.Unlock()
	m.wg.Wait()
}

// watch reads what the master says, by way of r, until it ends.
func (m *master) watch(r io.Reader) error {
	for {
		msg, err := readMux(r)
		if err == nil && msg.Type != muxAlive {
			err = fmt.Errorf("unexpected message %#x from ssh's master", msg.Type)
		}
		if err != nil {
			if errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) {
				err = errMasterGone
			}
			m.err = err
			close(m.ended)
			return err
		}
		select {
		case m.alive <- struct{}{}:
		default:
		}
	}
}

// ping asks whether the master lives. Its answer proves every end of a stream
// that was seen before: when the master ends or loses its connection, it answers
// no more, and only then do its pipes end of themselves.
func (m *master) ping() error {
	select {
	case <-m.alive: // nobody's
	default:
	}
	if err := writeMux(m.Conn, muxAliveCheck, muxNumber{}); err != nil {
		return err
	}
	select {
	case <-m.alive:
		return nil
	case <-m.ended:
		return m.err
	}
}

// ask sends a request that comes with files, and returns once it is granted.
func (m *master) ask(kind uint32, body any, files ...*os.File) (*net.UnixConn, error) {
	c, err := m.greet(m.ctx)
	if err != nil {
		return nil, err
	}
	free := context.AfterFunc(m.ctx, func() { c.Close() })
	err = writeMux(c, kind, body)
	for _, f := range files {
		if err == nil {
			err = sendFile(c, f)
		}
	}
	var msg muxMsg
	if err == nil {
		msg, err = readMux(c)
	}
	switch {
	case !free():
		err = net.ErrClosed
	case err != nil:
	case msg.Type == muxFailure || msg.Type == muxDenied:
		err = &ssh.OpenChannelError{Message: msg.words()}
	case msg.Type != muxOpened:
		err = fmt.Errorf("unexpected message %#x from ssh's master", msg.Type)
	}
	if err != nil {
		c.Close()
		return nil, noEOF(err)
	}
	return c, nil
}

// open has the master open a direct-tcpip channel. A refusal is an
// *ssh.OpenChannelError without a reason, which the master keeps to itself.
func (m *master) open(host string, port uint32) (stream, error) {
	var files [4]*os.File // read and write ends: towards the master, and from it
	var err error
	if files[0], files[1], err = os.Pipe(); err == nil {
		if files[2], files[3], err = os.Pipe(); err != nil {
			closeAll(files[:2]...)
		}
	}
	if err != nil {
		return nil, &ssh.OpenChannelError{Reason: ssh.ResourceShortage, Message: err.Error()}
	}
	control, err := m.ask(muxNewStdioFwd, struct {
		Number   uint32
		Reserved string
		Host     string
		Port     uint32
	}{Host: host, Port: port}, files[0], files[3])
	closeAll(files[0], files[3])
	s := &masterStream{w: files[1], r: files[2], control: control}
	if err != nil {
		closeAll(s.r, s.w)
		if errors.Is(err, syscall.EMFILE) {
			err = &ssh.OpenChannelError{Reason: ssh.ResourceShortage, Message: err.Error()}
		}
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.ctx.Err() != nil {
		s.cut()
		return nil, net.ErrClosed
	}
	stop := context.AfterFunc(m.ctx, s.cut)
	m.wg.Go(func() {
		io.Copy(io.Discard, control) // ends with the channel, or after Close
		control.Close()
		stop()
	})
	return s, nil
}

// startSession runs "true" there; see link.startSession.
func (m *master) startSession() error {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer null.Close()
	c, err := m.ask(muxNewSession, struct {
		Number                     uint32
		Reserved                   string
		TTY, X11, Agent, Subsystem uint32
		Escape                     uint32
		Term, Command              string
	}{Escape: 1<<32 - 1, Command: "true"}, null, null, null)
	if err != nil {
		return err
	}
	defer context.AfterFunc(m.ctx, func() { c.Close() })()
	io.Copy(io.Discard, c)
	return c.Close()
}

// sendFile hands f over (SCM_RIGHTS). One byte goes with it.
func sendFile(c *net.UnixConn, f *os.File) error {
	_, _, err := c.WriteMsgUnix([]byte{0}, rights(f), nil)
	return err
}

// A masterStream is a channel of a master, as two pipes and the connection over
// which they were handed to it.
type masterStream struct {
	r, w    *os.File
	control net.Conn // the master ends the channel when this ends
}

func (s *masterStream) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	return n, bare(err)
}

func (s *masterStream) Write(p []byte) (int, error) {
	n, err := s.w.Write(p)
	return n, bare(err)
}

func (s *masterStream) CloseWrite() error { return bare(s.w.Close()) }

// Close gives the master a moment to fetch what was written, as the end of the
// control connection makes it forget what is still in the pipe.
func (s *masterStream) Close() error {
	closeAll(s.w, s.r)
	return s.control.SetReadDeadline(time.Now().Add(grace))
}

// cut ends the stream as it stands.
func (s *masterStream) cut() {
	closeAll(s.w, s.r)
	s.control.Close()
}

// shared returns the link over h's live master, or nil: then a connection of our
// own is made, as ssh does in that case.
func (t *Tunnel) shared(ctx context.Context, h *sshconf.Host) *link {
	switch h.ControlMaster {
	case "yes", "ask": // ssh would be the master itself, and uses no other
		return nil
	}
	if h.ControlPath == "" || h.ControlPath == "none" {
		return nil
	}
	patience := masterPatience
	if h.ConnectTimeout > 0 {
		patience = min(patience, h.ConnectTimeout)
	}
	m, err := attach(ctx, h.ControlPath, patience)
	switch {
	case err == nil:
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, errors.ErrUnsupported):
		t.log.Debug("no ControlMaster", "host", display(h), "socket", h.ControlPath)
		return nil
	case errors.Is(err, syscall.ECONNREFUSED):
		t.log.Info("the ControlMaster is gone and has left its socket", "host", display(h), "socket", h.ControlPath)
		return nil
	default:
		t.log.Warn("the ControlMaster cannot be used", "host", display(h), "socket", h.ControlPath, "err", err)
		return nil
	}
	t.log.Info("connected by ssh's ControlMaster", "host", display(h), "socket", h.ControlPath)
	t.trace(h, "master", h.ControlPath)
	return startShared(display(h), t.log, m)
}

// nearest returns the link over the live master that is closest to the end of
// the way, and the hosts that are still to pass. The destination itself is not
// looked at.
func (t *Tunnel) nearest(ctx context.Context, way []*sshconf.Host) (*link, []*sshconf.Host) {
	for i := len(way) - 2; i >= 0; i-- {
		if l := t.shared(ctx, way[i]); l != nil {
			return l, way[i+1:]
		}
	}
	return nil, way
}

// startShared takes over the connection to a master.
func startShared(host string, log *slog.Logger, m *master) *link {
	l := &link{host: host, log: log, master: m, raw: newWire(m), done: make(chan struct{}), silence: defaultInterval * (defaultCount + 1)}
	l.wg.Go(func() {
		err := m.watch(l.raw)
		if m.ssh != nil {
			err = m.ssh.why(err)
		}
		l.fail(err)
		m.wait()
	})
	return l
}
