//go:build linux

package tunnel

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/pasvport/pasvport/sshconf"
)

// plainShell keeps bash from reading its startup files, which may do anything.
const plainShell = "SetEnv SHLVL=9"

// An sshMaster is a real ssh that shares its connection.
type sshMaster struct {
	t      *testing.T
	sock   string
	cmd    *exec.Cmd
	ended  chan struct{}
	stdin  io.WriteCloser
	stdout io.Reader
	stderr bytes.Buffer // once ended
}

// sshArgs lets ssh log in to s.
func (s *sshd) sshArgs() []string {
	h := s.host()
	return []string{"-F", "none", "-i", s.path("id"), "-o", "UserKnownHostsFile=" + h.UserKnownHostsFiles[0],
		"-o", "HostKeyAlgorithms=ecdsa-sha2-nistp256", quickKex, "-o", "BatchMode=yes", "-p", fmt.Sprint(h.Port)}
}

// quickKex spares ssh and sshd sntrup761, which takes them longer than all the rest.
const quickKex = "-oKexAlgorithms=curve25519-sha256"

// startMaster starts a master; rest is "-N", or nothing and a command.
func (s *sshd) startMaster(rest ...string) *sshMaster {
	t := s.t
	t.Helper()
	m := &sshMaster{t: t, sock: filepath.Join(socketDir(t), "s"), ended: make(chan struct{})}
	// LocalCommand is run when the socket is there.
	args := append(s.sshArgs(), "-M", "-S", m.sock, "-o", "PermitLocalCommand=yes", "-o", "LocalCommand=echo up")
	if rest[0] == "-N" {
		args, rest = append(args, "-N"), nil
	}
	m.cmd = exec.Command(program(t, "ssh"), append(append(args, s.host().User+"@127.0.0.1"), rest...)...)
	m.cmd.Stderr = &m.stderr
	var err error
	if m.stdin, err = m.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if m.stdout, err = m.cmd.StdoutPipe(); err != nil {
		t.Fatal(err)
	}
	if err := m.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		m.cmd.Process.Wait()
		close(m.ended)
	}()
	t.Cleanup(func() {
		m.cmd.Process.Kill()
		<-m.ended
		m.cmd.Wait()
		if t.Failed() {
			t.Logf("the master said: %s", m.stderr.String())
		}
	})
	io.ReadFull(m.stdout, make([]byte, len("up\n")))
	if err := m.check(); err != nil {
		t.Fatal(err)
	}
	return m
}

// check asks the master whether it lives, as a user would.
func (m *sshMaster) check() error { return m.control("check") }

func (m *sshMaster) control(order string) error {
	out, err := exec.Command(program(m.t, "ssh"), "-F", "none", "-S", m.sock, "-O", order, "x").CombinedOutput()
	if err != nil {
		return fmt.Errorf("ssh -O %s: %w: %s", order, err, out)
	}
	return nil
}

// host is a configuration with which only the master gets there.
func (m *sshMaster) host() *sshconf.Host {
	h := hostAt(m.t, "127.0.0.1:1")
	h.ControlPath = m.sock
	return h
}

// repeats talks to the remote command, which is cat.
func (m *sshMaster) repeats(line string) {
	m.t.Helper()
	io.WriteString(m.stdin, line+"\n")
	got := make([]byte, len(line)+1)
	if _, err := io.ReadFull(m.stdout, got); err != nil || string(got) != line+"\n" {
		m.t.Fatalf("the shell says %q, %v", got, err)
	}
}

func TestMaster(t *testing.T) {
	s := startSSHD(t, plainShell)
	m := s.startMaster("cat")
	m.repeats("before")
	addr, conns := farServer(t)
	var stages []Stage
	tun := New(m.host(), Options{Trace: func(s Stage) { stages = append(stages, s) }})
	defer tun.Close()

	c := mustDial(t, tun, addr)
	far := <-conns
	go func() {
		io.WriteString(c, "up")
		c.CloseWrite()
	}()
	if got, err := io.ReadAll(far); string(got) != "up" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	io.WriteString(far, "down") // the other direction is open still
	far.Close()
	if got, err := io.ReadAll(c); string(got) != "down" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}

	for range 1000 {
		if err := c.link.prove(nil); err != nil {
			t.Fatal(err)
		}
	}

	c = mustDial(t, tun, addr)
	far = <-conns
	c.Close()
	if _, err := far.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("after Close: %v", err)
	}
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
	far.Close()

	c = mustDial(t, tun, addr)
	far = <-conns
	far.SetLinger(0)
	far.Close()
	io.ReadAll(c)
	waitFor(func() bool {
		_, err := c.Write([]byte("x"))
		if err != nil && !errors.Is(err, syscall.EPIPE) {
			t.Errorf("Write: %v", err)
		}
		return err != nil
	})

	_, err := tun.DialContext(t.Context(), "tcp", "127.0.0.1:1")
	if e := wantAs[*OpenError](t, err); e.Reason != 0 || e.Message == "" || e.Addr != "127.0.0.1:1" {
		t.Errorf("got %#v", e)
	}
	_, err = tun.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if e := wantAs[*ForwardError](t, err); e.Err == nil {
		t.Errorf("got %v", e)
	}
	if want := (Stage{"prod", "master", m.sock}); len(stages) != 1 || stages[0] != want {
		t.Errorf("stages: %v", stages)
	}
	m.repeats("while")
	tun.Close()
	m.repeats("after")
	if err := m.check(); err != nil {
		t.Error(err)
	}
}

// Many streams at once, each both ways, each whole.
func TestMasterTransfers(t *testing.T) {
	s := startSSHD(t)
	m := s.startMaster("-N")
	addr, conns := farServer(t)
	tun := newTunnel(t, m.host(), Options{})
	go func() {
		for far := range conns {
			go func() {
				defer far.Close()
				h := sha256.New()
				data, err := io.ReadAll(io.TeeReader(far, h))
				if err != nil {
					t.Error(err)
				}
				far.Write(append(h.Sum(nil), data...))
			}()
		}
	}()
	defer close(conns)
	var wg sync.WaitGroup
	for i := range 100 {
		wg.Go(func() {
			c, err := tun.DialContext(t.Context(), "tcp", addr)
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			data := bytes.Repeat([]byte{byte(i), 1, 2}, 100_000)
			go func() {
				c.Write(data)
				c.(*conn).CloseWrite()
			}()
			got, err := io.ReadAll(c)
			sum := sha256.Sum256(data)
			if err != nil || len(got) != len(data)+len(sum) || !bytes.Equal(got[:len(sum)], sum[:]) || !bytes.Equal(got[len(sum):], data) {
				t.Errorf("stream %d: %d bytes, %v", i, len(got), err)
			}
			if _, err := tun.DialContext(t.Context(), "tcp", "127.0.0.1:1"); !errors.As(err, new(*OpenError)) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	tun.Close()
	if err := m.check(); err != nil {
		t.Error(err)
	}
}

// What dies with the master is never a clean end.
func TestMasterEnds(t *testing.T) {
	for name, end := range map[string]func(*sshd, *sshMaster) error{
		"killed":      func(_ *sshd, m *sshMaster) error { return m.cmd.Process.Kill() },
		"told":        func(_ *sshd, m *sshMaster) error { return m.control("exit") },
		"interrupted": func(_ *sshd, m *sshMaster) error { return m.cmd.Process.Signal(os.Interrupt) },
		"sshd killed": func(s *sshd, _ *sshMaster) error { s.killSessions(); return nil },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := startSSHD(t)
			addr, conns := farServer(t)
			for range 15 {
				m := s.startMaster("-N")
				tun := New(m.host(), Options{})
				c := mustDial(t, tun, addr)
				far := <-conns
				var sent sync.WaitGroup
				sent.Go(func() {
					for {
						if _, err := far.Write(make([]byte, 32<<10)); err != nil {
							return
						}
					}
				})
				if _, err := io.CopyN(io.Discard, c, 1<<20); err != nil {
					t.Fatal(err)
				}
				ended := make(chan error, 1)
				go func() { ended <- end(s, m) }()
				_, err := io.Copy(io.Discard, c)
				wantAs[*LostError](t, err)
				if err := <-ended; err != nil {
					t.Error(err)
				}
				if err := tun.Connect(t.Context()); err == nil {
					t.Error("connected to a dead master")
				}
				tun.Close()
				far.Close()
				sent.Wait()
				<-m.ended
			}
		})
	}
}

// A client that is killed leaves the master as it was, whatever was under way.
func TestMasterSurvivesUs(t *testing.T) {
	s := startSSHD(t, plainShell)
	m := s.startMaster("cat")
	addr, conns := farServer(t)
	stuck := stuckAddr(t)
	for range 10 {
		tun := New(m.host(), Options{})
		if err := tun.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		tun.mu.Lock()
		l := tun.link
		tun.mu.Unlock()
		if _, err := tun.DialContext(t.Context(), "tcp", "127.0.0.1:1"); !errors.As(err, new(*OpenError)) {
			t.Error(err)
		}
		mustDial(t, tun, addr)
		far := <-conns
		before := connecting(t, stuck)
		opening := make(chan error)
		go func() {
			_, err := tun.DialContext(t.Context(), "tcp", stuck)
			opening <- err
		}()
		waitFor(func() bool { return connecting(t, stuck) > before })
		l.master.Close() // what the kernel does to a process that is killed
		wantAs[*LostError](t, <-opening)
		far.Write(make([]byte, 1<<20))
		far.Close()
		tun.Close()
		m.repeats("alive")
	}
	if err := m.check(); err != nil {
		t.Error(err)
	}
}

// stuckAddr is one at which connecting takes for ever: its queue is full.
func stuckAddr(t *testing.T) string {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Close(fd) })
	if err := errors.Join(syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}), syscall.Listen(fd, 0)); err != nil {
		t.Fatal(err)
	}
	name, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	addr := fmt.Sprintf("127.0.0.1:%d", name.(*syscall.SockaddrInet4).Port)
	c, err := net.Dial("tcp", addr) // the one that fits
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return addr
}

// connecting counts who is (SYN_SENT, in /proc/net/tcp) to addr.
func connecting(t *testing.T, addr string) int {
	table, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(addr)
	n := 0
	fmt.Sscan(port, &n)
	return strings.Count(string(table), fmt.Sprintf(" 0100007F:%04X 02 ", n))
}

// A fakeMaster answers at a socket with what it is given for each connection.
func fakeMaster(t *testing.T, serve func(net.Conn)) (path string) {
	t.Helper()
	path = filepath.Join(socketDir(t), "s")
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	ended := make(chan struct{})
	wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { <-ended; c.Close() })
			wg.Go(func() { serve(c) })
		}
	})
	t.Cleanup(func() {
		ln.Close()
		close(ended)
		wg.Wait()
	})
	return path
}

// Where there is no master to use, the connection is our own, as ssh's would be.
func TestNoMaster(t *testing.T) {
	stale := filepath.Join(socketDir(t), "s")
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: stale})
	if err != nil {
		t.Fatal(err)
	}
	ln.SetUnlinkOnClose(false)
	ln.Close()
	var used sync.Map
	good := func(c net.Conn) {
		used.Store("", true)
		hello(c)
	}
	others := fakeMaster(t, good)
	if os.Geteuid() == 0 {
		if err := os.Chown(others, 65534, 65534); err != nil {
			t.Fatal(err)
		}
	} else {
		others = "/" // no socket, but another's
	}
	s := newServer(t)
	for _, tt := range []struct {
		name, mode, path, log string
		secs                  int
	}{
		{name: "none", path: "none"},
		{name: "missing", path: filepath.Join(socketDir(t), "missing"), log: "no ControlMaster"},
		{name: "stale", mode: "auto", path: stale, log: "has left its socket"},
		{name: "another's", path: others, log: "belongs to another user"},
		{name: "silent", path: fakeMaster(t, func(net.Conn) {}), log: "no answer within 1s", secs: 1},
		{name: "hangs up", path: fakeMaster(t, func(c net.Conn) { c.Close() }), log: "cannot be used"},
		{name: "other protocol", path: fakeMaster(t, func(c net.Conn) { writeMux(c, muxHello, muxNumber{3}) }), log: "version 3"},
		{name: "other service", path: fakeMaster(t, func(c net.Conn) { io.WriteString(c, "220 FTP\r\n") }), log: "cannot be used"},
		{name: "too long", path: "/tmp/" + strings.Repeat("x", 200), log: "no ControlMaster"},
		{name: "master ourselves", mode: "yes", path: fakeMaster(t, good)},
		{name: "master if allowed", mode: "ask", path: fakeMaster(t, good)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var log logbook // a session that is cut off says so late
			h := s.host()
			h.ControlMaster, h.ControlPath = tt.mode, tt.path
			h.ConnectTimeout = time.Duration(tt.secs) * time.Second
			tun := newTunnel(t, h, Options{Logger: log.logger()})
			before := s.logins.Load()
			mustDial(t, tun, "echo:7")
			if n := s.logins.Load() - before; n != 1 {
				t.Errorf("%d logins", n)
			}
			tun.Close()
			if !strings.Contains(log.String(), tt.log) {
				t.Errorf("no %q in %s", tt.log, log.String())
			}
		})
	}
	if _, ok := used.Load(""); ok {
		t.Error("a master was asked that should not be")
	}
}

// The master of a later hop spares those before it.
func TestMasterOfHop(t *testing.T) {
	bastion := startSSHD(t)
	m := bastion.startMaster("-N")
	end := newServer(t)
	h := end.host()
	h.ProxyJump = []string{"nowhere", "bastion"}
	var stages []string
	tun := newTunnel(t, h, Options{
		Trace: func(s Stage) { stages = append(stages, s.Host+" "+s.Name) },
		Jump: func(hop string) (*sshconf.Host, error) {
			b := hostAt(t, "127.0.0.1:1")
			b.Alias = hop
			if hop == "bastion" {
				b.ControlPath = m.sock
			}
			return b, nil
		},
	})
	c := mustDial(t, tun, "echo:7")
	if len(stages) == 0 || stages[0] != "bastion master" {
		t.Errorf("stages: %q", stages)
	}
	if _, err := io.WriteString(c, "x"); err != nil {
		t.Error(err)
	}
	m.cmd.Process.Kill()
	_, err := io.Copy(io.Discard, c)
	wantAs[*LostError](t, err)
}

// A master that is stopped proves nothing, and blocks nobody for ever.
func TestStoppedMaster(t *testing.T) {
	s := startSSHD(t)
	m := s.startMaster("-N")
	addr, conns := farServer(t)
	tun := newTunnel(t, m.host(), Options{})
	c := mustDial(t, tun, addr)
	far := <-conns
	defer far.Close()
	if err := m.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	close(stop)
	if err := c.link.prove(stop); !errors.Is(err, net.ErrClosed) {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	dialled := make(chan error)
	go func() {
		_, err := tun.DialContext(ctx, "tcp", addr)
		dialled <- err
	}()
	cancel()
	if err := <-dialled; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	tun.Close()
	if err := m.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if err := m.check(); err != nil {
		t.Error(err)
	}
}

func FuzzReadMux(f *testing.F) {
	for _, m := range []struct {
		kind uint32
		body any
	}{
		{muxHello, muxNumber{muxVersion}},
		{muxFailure, struct {
			Number uint32
			Text   string
		}{1, "no"}},
	} {
		var b bytes.Buffer
		writeMux(&b, m.kind, m.body)
		f.Add(b.Bytes())
	}
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := readMux(bytes.NewReader(data))
		if err != nil {
			return
		}
		m.words()
		var b bytes.Buffer
		writeMux(&b, m.Type, struct {
			Number uint32
			Rest   []byte `ssh:"rest"`
		}{m.Number, m.Rest})
		if !bytes.HasPrefix(data, b.Bytes()) {
			t.Errorf("% x became % x", data, b.Bytes())
		}
	})
}

// isMaster tells whether a master answers at socket.
func isMaster(t *testing.T, socket string) bool {
	m, err := attach(t.Context(), socket, masterPatience)
	if err == nil {
		m.Close()
	}
	return err == nil
}

// A stream that is opened while the link over a master ends is either waited for
// or not opened.
func TestMasterCloseWhileDialling(t *testing.T) {
	s := startSSHD(t, plainShell)
	m := s.startMaster("-N")
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	addr := ln.Addr().String()
	go func() {
		for {
			far, err := ln.Accept()
			if err != nil {
				return
			}
			far.Close()
		}
	}()
	for range 100 {
		tun := newTunnel(t, m.host(), Options{})
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for {
					c, err := tun.DialContext(t.Context(), "tcp", addr)
					if err != nil {
						if !errors.Is(err, net.ErrClosed) {
							t.Error(err)
						}
						return
					}
					c.Close()
				}
			})
		}
		mustDial(t, tun, addr)
		tun.Close()
		wg.Wait()
	}
}

// A master that comes up later is no way for a further connection: it has one for all.
func TestSpreadUsesNoMaster(t *testing.T) {
	s := startSSHD(t)
	h := s.host()
	h.ControlPath = filepath.Join(socketDir(t), "s")
	tun := newTunnel(t, h, Options{Connections: 2})
	dial := func() *link {
		c, err := tun.Spread().DialContext(t.Context(), "tcp", s.addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c.(*spreadConn).link
	}
	own := dial()
	if err := os.Rename(s.startMaster("-N").sock, h.ControlPath); err != nil {
		t.Fatal(err)
	}
	if l := dial(); l == own || l.master != nil {
		t.Errorf("the second stream goes by the tunnel's own connection (%v) or the master's (%v)", l == own, l.master != nil)
	}
}
