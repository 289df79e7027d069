package tunnel

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/ssh"
)

// A pipe is one direction of a connection in memory. Frozen, it gives nothing
// more, as a path does whose other end has lost its power.
type pipe struct {
	mu     sync.Mutex
	cond   *sync.Cond
	buf    bytes.Buffer
	frozen bool
	closed bool
}

func newPipe() *pipe {
	p := &pipe{}
	p.cond = sync.NewCond(&p.mu)
	return p
}

func (p *pipe) set(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f()
	p.cond.Broadcast()
}

func (p *pipe) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return 0, io.ErrClosedPipe
	}
	p.cond.Broadcast()
	return p.buf.Write(b)
}

func (p *pipe) Read(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for (p.buf.Len() == 0 || p.frozen) && !p.closed {
		p.cond.Wait()
	}
	if p.closed {
		return 0, io.EOF
	}
	return p.buf.Read(b)
}

// A memConn is one end of two pipes. Closing it closes both.
type memConn struct{ in, out *pipe }

func (c memConn) Read(b []byte) (int, error)  { return c.in.Read(b) }
func (c memConn) Write(b []byte) (int, error) { return c.out.Write(b) }
func (c memConn) Close() error {
	c.in.set(func() { c.in.closed = true })
	c.out.set(func() { c.out.closed = true })
	return nil
}
func (c memConn) LocalAddr() net.Addr              { return &net.TCPAddr{IP: net.IPv4zero} }
func (c memConn) RemoteAddr() net.Addr             { return c.LocalAddr() }
func (c memConn) SetDeadline(time.Time) error      { return nil }
func (c memConn) SetReadDeadline(time.Time) error  { return nil }
func (c memConn) SetWriteDeadline(time.Time) error { return nil }

// memLink is a link to s over memory; freeze freezes it.
func memLink(t *testing.T, s *server) (l *link, freeze func()) {
	up, down := newPipe(), newPipe()
	return memLinkOver(t, s, up, down, 0), func() {
		up.set(func() { up.frozen = true })
		down.set(func() { down.frozen = true })
	}
}

// memLinkOver is a link to s by way of two pipes; it wants new keys after so many bytes.
func memLinkOver(t *testing.T, s *server, up, down *pipe, rekey uint64) *link {
	return memLinkAs(t, s, memConn{up, down}, memConn{down, up}, rekey)
}

// memLinkAs is a link by way of here to s, which has there.
func memLinkAs(t *testing.T, s *server, there, here net.Conn, rekey uint64) *link {
	t.Helper()
	go s.serve(there)
	w := newWire(here)
	conn, chans, reqs, err := ssh.NewClientConn(w, "prod:22", &ssh.ClientConfig{
		Config:          ssh.Config{RekeyThreshold: rekey},
		HostKeyCallback: ssh.InsecureIgnoreHostKey(),
	})
	if err != nil {
		t.Fatal(err)
	}
	l := start("prod", slog.New(slog.DiscardHandler), conn, chans, reqs, w, nil)
	t.Cleanup(func() {
		l.fail(net.ErrClosed)
		l.wait()
	})
	return l
}

func TestKeepaliveNoticesSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, freeze := memLink(t, unstarted(t))
		l.keepAlive(defaultInterval, defaultCount)
		c, err := l.dial(t.Context(), "echo", 7)
		if err != nil {
			t.Fatal(err)
		}
		<-time.After(time.Hour) // it lives as long as it is answered
		if !l.alive() {
			t.Fatal(l.err)
		}
		freeze()
		began := time.Now()
		_, err = c.Write(make([]byte, 4<<20)) // more than the window: blocks
		wantAs[*LostError](t, err)
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		if took := time.Since(began); took > 40*time.Second {
			t.Errorf("noticed after %v", took)
		}
		_, err = c.Read(make([]byte, 1))
		wantAs[*LostError](t, err)
	})
}

// The socket itself takes no more here, and the keepalive cannot even be sent.
func TestKeepaliveWhileWritesBlock(t *testing.T) {
	here, there := net.Pipe()
	up, down := newPipe(), newPipe()
	frozen := make(chan struct{})
	var copying sync.WaitGroup
	copying.Go(func() { // an unbuffered way up that ends when told
		buf := make([]byte, 1<<10)
		for {
			n, err := there.Read(buf)
			select {
			case <-frozen:
				return
			default:
			}
			if _, werr := up.Write(buf[:n]); err != nil || werr != nil {
				return
			}
		}
	})
	s := unstarted(t)
	go s.serve(memConn{up, down})
	mem := memConn{down, up}
	w := newWire(splitConn{mem, here})
	conn, chans, reqs, err := ssh.NewClientConn(w, "prod:22", &ssh.ClientConfig{HostKeyCallback: ssh.InsecureIgnoreHostKey()})
	if err != nil {
		t.Fatal(err)
	}
	l := start("prod", slog.New(slog.DiscardHandler), conn, chans, reqs, w, nil)
	c, err := l.dial(t.Context(), "echo", 7)
	if err != nil {
		t.Fatal(err)
	}
	close(frozen)
	l.keepAlive(10*time.Millisecond, 1)
	_, err = c.Write(make([]byte, 1<<20))
	wantAs[*LostError](t, err)
	_, err = c.Read(make([]byte, 1))
	wantAs[*LostError](t, err)
	l.wait()
	copying.Wait()
}

// A splitConn writes elsewhere.
type splitConn struct {
	memConn
	up net.Conn
}

func (c splitConn) Write(p []byte) (int, error) { return c.up.Write(p) }
func (c splitConn) Close() error                { return errors.Join(c.up.Close(), c.memConn.Close()) }

// A refusal is an answer, and so is any other data while the answer is held up.
func TestKeepaliveTakesAnySignOfLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := unstarted(t)
		var mute atomic.Bool
		s.globals = func(r *ssh.Request) bool { return mute.Load() }
		l, _ := memLink(t, s)
		l.keepAlive(10*time.Second, 3)
		c, err := l.dial(t.Context(), "echo", 7)
		if err != nil {
			t.Fatal(err)
		}
		<-time.After(time.Minute)
		mute.Store(true)
		for range 10 {
			<-time.After(25 * time.Second)
			if _, err := c.Write([]byte("x")); err != nil {
				t.Fatal(err)
			}
			if _, err := c.Read(make([]byte, 1)); err != nil {
				t.Fatal(err)
			}
		}
		began := time.Now()
		<-l.done
		if took := time.Since(began); took > 40*time.Second {
			t.Errorf("noticed after %v", took)
		}
	})
}

func TestRoundTripsAreShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := unstarted(t)
		held := make(chan *ssh.Request, 10)
		s.globals = func(r *ssh.Request) bool {
			held <- r
			return true
		}
		l, _ := memLink(t, s)
		var wg sync.WaitGroup
		answered := make(chan int, 20)
		ask := func(i int) {
			if err := l.await(l.ping(), l.silence, nil); err != nil {
				t.Error(err)
			}
			answered <- i
		}
		wg.Go(func() { ask(0) })
		first := <-held
		for i := range 10 {
			wg.Go(func() { ask(i + 1) })
		}
		synctest.Wait()
		first.Reply(false, nil)
		if got := <-answered; got != 0 {
			t.Errorf("the answer to a request from before counts for caller %d", got)
		}
		second := <-held
		second.Reply(true, nil)
		wg.Wait()
		if len(held) != 0 {
			t.Errorf("%d round trips more than needed", len(held))
		}
	})
}

func TestRoundTripHasALimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := unstarted(t)
		s.globals = func(*ssh.Request) bool { return true }
		l, _ := memLink(t, s) // no keepalives
		began := time.Now()
		if err := l.await(l.ping(), l.silence, nil); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		if took := time.Since(began); took != 40*time.Second {
			t.Errorf("after %v", took)
		}
		stop := make(chan struct{})
		close(stop)
		if err := l.await(l.ping(), l.silence, stop); !errors.Is(err, net.ErrClosed) || !l.alive() {
			t.Errorf("got %v, alive %v", err, l.alive())
		}
	})
}

func TestCloseOnAFrozenLink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, freeze := memLink(t, unstarted(t))
		c, err := l.dial(t.Context(), "stuck", 1)
		if err != nil {
			t.Fatal(err)
		}
		ln, err := l.listen(t.Context(), "127.0.0.1", 0)
		if err != nil {
			t.Fatal(err)
		}
		freeze()
		ended := make(chan error)
		go func() {
			_, err := c.Read(make([]byte, 1))
			ended <- err
		}()
		synctest.Wait()
		began := time.Now()
		c.Close()
		ln.Close()
		if err := <-ended; !errors.Is(err, net.ErrClosed) {
			t.Errorf("got %v", err)
		}
		if took := time.Since(began); took > 2*grace {
			t.Errorf("took %v", took)
		}
	})
}

func TestLimitLeavesPeopleTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lim := newLimit(t.Context(), 0)
		defer lim.stop()
		<-time.After(29 * time.Second)
		resume := lim.pause()
		<-time.After(time.Hour)
		resume()
		<-time.After(29 * time.Second)
		if err := lim.ctx.Err(); err != nil {
			t.Fatal(err)
		}
		<-lim.ctx.Done()
		wantAs[timeoutError](t, context.Cause(lim.ctx))
	})
}
