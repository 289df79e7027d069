package tunnel

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/pasvport/pasvport/sshconf"
)

// spreadDial opens a stream to the echo and has it carry something.
func spreadDial(t *testing.T, s *Spread) *spreadConn {
	t.Helper()
	c, err := s.DialContext(t.Context(), "tcp", "echo:7")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if _, err := c.Write([]byte("there and back")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c, make([]byte, 14)); err != nil {
		t.Fatal(err)
	}
	return c.(*spreadConn)
}

func TestSpread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := keepUp(t, Options{Connections: 3})
		var streams []*spreadConn
		for i, live := range []int{1, 2, 3, 3, 3, 3} {
			streams = append(streams, spreadDial(t, k.Spread()))
			if s := k.want(Up); s.Live != live {
				t.Errorf("%d connections for %d streams, want %d", s.Live, i+1, live)
			}
		}
		on := map[*link]int{}
		for _, c := range streams {
			on[c.link]++
		}
		if own := streams[0].link; own != k.link || len(on) != 3 || on[own] != 2 {
			t.Errorf("%d streams over the tunnel's own connection, and %d connections in use; want 2 and 3", on[own], len(on))
		}
		for _, c := range streams[1:] {
			c.Close()
			c.Close() // once more changes nothing
		}
		if c := spreadDial(t, k.Spread()); c.link == k.link {
			t.Error("a stream goes by the connection that has one, while others have none")
		} else {
			c.Close()
		}
		<-time.After(spreadIdle / 2)
		if s := k.want(Up); s.Live != 3 {
			t.Errorf("%d connections soon after the streams, want 3", s.Live)
		}
		<-time.After(spreadIdle)
		if s := k.want(Up); s.Live != 1 || s.Made != 1 {
			t.Errorf("%d connections long after the streams, want the tunnel's own", s.Live)
		}
		if _, err := streams[0].Write([]byte("still there")); err != nil {
			t.Error(err)
		}
		k.wantTries(3)
	})
}

func TestSpreadIsOneByDefault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := keepUp(t, Options{})
		for range 3 {
			spreadDial(t, k.Spread())
		}
		k.wantTries(1)
	})
}

func TestSpreadWithoutFurtherConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := keepUp(t, Options{Connections: 4})
		k.set(func() { k.down = errNoRoute })
		for range 4 {
			if c := spreadDial(t, k.Spread()); c.link != k.link {
				t.Error("a stream goes by a connection that could not be made")
			}
		}
		k.wantTries(2) // the tunnel's own, and one

		k.end()
		k.set(func() { k.down = nil })
		<-time.After(maxPause)
		k.want(Up)
		for range 2 {
			spreadDial(t, k.Spread())
		}
		if s := k.want(Up); s.Live != 2 {
			t.Errorf("%d connections after the tunnel's own was made anew, want 2", s.Live)
		}
	})
}

func TestSpreadIsPatientForAMoment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := keepUp(t, Options{Connections: 2})
		spreadDial(t, k.Spread())
		k.set(func() { k.hang = true })
		began := time.Now()
		if c := spreadDial(t, k.Spread()); c.link != k.link || time.Since(began) != spreadPatience {
			t.Errorf("a stream waited %v for a connection that takes for ever, want %v", time.Since(began), spreadPatience)
		}
	})
}

func TestSpreadOutlivesTheTunnelsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := keepUp(t, Options{Connections: 2})
		own, further := spreadDial(t, k.Spread()), spreadDial(t, k.Spread())
		k.link.fail(errSilent)
		if _, err := own.Read(make([]byte, 1)); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("reading from a stream of the lost connection gives %v", err)
		}
		if _, err := further.Write([]byte("still there")); err != nil {
			t.Error(err)
		}
		<-time.After(maxPause)
		if c := spreadDial(t, k.Spread()); c.link != k.link {
			t.Error("a stream does not go by the new connection, which has none")
		}
	})
}

func TestSpreadEndsWithTheTunnel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := keepUp(t, Options{Connections: 3})
		spreadDial(t, k.Spread())
		further := spreadDial(t, k.Spread())
		k.set(func() { k.hang = true })
		failed := make(chan error)
		go func() {
			_, err := k.Spread().DialContext(t.Context(), "tcp", "echo:7") // waits for one that is being made
			failed <- err
		}()
		synctest.Wait()
		k.Close() // waits for all that it has made
		if _, err := further.Write([]byte("still there?")); !errors.Is(err, net.ErrClosed) {
			t.Errorf("writing after the close gives %v", err)
		}
		if err := <-failed; !errors.Is(err, net.ErrClosed) {
			t.Errorf("dialling gives %v", err)
		}
	})
}

// Several streams that come at once have one connection made after the other: a login
// that is refused is tried once, whoever wants it.
func TestSpreadTriesOneAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var no *bool
		k := keepUp(t, Options{Connections: 8}, func(k *kept) { no = refuse(k) })
		k.set(func() { *no = true })
		k.tries()
		spreadDial(t, k.Spread())
		var streams sync.WaitGroup
		for range 6 {
			streams.Go(func() {
				c, err := k.Spread().DialContext(t.Context(), "tcp", "echo:7")
				if err != nil {
					t.Error(err)
					return
				}
				t.Cleanup(func() { c.Close() })
			})
		}
		streams.Wait()
		k.wantTries(1)
	})
}

// A connection that takes long to make is waited for once, and not by each stream.
func TestSpreadWaitsOnceForAConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := keepUp(t, Options{Connections: 3})
		spreadDial(t, k.Spread())
		k.set(func() { k.hang = true })
		spreadDial(t, k.Spread())
		for range 3 {
			began := time.Now()
			if spreadDial(t, k.Spread()); time.Since(began) > 0 {
				t.Errorf("a stream waits %v for a connection that another one has given up", time.Since(began))
			}
		}
	})
}

// A further connection that waits for an answer leaves the question to the tunnel's own
// when that has to be made anew, and so does a Close.
func TestSpreadLeavesTheQuestion(t *testing.T) {
	for _, then := range []string{"the tunnel's own is lost", "the tunnel is closed"} {
		t.Run(then, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				asked := &patient{asked: make(chan struct{}, 10)}
				k := keepUp(t, Options{Connections: 3, Prompter: asked}, func(k *kept) {
					k.server.cfg.NoClientAuth = false
					k.server.cfg.PasswordCallback = func(ssh.ConnMetadata, []byte) (*ssh.Permissions, error) { return nil, nil }
				})
				<-asked.asked
				k.want(Up)
				spreadDial(t, k.Spread())
				asked.away.Store(true)
				spreadDial(t, k.Spread())
				<-asked.asked
				if then == "the tunnel is closed" {
					k.Close()
					return
				}
				<-time.After(10 * time.Minute)
				asked.away.Store(false)
				k.link.fail(errSilent)
				<-time.After(minPause)
				if s := k.want(Up); s.Made != 2 {
					t.Errorf("%d connections were made, want 2", s.Made)
				}
			})
		})
	}
}

// A patient one answers at once, or, while away, when the question is withdrawn.
type patient struct {
	away  atomic.Bool
	asked chan struct{}
}

func (p *patient) Secret(ctx context.Context, _ string) (string, error) {
	p.asked <- struct{}{}
	if p.away.Load() {
		<-ctx.Done()
		return "", ctx.Err()
	}
	return "right", nil
}

func (p *patient) Ask(ctx context.Context, prompt string) (string, error) {
	return p.Secret(ctx, prompt)
}

// Further connections go where the tunnel's own has gone, whatever other addresses the
// name has: behind another one there may be another machine.
func TestSpreadGoesToOneMachine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var reached []netip.Addr
		k := keepUp(t, Options{Connections: 2}, func(k *kept) {
			k.host.HostName, k.host.UserKnownHostsFiles = "cluster", []string{k.server.writeKnown("cluster")}
			addrs := []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")}
			k.net.lookup = func(context.Context, string, string) ([]netip.Addr, error) {
				slices.Reverse(addrs)
				return slices.Clone(addrs), nil
			}
			k.net.connect = func(ctx context.Context, h *sshconf.Host, to netip.Addr) (net.Conn, error) {
				reached = append(reached, to)
				c, err := k.connect(ctx, h, to)
				return at{c, to}, err
			}
		})
		spreadDial(t, k.Spread())
		spreadDial(t, k.Spread())
		if len(reached) != 2 || reached[0] != reached[1] {
			t.Errorf("the connections go to %v, want the same address twice", reached)
		}
	})
}

// at is a connection to an address.
type at struct {
	net.Conn
	addr netip.Addr
}

func (c at) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(netip.AddrPortFrom(c.addr, 22)) }

// A stream that a further connection refuses goes by the tunnel's own. When that
// does give it, the other one is no way there, and has no more streams.
func TestSpreadFallsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := keepUp(t, Options{Connections: 3})
		spreadDial(t, k.Spread())
		further := spreadDial(t, k.Spread())
		further.Close()
		refusals := 0
		k.server.mu.Lock()
		k.server.opening = func(nc ssh.NewChannel, _ string) bool {
			k.server.mu.Lock()
			defer k.server.mu.Unlock()
			if refusals++; refusals%2 == 1 { // the further one is first
				nc.Reject(ssh.Prohibited, "not from here")
				return true
			}
			return false
		}
		k.server.mu.Unlock()
		if c := spreadDial(t, k.Spread()); c.link != k.link {
			t.Error("the stream does not go by the tunnel's own connection")
		}
		k.server.mu.Lock()
		k.server.opening = nil
		k.server.mu.Unlock()
		if c := spreadDial(t, k.Spread()); c.link != k.link {
			t.Error("the connection that refuses has another stream")
		}
		if _, err := k.Spread().DialContext(t.Context(), "tcp", "refused:7"); err == nil {
			t.Error("no error from an address that refuses")
		}
		k.wantTries(2)
		<-time.After(2 * spreadIdle)
		if s := k.want(Up); s.Live != 1 {
			t.Errorf("%d connections later, want the tunnel's own", s.Live)
		}
	})
}

// Where a stream was when its connection was lost, nobody knows: it is not opened twice.
func TestSpreadOpensOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := keepUp(t, Options{Connections: 2})
		spreadDial(t, k.Spread())
		spreadDial(t, k.Spread()).Close()
		opened := 0
		k.server.mu.Lock()
		k.server.opening = func(nc ssh.NewChannel, _ string) bool {
			opened++
			k.end() // of the further one
			return true
		}
		k.server.mu.Unlock()
		_, err := k.Spread().DialContext(t.Context(), "tcp", "echo:7")
		wantAs[*LostError](t, err)
		if opened != 1 {
			t.Errorf("the stream was asked for %d times", opened)
		}
	})
}

// What both connections refuse tells nothing about the further one.
func TestSpreadOfWhatIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := keepUp(t, Options{Connections: 2})
		spreadDial(t, k.Spread())
		further := spreadDial(t, k.Spread())
		further.Close()
		_, err := k.Spread().DialContext(t.Context(), "tcp", "refused:7")
		wantAs[*OpenError](t, err)
		if c := spreadDial(t, k.Spread()); c.link != further.link {
			t.Error("the stream does not go by the further connection")
		}
	})
}

// A server that ends each further connection as soon as it is made is not logged in to
// again and again.
func TestSpreadLeavesAloneWhoHangsUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := keepUp(t, Options{Connections: 3})
		spreadDial(t, k.Spread())
		k.tries()
		for range 5 {
			spreadDial(t, k.Spread())
			if s := k.want(Up); s.Live == 2 {
				k.end()
			}
		}
		k.wantTries(1)
		k.want(Up)
	})
}

// After a sleep the further connections are asked for a sign of life as the tunnel's own is.
func TestSpreadWakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := keepUp(t, Options{Connections: 2})
		spreadDial(t, k.Spread())
		spreadDial(t, k.Spread()).Close()
		k.freeze() // the one made last
		k.wakeup()
		<-time.After(settle + checkPatience)
		if s := k.want(Up); s.Live != 1 {
			t.Errorf("%d connections after a sleep in which one was lost, want 1", s.Live)
		}
	})
}

// A stream that the other end has ended is no load, even before it is closed: the next one
// of who has one at a time has no connection made for it.
func TestSpreadOfOneAfterTheOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := keepUp(t, Options{Connections: 3})
		for _, read := range []func(*spreadConn) error{
			func(c *spreadConn) error { _, err := c.Read(make([]byte, 1)); return err },
			func(c *spreadConn) error { _, err := c.ReadNext(); return err },
			nil,
		} {
			c := spreadDial(t, k.Spread())
			c.CloseWrite()
			if read == nil {
				continue
			}
			if err := read(c); err != io.EOF {
				t.Errorf("at the end there is %v", err)
			}
		}
		k.wantTries(1)
	})
}
