package tunnel

import (
	"errors"
	"io"
	"net"
	"runtime"
	"sync"
	"testing"

	"golang.org/x/crypto/ssh"
)

// waitFor waits for what only our own goroutines can bring about.
func waitFor(ok func() bool) {
	for !ok() {
		runtime.Gosched()
	}
}

// forward opens a stream to the listener that the tunnel has at host and port.
func forward(c ssh.Conn, host string, port uint32) (ssh.Channel, error) {
	ch, reqs, err := c.OpenChannel("forwarded-tcpip", ssh.Marshal(struct {
		Host       string
		Port       uint32
		Origin     string
		OriginPort uint32
	}{host, port, "192.0.2.7", 4711}))
	if err == nil {
		go ssh.DiscardRequests(reqs)
	}
	return ch, err
}

func TestListener(t *testing.T) {
	s := newServer(t)
	tun := newTunnel(t, s.host(), Options{})
	ln, err := tun.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if got := ln.Addr().String(); got != "127.0.0.1:40000" {
		t.Errorf("Addr: %s", got)
	}
	other, err := tun.Listen(t.Context(), "tcp", "127.0.0.9:40000")
	if err != nil {
		t.Fatal(err)
	}
	_, err = tun.Listen(t.Context(), "tcp", "denied:21")
	if e := wantAs[*ForwardError](t, err); e.Addr != "denied:21" {
		t.Errorf("got %v", e)
	}
	for _, tt := range []struct {
		host string
		ln   net.Listener
	}{{"127.0.0.1", ln}, {"127.0.0.9", other}, {"localhost", ln}} {
		go func() {
			ch, err := forward(s.last(), tt.host, 40000)
			if err != nil {
				t.Error(err)
				return
			}
			io.WriteString(ch, tt.host)
			ch.CloseWrite()
		}()
		c, err := tt.ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(c); string(got) != tt.host || err != nil {
			t.Errorf("got %q, %v; want %q", got, err, tt.host)
		}
		if got := c.RemoteAddr().String(); got != "192.0.2.7:4711" {
			t.Errorf("RemoteAddr: %s", got)
		}
		c.Close()
	}
	if err := errors.Join(ln.Close(), other.Close(), ln.Close()); err != nil {
		t.Error(err)
	}
	if _, err := ln.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept after Close: %v", err)
	}
	_, err = forward(s.last(), "127.0.0.1", 40000)
	wantAs[*ssh.OpenChannelError](t, err)
}

// Streams that nobody accepts must not stop the rest of the connection.
func TestListenerFlood(t *testing.T) {
	s := newServer(t)
	tun := newTunnel(t, s.host(), Options{})
	ln, err := tun.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	conn := s.last()
	var wg sync.WaitGroup
	refused := make(chan error, 60)
	for range 60 {
		wg.Go(func() {
			if _, err := forward(conn, "127.0.0.1", 40000); err != nil {
				refused <- err
			}
		})
	}
	for range 60 - backlog {
		wantAs[*ssh.OpenChannelError](t, <-refused)
	}
	c := mustDial(t, tun, "echo:7")
	c.Write([]byte("x"))
	if _, err := c.Read(make([]byte, 1)); err != nil {
		t.Error(err)
	}
	ln.Close()
	wg.Wait() // what waited is refused as well
	if len(refused) != backlog {
		t.Errorf("%d refused after Close, want %d", len(refused), backlog)
	}
}
