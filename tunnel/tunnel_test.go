package tunnel

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/pasvport/pasvport/sshconf"
)

func TestStream(t *testing.T) {
	s := newServer(t)
	tun := newTunnel(t, s.host(), Options{})
	c := mustDial(t, tun, "echo:7")
	if _, err := c.Write([]byte("there and back")); err != nil {
		t.Fatal(err)
	}
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write([]byte("x")); !errors.Is(err, syscall.EPIPE) {
		t.Errorf("Write after CloseWrite: %v", err)
	}
	if got, err := io.ReadAll(c); err != nil || string(got) != "there and back" {
		t.Errorf("got %q, %v", got, err)
	}
	if got := c.RemoteAddr().String(); got != "echo:7" {
		t.Errorf("RemoteAddr: %s", got)
	}
	c.Close()
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Read after Close: %v", err)
	}
	if got := <-s.ran; got != "true" {
		t.Errorf("the session runs %q", got)
	}
}

func TestRefusedStreams(t *testing.T) {
	s := newServer(t)
	tun := newTunnel(t, s.host(), Options{})
	for _, tt := range []struct {
		addr, want string
		reason     ssh.RejectionReason
	}{
		{"refused:21", "sshd cannot connect to refused:21: Connection  refused", ssh.ConnectionFailed},
		{"denied:21", "sshd does not allow a connection to denied:21 (AllowTcpForwarding, PermitOpen, DisableForwarding, or restrict or permitopen= in authorized_keys)", ssh.Prohibited},
	} {
		_, err := tun.DialContext(t.Context(), "tcp", tt.addr)
		if e := wantAs[*OpenError](t, err); e.Reason != tt.reason || e.Addr != tt.addr || e.Error() != tt.want {
			t.Errorf("%s: got %v, %v", tt.addr, e.Reason, e)
		}
		wantAs[*ssh.OpenChannelError](t, err)
	}
	for _, bad := range [][2]string{{"udp", "a:1"}, {"tcp", "a"}, {"tcp", "a:ftp"}, {"tcp", "a:70000"}, {"tcp", "a:0"}} {
		if _, err := tun.DialContext(t.Context(), bad[0], bad[1]); err == nil {
			t.Errorf("%s %s is dialled", bad[0], bad[1])
		}
	}
}

func TestDialEndsWithContext(t *testing.T) {
	s := newServer(t)
	held := make(chan ssh.NewChannel, 1)
	s.opening = func(nc ssh.NewChannel, host string) bool {
		if host == "slow" {
			held <- nc
		}
		return host == "slow"
	}
	tun := newTunnel(t, s.host(), Options{})
	ctx, cancel := context.WithCancel(t.Context())
	failed := make(chan error)
	go func() {
		_, err := tun.DialContext(ctx, "tcp", "slow:1")
		failed <- err
	}()
	nc := <-held
	cancel()
	if err := <-failed; !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	ch, reqs, err := nc.Accept() // too late: is closed by the tunnel
	if err != nil {
		t.Fatal(err)
	}
	ssh.DiscardRequests(reqs)
	if _, err := ch.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("got %v", err)
	}
}

func TestCloseUnblocks(t *testing.T) {
	s := newServer(t)
	tun := newTunnel(t, s.host(), Options{})
	for _, way := range []string{"stream", "tunnel"} {
		c := mustDial(t, tun, "stuck:1")
		errs := make(chan error, 2)
		go func() {
			_, err := c.Read(make([]byte, 1))
			errs <- err
		}()
		full := make(chan struct{})
		go func() {
			// more than the window and less than two chunks over
			c.Write(make([]byte, 2<<20))
			close(full)
			_, err := c.Write(make([]byte, 1))
			errs <- err
		}()
		<-full
		want := net.ErrClosed
		if way == "stream" {
			c.Close()
		} else {
			tun.Close()
		}
		for range 2 {
			if err := <-errs; !errors.Is(err, want) {
				t.Errorf("%s closed: %v", way, err)
			}
		}
	}
}

func TestLostAndReconnect(t *testing.T) {
	s := newServer(t)
	tun := newTunnel(t, s.host(), Options{})
	c := mustDial(t, tun, "echo:7")
	ln, err := tun.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.killAll()
	_, err = c.Read(make([]byte, 1))
	lost := wantAs[*LostError](t, err)
	if !errors.Is(lost, io.ErrUnexpectedEOF) || errors.Is(lost, io.EOF) || lost.Host != "prod" {
		t.Errorf("%#v", lost)
	}
	_, err = c.Read(make([]byte, 1))
	wantAs[*LostError](t, err)
	_, err = c.Write(make([]byte, 1))
	wantAs[*LostError](t, err)
	wantAs[*LostError](t, c.CloseWrite())
	_, err = ln.Accept()
	wantAs[*LostError](t, err)
	if err := errors.Join(ln.Close(), c.Close()); err != nil {
		t.Error(err)
	}
	c = mustDial(t, tun, "echo:7")
	if _, err := c.Write([]byte("again")); err != nil {
		t.Error(err)
	}
	if n := s.logins.Load(); n != 2 {
		t.Errorf("%d logins, want 2", n)
	}
}

func TestConnectIsShared(t *testing.T) {
	gate, asked := make(chan struct{}), make(chan struct{})
	s := newServer(t, func(c *ssh.ServerConfig) {
		c.NoClientAuthCallback = func(ssh.ConnMetadata) (*ssh.Permissions, error) {
			close(asked) // a second login would panic here
			<-gate
			return nil, nil
		}
	})
	tun := newTunnel(t, s.host(), Options{})
	ctx, cancel := context.WithCancel(t.Context())
	first := make(chan error)
	go func() { first <- tun.Connect(ctx) }()
	<-asked
	var wg sync.WaitGroup
	for range 5 {
		wg.Go(func() {
			if err := tun.Connect(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	waitFor(func() bool {
		tun.mu.Lock()
		defer tun.mu.Unlock()
		return tun.attempt != nil && tun.attempt.waiters == 6
	})
	cancel() // who began it leaves, and the others do not suffer
	if err := <-first; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	close(gate)
	wg.Wait()
}

func TestAbandonedConnect(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0") // never answers
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	tun := newTunnel(t, hostAt(t, ln.Addr().String()), Options{})
	ctx, cancel := context.WithCancel(t.Context())
	failed := make(chan error)
	go func() { failed <- tun.Connect(ctx) }()
	c, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	cancel()
	if err := <-failed; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if _, err := io.Copy(io.Discard, c); err != nil { // until we hang up
		t.Error(err)
	}
}

func TestConnectErrors(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().String()
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			c.Close()
		}
	}()
	e := wantAs[*ConnectError](t, newTunnel(t, hostAt(t, addr), Options{}).Connect(t.Context()))
	if errors.Is(e, io.EOF) {
		t.Errorf("an end of file in %v", e)
	}
	ln.Close()
	e = wantAs[*ConnectError](t, newTunnel(t, hostAt(t, addr), Options{}).Connect(t.Context()))
	if want := "connecting to prod (" + addr + "): connection refused"; e.Error() != want || !errors.Is(e, syscall.ECONNREFUSED) {
		t.Errorf("got %v, want %s", e, want)
	}
}

func TestConnectTimeout(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0") // never answers
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	h := hostAt(t, ln.Addr().String())
	h.ConnectTimeout = 1
	err = newTunnel(t, h, Options{}).Connect(t.Context())
	wantAs[*ConnectError](t, err)
	wantAs[timeoutError](t, err)
}

func TestClosed(t *testing.T) {
	s := newServer(t)
	tun := New(s.host(), Options{})
	if err := tun.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	ln, err := tun.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(tun.Close(), tun.Close()); err != nil {
		t.Error(err)
	}
	_, err1 := tun.DialContext(t.Context(), "tcp", "echo:7")
	_, err2 := tun.Listen(t.Context(), "tcp", "echo:7")
	_, err3 := ln.Accept()
	for _, err := range []error{err1, err2, err3, tun.Connect(t.Context()), New(s.host(), Options{}).Close()} {
		if err != nil && !errors.Is(err, net.ErrClosed) {
			t.Errorf("got %v", err)
		}
	}
}

func TestJump(t *testing.T) {
	end, b, a := newServer(t), newServer(t), newServer(t)
	resolve := func(hop string) (*sshconf.Host, error) {
		switch hop {
		case "b":
			h := b.host()
			h.ProxyJump = []string{"nowhere"} // does not count: b is not the first
			return h, nil
		case "a":
			return a.host(), nil
		case "a-twice":
			h := b.host()
			h.ProxyJump = []string{"a"}
			return h, nil
		case "circle":
			h := a.host()
			h.ProxyJump = []string{"circle"}
			return h, nil
		case "locked":
			h := a.host()
			h.UserKnownHostsFiles = nil
			return h, nil
		}
		return nil, errors.New("no such host")
	}
	for _, hops := range []string{"a b", "a-twice"} {
		before := [3]int64{a.logins.Load(), b.logins.Load(), end.logins.Load()}
		h := end.host()
		h.ProxyJump = strings.Fields(hops)
		tun := newTunnel(t, h, Options{Jump: resolve})
		c := mustDial(t, tun, "echo:7")
		if _, err := c.Write([]byte("x")); err != nil {
			t.Error(err)
		}
		if a.logins.Load()-before[0] != 1 || b.logins.Load()-before[1] != 1 || end.logins.Load()-before[2] != 1 {
			t.Errorf("%s: not all hops are passed once", hops)
		}
		a.killAll() // the death of a hop is that of the tunnel
		_, err := io.Copy(io.Discard, c)
		wantAs[*LostError](t, err)
		tun.Close()
	}
	for _, hops := range []string{"circle", "nowhere"} {
		h := end.host()
		h.ProxyJump = []string{hops}
		wantAs[*ConnectError](t, newTunnel(t, h, Options{Jump: resolve}).Connect(t.Context()))
	}
	h := end.host()
	h.ProxyJump = []string{"locked"}
	wantAs[*HostKeyError](t, newTunnel(t, h, Options{Jump: resolve}).Connect(t.Context()))
	h.ProxyJump = []string{"a"}
	h.HostName = "refused"
	err := newTunnel(t, h, Options{Jump: resolve}).Connect(t.Context())
	wantAs[*ConnectError](t, err)
	wantAs[*OpenError](t, err)
}
