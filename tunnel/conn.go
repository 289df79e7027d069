package tunnel

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// A conn is one channel as a net.Conn. A read or write on a channel cannot be
// called back, so goroutines with buffers of their own make them, and are left
// behind when Close comes first; they end with the channel.
type conn struct {
	link          *link
	ch            stream
	local, remote net.Addr

	once   sync.Once
	closed chan struct{}

	reading sync.Once
	pieces  chan []byte // from receive, which reads one ahead; closed at the end
	end     error       // ... which is this one then
	rmu     sync.Mutex  // one Read at a time
	rest    piece       // of which Read has not returned all yet

	wmu    sync.Mutex // one Write or CloseWrite at a time
	halved bool       // CloseWrite was called
}

// A stream is a channel, or what ssh's master makes of one.
type stream interface {
	io.ReadWriteCloser
	CloseWrite() error
}

func newConn(l *link, ch stream, local, remote net.Addr) *conn {
	return &conn{link: l, ch: ch, local: local, remote: remote, closed: make(chan struct{}), pieces: make(chan []byte)}
}

// A piece is what one read gave: some data, or an error that stays.
type piece struct {
	data []byte
	err  error
}

// What is read at a time: little, until there is more; what is written at most; and
// what one packet carries.
const (
	leastRead   = 1 << 10
	mostRead    = 128 << 10
	mostWritten = 128 << 10
	packetSize  = 32 << 10
)

// copies are for what is written.
var copies = sync.Pool{New: func() any { return new([mostWritten]byte) }}

// Read reads what the peer sent. It returns io.EOF only if the peer has ended the
// stream, and a *LostError, which is an io.ErrUnexpectedEOF, if the link has ended.
// What a dead link had still to give may be lost.
func (c *conn) Read(p []byte) (int, error) {
	c.rmu.Lock()
	defer c.rmu.Unlock()
	rest, err := c.fill()
	n := copy(p, rest)
	c.rest.data = rest[n:]
	return n, err
}

// ReadNext is Read without a copy: it returns what there is, which is good until the
// next call.
func (c *conn) ReadNext() ([]byte, error) {
	c.rmu.Lock()
	defer c.rmu.Unlock()
	rest, err := c.fill()
	c.rest.data = nil
	return rest, err
}

// fill returns what is read and not taken yet, or an error if there is nothing more.
func (c *conn) fill() ([]byte, error) {
	c.reading.Do(func() { go c.receive() })
	select {
	case <-c.closed:
		return nil, c.opError("read", net.ErrClosed)
	default:
	}
	if len(c.rest.data) == 0 && c.rest.err == nil {
		pc := c.next()
		if pc.err == net.ErrClosed {
			return nil, c.opError("read", pc.err)
		}
		c.rest = pc
	}
	if len(c.rest.data) == 0 {
		return nil, c.rest.err
	}
	return c.rest.data, nil
}

// next waits for a piece. What it says of the end is true.
func (c *conn) next() piece {
	var pc piece
	select {
	case data, more := <-c.pieces:
		pc = c.piece(data, more)
	case <-c.closed:
		return piece{err: net.ErrClosed}
	case <-c.link.done:
		pc = c.late()
	}
	switch {
	case pc.err == nil:
	case !c.link.alive():
		pc.err = c.link.err
	case pc.err == io.EOF:
		if err := c.link.prove(c.closed); err != nil {
			pc.err = err
		}
	case c.link.ssh != nil: // what was read could not be answered
		pc.err = c.link.broken(pc.err)
	}
	return pc
}

// piece is what came from receive.
func (c *conn) piece(data []byte, more bool) piece {
	if !more {
		return piece{err: c.end}
	}
	return piece{data: data}
}

// late is what arrived before the link ended. The library passes the end on after
// that, unless it is stuck: see link.watch.
func (c *conn) late() piece {
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case data, more := <-c.pieces:
		return c.piece(data, more)
	case <-c.closed:
	case <-timer.C:
	}
	return piece{err: c.link.err}
}

// receive reads from the channel until it ends or the conn is closed. While Read takes
// from one buffer it reads to the other.
func (c *conn) receive() {
	var buf, other []byte
	size := leastRead
	for {
		if len(buf) < size {
			buf = make([]byte, size)
		}
		c.link.raw.calm(c.closed, c.link.done) // what is read may be answered with a packet
		n, err := c.ch.Read(buf)
		if n == len(buf) {
			size = min(4*size, mostRead)
		}
		if n > 0 {
			select {
			case c.pieces <- buf[:n]:
			case <-c.closed:
				return
			}
		}
		if err != nil {
			c.end = err
			close(c.pieces)
			return
		}
		buf, other = other, buf
	}
}

// An outcome is that of one write.
type outcome struct {
	n   int
	err error
}

// send runs f, which sends something, unless the conn or its link has ended; it does not wait
// for f any longer when that happens meanwhile. The error is as Write's.
func (c *conn) send(f func() (int, error)) (int, error) {
	select {
	case <-c.closed:
		return 0, c.opError("write", net.ErrClosed)
	case <-c.link.done: // a write that was left behind may still be at the channel
		return 0, c.link.err
	default:
	}
	results := make(chan outcome, 1)
	go func() {
		n, err := f()
		results <- outcome{n, err}
	}()
	select {
	case r := <-results:
		switch {
		case r.err == nil:
			return r.n, nil
		case !c.link.alive():
			return r.n, c.link.err
		case r.err == io.EOF: // the peer has closed the channel
			r.err = syscall.EPIPE
		}
		return r.n, c.opError("write", r.err)
	case <-c.closed:
		return 0, c.opError("write", net.ErrClosed)
	case <-c.link.done:
		return 0, c.link.err
	}
}

// Write writes p. An error tells that not all of it went out; no error tells
// only that it was sent.
func (c *conn) Write(p []byte) (n int, err error) {
	c.wmu.Lock()
	defer c.wmu.Unlock()
	if c.halved {
		return 0, c.opError("write", syscall.EPIPE)
	}
	for len(p) > 0 && err == nil {
		buf := copies.Get().(*[mostWritten]byte)
		part := buf[:copy(buf[:], p)]
		var done int
		done, err = c.send(func() (int, error) { return c.sendPackets(part) })
		if err == nil {
			copies.Put(buf) // else whoever was left behind may have it still
		}
		n += done
		p = p[done:]
	}
	return n, err
}

// sendPackets writes p to the channel, a packet at a time, and no further one before that
// has gone out.
func (c *conn) sendPackets(p []byte) (n int, err error) {
	for n < len(p) && err == nil {
		sent := c.link.raw.sentSoFar()
		var done int
		done, err = c.ch.Write(p[n:min(n+packetSize, len(p))])
		n += done
		if err == nil && c.link.ssh != nil {
			c.link.raw.waitSent(sent+int64(done), c.closed, c.link.done)
		}
	}
	return n, err
}

// Arrived returns when the SSH server has passed on what was written before, or with an
// error when that is not known: the link or ctx has ended, or it is silent.
func (c *conn) Arrived(ctx context.Context) error {
	return c.link.await(c.link.ping(), c.link.silence, ctx.Done())
}

// CloseWrite tells the peer that no more will come. The other direction goes on.
func (c *conn) CloseWrite() error {
	c.wmu.Lock()
	defer c.wmu.Unlock()
	if c.halved {
		return nil
	}
	_, err := c.send(func() (int, error) { return 0, c.ch.CloseWrite() })
	if errors.Is(err, syscall.EPIPE) { // it has closed the channel, and does not care
		err = nil
	}
	c.halved = err == nil
	return err
}

// Close ends the channel and whatever is blocked in it.
func (c *conn) Close() error {
	c.once.Do(func() {
		close(c.closed)
		c.link.brief(func() { c.ch.Close() })
	})
	return nil
}

func (c *conn) LocalAddr() net.Addr  { return c.local }
func (c *conn) RemoteAddr() net.Addr { return c.remote }

func (c *conn) SetDeadline(time.Time) error      { return os.ErrNoDeadline }
func (c *conn) SetReadDeadline(time.Time) error  { return os.ErrNoDeadline }
func (c *conn) SetWriteDeadline(time.Time) error { return os.ErrNoDeadline }

func (c *conn) opError(op string, err error) error {
	return &net.OpError{Op: op, Net: "tcp", Source: c.local, Addr: c.remote, Err: err}
}

// A nameAddr is a host:port whose host is a name that only the server can look up.
type nameAddr string

func (nameAddr) Network() string  { return "tcp" }
func (a nameAddr) String() string { return string(a) }

// tcpAddr is host and port as an address: a *net.TCPAddr if host is numeric.
func tcpAddr(host string, port uint32) net.Addr {
	if ip, err := netip.ParseAddr(host); err == nil && port <= 65535 {
		return net.TCPAddrFromAddrPort(netip.AddrPortFrom(ip, uint16(port)))
	}
	return nameAddr(net.JoinHostPort(host, strconv.FormatUint(uint64(port), 10)))
}

// splitAddr takes apart what DialContext and Listen are given.
func splitAddr(network, addr string) (host string, port uint32, err error) {
	switch network {
	case "tcp", "tcp4", "tcp6":
	default:
		return "", 0, net.UnknownNetworkError(network)
	}
	host, text, err := net.SplitHostPort(addr)
	if err != nil {
		return "", 0, err
	}
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return "", 0, fmt.Errorf("port %q: want a number up to 65535", text)
	}
	return host, uint32(n), nil
}

// dialable is splitAddr for what can be dialled.
func dialable(network, addr string) (host string, port uint32, err error) {
	host, port, err = splitAddr(network, addr)
	if err == nil && port == 0 {
		err = &net.AddrError{Err: "port 0 cannot be dialled", Addr: addr}
	}
	return host, port, err
}
