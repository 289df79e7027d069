package ftpmux

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"
)

// memNet is a network in memory. It gives out ports in order, so transcripts
// can name them, and all of its waiting is seen by testing/synctest.
type memNet struct {
	mu        sync.Mutex
	nextPort  uint16 // of listeners
	fromPort  uint16 // of who dials
	listeners map[netip.AddrPort]*memListener
	noListen  error // what Listen returns, if not nil
	dialFrom  netip.Addr
	dialled   []string
	held      map[string]chan struct{} // addresses that are dialled once it is closed, and "listen"
}

func newMemNet(firstPort uint16) *memNet {
	return &memNet{
		nextPort:  firstPort,
		fromPort:  30001,
		listeners: make(map[netip.AddrPort]*memListener),
		dialFrom:  netip.MustParseAddr("127.0.0.1"),
	}
}

func (n *memNet) DialContext(ctx context.Context, _, addr string) (net.Conn, error) {
	if err := n.wait(ctx, addr); err != nil {
		return nil, err
	}
	c, err := n.dial(addr)
	if err != nil {
		<-time.After(time.Millisecond) // bad news travels slowly, so transcripts have an order
	}
	return c, err
}

// wait returns when what is not held any more.
func (n *memNet) wait(ctx context.Context, what string) error {
	n.mu.Lock()
	held := n.held[what]
	n.mu.Unlock()
	if held == nil {
		return nil
	}
	select {
	case <-held:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (n *memNet) dial(addr string) (net.Conn, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.dialled = append(n.dialled, addr)
	ap, err := netip.ParseAddrPort(addr)
	if err != nil {
		return nil, err
	}
	ln := n.listeners[ap]
	if ln == nil {
		return nil, fmt.Errorf("dial %s: %w", addr, syscall.ECONNREFUSED)
	}
	from := netip.AddrPortFrom(n.dialFrom, n.fromPort)
	n.fromPort++
	here, there := memPipe(from, ap)
	select {
	case ln.backlog <- there:
		return here, nil
	default:
		return nil, fmt.Errorf("dial %s: backlog is full", addr)
	}
}

func (n *memNet) Listen(ctx context.Context, _, addr string) (net.Listener, error) {
	if n.noListen != nil {
		return nil, n.noListen
	}
	if err := n.wait(ctx, "listen"); err != nil {
		return nil, err
	}
	return n.listen(addr)
}

func (n *memNet) listen(addr string) (net.Listener, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	ap, err := netip.ParseAddrPort(addr)
	if err != nil {
		return nil, err
	}
	if ap.Port() == 0 {
		ap = netip.AddrPortFrom(ap.Addr(), n.nextPort)
		n.nextPort++
	}
	ln := &memListener{net: n, addr: ap, backlog: make(chan net.Conn, 8), done: make(chan struct{})}
	n.listeners[ap] = ln
	return ln, nil
}

type memListener struct {
	net     *memNet
	addr    netip.AddrPort
	backlog chan net.Conn
	done    chan struct{}
	once    sync.Once
}

func (l *memListener) Accept() (net.Conn, error) {
	select {
	case <-l.done:
		return nil, net.ErrClosed
	case c := <-l.backlog:
		return c, nil
	}
}

func (l *memListener) Close() error {
	l.once.Do(func() {
		close(l.done)
		l.net.mu.Lock()
		defer l.net.mu.Unlock()
		delete(l.net.listeners, l.addr)
	})
	return nil
}

func (l *memListener) Addr() net.Addr { return net.TCPAddrFromAddrPort(l.addr) }

// memConn is one end of a stream that behaves as TCP does: halves end apart,
// and SetLinger(0) makes Close a reset.
type memConn struct {
	in, out       *memHalf
	local, remote netip.AddrPort
	linger        int
}

// memHalf is one way of a stream.
type memHalf struct {
	mu     sync.Mutex
	change *sync.Cond
	buf    []byte
	limit  int   // bytes that it holds before a writer waits; 0: no limit
	end    error // what the reader gets after buf, io.EOF or ECONNRESET
	deaf   bool  // the reader has gone
}

func newMemHalf() *memHalf {
	h := &memHalf{}
	h.change = sync.NewCond(&h.mu)
	return h
}

func memPipe(a, b netip.AddrPort) (*memConn, *memConn) {
	ab, ba := newMemHalf(), newMemHalf()
	return &memConn{in: ba, out: ab, local: a, remote: b, linger: -1},
		&memConn{in: ab, out: ba, local: b, remote: a, linger: -1}
}

func (h *memHalf) read(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for len(h.buf) == 0 && h.end == nil && !h.deaf {
		h.change.Wait()
	}
	if h.deaf {
		return 0, net.ErrClosed
	}
	if len(h.buf) == 0 {
		return 0, h.end
	}
	n := copy(p, h.buf)
	h.buf = h.buf[n:]
	h.change.Broadcast()
	return n, nil
}

func (h *memHalf) write(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for h.limit > 0 && len(h.buf) >= h.limit && h.end == nil && !h.deaf {
		h.change.Wait()
	}
	if h.end != nil || h.deaf {
		return 0, syscall.EPIPE
	}
	h.buf = append(h.buf, p...)
	h.change.Broadcast()
	return len(p), nil
}

func (h *memHalf) finish(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.end == nil {
		h.end = err
	}
	if err != io.EOF {
		h.buf = nil
	}
	h.change.Broadcast()
}

func (h *memHalf) leave() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.deaf = true
	h.change.Broadcast()
}

// take returns what has come up to and with the next LF, or "".
func (h *memHalf) takeLine() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i, b := range h.buf {
		if b == '\n' {
			line := string(h.buf[:i+1])
			h.buf = h.buf[i+1:]
			h.change.Broadcast()
			return line
		}
	}
	return ""
}

// takeAll returns all that has come, and the end if that has come too.
func (h *memHalf) takeAll() (string, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := string(h.buf)
	h.buf = nil
	h.change.Broadcast()
	return all, h.end
}

func (c *memConn) Read(p []byte) (int, error)  { return c.in.read(p) }
func (c *memConn) Write(p []byte) (int, error) { return c.out.write(p) }
func (c *memConn) CloseWrite() error           { c.out.finish(io.EOF); return nil }
func (c *memConn) SetLinger(sec int) error     { c.linger = sec; return nil }

func (c *memConn) Close() error {
	end := io.EOF
	if c.linger == 0 {
		end = syscall.ECONNRESET
	}
	c.out.finish(end)
	c.in.leave()
	return nil
}

func (c *memConn) LocalAddr() net.Addr  { return net.TCPAddrFromAddrPort(c.local) }
func (c *memConn) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(c.remote) }

func (c *memConn) SetDeadline(time.Time) error      { return errors.ErrUnsupported }
func (c *memConn) SetReadDeadline(time.Time) error  { return errors.ErrUnsupported }
func (c *memConn) SetWriteDeadline(time.Time) error { return errors.ErrUnsupported }
