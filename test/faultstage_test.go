//go:build linux

package test

import (
	"context"
	"log/slog"
	"net"
	"reflect"
	"sync/atomic"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/pasvport/pasvport/ftpmux"
	"github.com/pasvport/pasvport/sshconf"
	"github.com/pasvport/pasvport/tunnel"
)

// A split takes data another way than the control connection.
type split struct {
	control, data ftpmux.Remote
	server        string
}

func (s split) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	if addr == s.server {
		return s.control.DialContext(ctx, network, addr)
	}
	return s.data.DialContext(ctx, network, addr)
}

func (s split) Listen(ctx context.Context, network, addr string) (net.Listener, error) {
	return s.data.Listen(ctx, network, addr)
}

// apart gives data an sshd of its own.
func apart(s *stage) ftpmux.Remote {
	s.dataSSH = startSSHD(s.T)
	return split{s.tunnelTo(s.ssh), s.tunnelTo(s.dataSSH), s.tap.addr}
}

// connOf returns the SSH connection in a tunnel, to do there what tunnel never does.
func connOf(t *testing.T, tun *tunnel.Tunnel) ssh.Conn {
	t.Helper()
	if err := tun.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	conn := reflect.ValueOf(tun).Elem().FieldByName("link").Elem().FieldByName("ssh")
	return reflect.NewAt(conn.Type(), conn.Addr().UnsafePointer()).Elem().Interface().(ssh.Conn)
}

// A stage is what the rows of one fault with one FTP server run on.
type stage struct {
	*testing.T
	ftpd     *ftpServer
	tap      *tap
	ssh      *sshd
	pasvport *pasvport // nil where the mux runs inside the test
	addr     string    // where the clients connect to
	log      *output   // pasvport's, the whole conversation
	damage   atomic.Bool
	tun      *tunnel.Tunnel
	dataSSH  *sshd
}

func newStage(t *testing.T, f *fault, ftpd func(t *testing.T, ip string) *ftpServer) *stage {
	s := &stage{T: t, ftpd: ftpd(t, "127.0.0.1")}
	s.tap = startTap(t, s.ftpd.addr())
	options := func(of func(*stage) []string) []string {
		if of == nil {
			return nil
		}
		return of(s)
	}
	s.ssh = startSSHD(t, options(f.sshd)...)
	if f.remote == nil {
		s.pasvport = startPasvport(t, s.ssh, append(options(f.flags), "-vv", "-L", "0:"+s.tap.addr)...)
		s.addr, s.log = s.pasvport.addrs[0], s.pasvport.stderr
		return s
	}
	s.log = newOutput()
	mux := &ftpmux.Mux{Server: s.tap.addr, Logger: s.logger()}
	mux.Remote = f.remote(s)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.addr = ln.Addr().String()
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- mux.Serve(ctx, ln) }()
	t.Cleanup(func() {
		stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return s
}

func (s *stage) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(s.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// tunnelTo makes a tunnel inside the test.
func (s *stage) tunnelTo(sshd *sshd) *tunnel.Tunnel {
	s.Helper()
	host, err := (&sshconf.Resolver{File: sshd.config}).Resolve("testhost")
	if err != nil {
		s.Fatal(err)
	}
	tun := tunnel.New(host, tunnel.Options{Logger: s.logger()})
	s.Cleanup(func() { tun.Close() })
	return tun
}
