package tunnel

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/ssh"
)

// While we exchange keys, the library keeps back what is written. Were it too
// much, the end of a stream that arrives meanwhile would lock the library up.
func TestStreamsEndInAKeyExchange(t *testing.T) {
	const size, more = 4 << 20, 1 << 20
	synctest.Test(t, func(t *testing.T) {
		s := unstarted(t)
		accepted := make(chan ssh.Channel, 1)
		s.opening = func(nc ssh.NewChannel, host string) bool {
			ch, reqs, err := nc.Accept()
			if err != nil {
				t.Error(err)
				return true
			}
			go ssh.DiscardRequests(reqs)
			if host == "sink" {
				io.Copy(io.Discard, ch)
			} else {
				accepted <- ch
			}
			return true
		}
		up, down := newPipe(), newPipe()
		l := memLinkOver(t, s, up, down, size/4)
		dial := func(host string) *conn {
			c, err := l.dial(t.Context(), host, 7)
			if err != nil {
				t.Fatal(err)
			}
			return c
		}
		dial("short")
		short := <-accepted
		c := dial("long")
		long := <-accepted
		sinks := []*conn{dial("sink"), dial("sink"), dial("sink")}

		// This is on its way to us when we begin, before the server's part of the exchange.
		down.set(func() { down.frozen = true })
		short.Close()
		long.Write(make([]byte, more))
		var wg sync.WaitGroup
		for _, c := range sinks {
			wg.Go(func() {
				if _, err := c.Write(make([]byte, size)); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Go(func() {
			if _, err := io.CopyN(io.Discard, c, more); err != nil {
				t.Error(err)
			}
		})
		synctest.Wait()
		down.set(func() { down.frozen = false })
		wg.Wait()
	})
}

// A library that has locked itself up neither reads nor writes any more. One that
// waits for the peer does either.
func TestLockedUp(t *testing.T) {
	for name, c := range map[string]struct {
		begin func(w *wire)
		ends  bool
	}{
		"reads":         {func(w *wire) { w.Read(make([]byte, 1)) }, false},
		"writes":        {func(w *wire) { w.Write(make([]byte, 1)) }, false},
		"does neither":  {func(w *wire) {}, true},
		"reads at last": {func(w *wire) { <-time.After(2 * watchEvery); w.Read(make([]byte, 1)) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				here, there := net.Pipe()
				defer there.Close()
				l := &link{host: "prod", log: slog.New(slog.DiscardHandler), raw: newWire(here), done: make(chan struct{})}
				l.goes(l.watch)
				go c.begin(l.raw)
				<-time.After(10 * watchEvery)
				if l.alive() == c.ends {
					t.Errorf("alive: %v", l.alive())
				}
				l.fail(net.ErrClosed)
				l.wait()
				if c.ends && !errors.Is(l.err, errStuck) {
					t.Errorf("got %v", l.err)
				}
			})
		})
	}
}

// A deaf stream is one of a library that has locked itself up: nothing ends it.
type deaf struct{ ended chan struct{} }

func (d deaf) Read([]byte) (int, error)  { <-d.ended; return 0, io.EOF }
func (d deaf) Write([]byte) (int, error) { <-d.ended; return 0, io.EOF }
func (d deaf) CloseWrite() error         { return nil }
func (d deaf) Close() error              { return nil }

func TestLostLinkEndsDeafStreams(t *testing.T) {
	here, there := net.Pipe()
	defer there.Close()
	l := &link{host: "prod", log: slog.New(slog.DiscardHandler), raw: newWire(here), done: make(chan struct{})}
	ch := deaf{make(chan struct{})}
	defer close(ch.ended)
	c := newConn(l, ch, nil, nil)
	var wg sync.WaitGroup
	for _, f := range []func([]byte) (int, error){c.Read, c.Write} {
		wg.Go(func() {
			if _, err := f(make([]byte, 1)); !errors.Is(err, errStuck) {
				t.Errorf("got %v", err)
			}
		})
	}
	l.fail(errStuck)
	wg.Wait()
	c.Close()
}

// What was written has arrived when the server answers, and not before.
func TestArrived(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, freeze := memLink(t, unstarted(t))
		c, err := l.dial(t.Context(), "echo", 7)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := c.Write([]byte("a line")); err != nil {
			t.Fatal(err)
		}
		if err := c.Arrived(t.Context()); err != nil {
			t.Error(err)
		}
		freeze()
		c.Write([]byte("another"))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := c.Arrived(ctx); err == nil {
			t.Error("what went into a frozen connection has arrived")
		}
	})
}
