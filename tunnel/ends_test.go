//go:build linux

package tunnel

import (
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"

	"golang.org/x/crypto/ssh"
)

// TestEnds has sshd's side of streams end in every way, a thousand times each: the
// end of the connection must never read as the end of a stream, and neither the
// other way round. The library itself tells both as io.EOF.
func TestEnds(t *testing.T) {
	const rounds, streams = 20, 50
	for _, way := range []struct {
		name  string
		clean bool
		end   func(t *testing.T, s *sshd, l *link, r *relay, fars []*net.TCPConn)
	}{
		{"clean", true, func(t *testing.T, s *sshd, l *link, r *relay, fars []*net.TCPConn) {
			for _, far := range fars {
				far.CloseWrite()
			}
		}},
		{"killed", false, func(t *testing.T, s *sshd, l *link, r *relay, fars []*net.TCPConn) {
			s.killSessions()
		}},
		{"bad MAC", false, func(t *testing.T, s *sshd, l *link, r *relay, fars []*net.TCPConn) {
			r.damage.Store(true)
			io.WriteString(fars[0], "this does not arrive")
		}},
		{"disconnect message", false, func(t *testing.T, s *sshd, l *link, r *relay, fars []*net.TCPConn) {
			l.ssh.SendRequest("no-more-sessions@openssh.com", false, nil)
			l.ssh.OpenChannel("session", nil) // which sshd takes for an attack
		}},
	} {
		t.Run(way.name, func(t *testing.T) {
			s := startSSHD(t)
			addr, conns := farServer(t)
			r := startRelay(t, s.addr)
			h := hostAt(t, r.addr)
			known := s.host()
			h.User, h.IdentityFiles, h.UserKnownHostsFiles = known.User, known.IdentityFiles, known.UserKnownHostsFiles
			h.HostKeyAlias = "[" + strings.Replace(s.addr, ":", "]:", 1)
			why := ""
			for range rounds {
				tun := newTunnel(t, h, Options{})
				fars := make([]*net.TCPConn, streams)
				var wg sync.WaitGroup
				begun := make(chan bool, streams)
				for i := range fars {
					c := mustDial(t, tun, addr)
					fars[i] = <-conns
					far := fars[i]
					wg.Go(func() {
						io.ReadFull(c, make([]byte, 1))
						begun <- true
						_, err := io.Copy(io.Discard, c)
						if (err == nil) != way.clean {
							t.Errorf("got %v", err)
						}
						if err != nil {
							wantAs[*LostError](t, err)
						}
						if again, _ := c.Read(make([]byte, 1)); again != 0 {
							t.Error("something comes after the end")
						}
						far.Close()
					})
					far.Write(make([]byte, 1+i*100))
				}
				for range fars {
					<-begun
				}
				way.end(t, s, tun.link, r, fars)
				wg.Wait()
				if !way.clean {
					why = tun.link.err.Error()
				}
				tun.Close()
			}
			t.Logf("%d times: %s", rounds*streams, why)
			if is := strings.Contains(why, "ssh: disconnect, reason 2"); is != (way.name == "disconnect message") {
				t.Errorf("the wrong end: %s", why)
			}
		})
	}
}

// A clean end is told at once: nothing is asked of the peer.
func TestEndTakesNoRoundTrip(t *testing.T) {
	s := newServer(t)
	var asked atomic.Int64
	s.globals = func(r *ssh.Request) bool {
		asked.Add(1)
		return false
	}
	tun := newTunnel(t, s.host(), Options{})
	for range 100 {
		c := mustDial(t, tun, "echo:7")
		c.CloseWrite()
		if _, err := io.Copy(io.Discard, c); err != nil {
			t.Fatal(err)
		}
	}
	if n := asked.Load(); n != 0 {
		t.Errorf("%d questions for 100 ends", n)
	}
}

// Under load the library is seldom found reading. It has read since is as good.
func TestEndUnderLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for range 100 {
			l := &link{raw: newWire(endless{}), done: make(chan struct{})}
			proved := make(chan error, 1)
			go func() { proved <- l.prove(nil) }()
			synctest.Wait()
			select {
			case err := <-proved:
				t.Fatalf("%v before the library reads", err)
			default:
			}
			l.raw.Read(make([]byte, 1))
			if err := <-proved; err != nil {
				t.Fatal(err)
			}
		}
	})
}

// endless always has something to be read.
type endless struct{ net.Conn }

func (endless) Read(p []byte) (int, error) { return len(p), nil }

// What is read is answered with more window. When that cannot be sent, the
// connection is lost, as for whoever writes.
func TestReadWithoutAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		up, down := newPipe(), newPipe()
		out := &failing{Conn: memConn{down, up}}
		l := memLinkAs(t, unstarted(t), memConn{up, down}, out, 0)
		c, err := l.dial(t.Context(), "echo", 7)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Write(make([]byte, 1<<20)); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		out.fails.Store(true)
		_, err = io.Copy(io.Discard, c)
		if lost := wantAs[*LostError](t, err); !errors.Is(lost, syscall.EPIPE) {
			t.Errorf("got %v", lost)
		}
	})
}

// failing is a connection that can be read, and after a while not be written.
type failing struct {
	net.Conn
	fails atomic.Bool
}

func (f *failing) Write(p []byte) (int, error) {
	if f.fails.Load() {
		return 0, syscall.EPIPE
	}
	return f.Conn.Write(p)
}

// A relay stands between a client and sshd, and can damage what sshd says.
type relay struct {
	addr   string
	damage atomic.Bool // the next piece
}

func startRelay(t *testing.T, to string) *relay {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{addr: ln.Addr().String()}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			client, err := ln.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", to)
			if err != nil {
				t.Error(err)
				return
			}
			wg.Go(func() {
				io.Copy(server, client)
				server.Close()
			})
			wg.Go(func() {
				buf := make([]byte, 32<<10)
				for {
					n, err := server.Read(buf)
					if n > 0 && r.damage.CompareAndSwap(true, false) {
						buf[n-1] ^= 1
					}
					if _, werr := client.Write(buf[:n]); err != nil || werr != nil {
						client.Close()
						return
					}
				}
			})
		}
	})
	t.Cleanup(func() {
		ln.Close()
		wg.Wait()
	})
	return r
}
