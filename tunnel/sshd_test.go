//go:build linux

package tunnel

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/pasvport/pasvport/sshconf"
)

// An sshd is an OpenSSH server on loopback that lets the current user in.
type sshd struct {
	t    *testing.T
	addr string
	dir  string
	pid  int
	kill func() // it and its sessions; start makes it live again
}

func startSSHD(t *testing.T, options ...string) *sshd {
	t.Helper()
	path := program(t, "sshd")
	s := &sshd{t: t, dir: t.TempDir()}
	if os.Getuid() == 0 {
		if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
			t.Fatal(err)
		}
	}
	run(t, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", s.path("host"))
	run(t, "ssh-keygen", "-q", "-t", "ecdsa", "-N", "", "-f", s.path("host2"))
	run(t, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", s.path("id"))
	for range 5 { // the port is free now, and may not be in a moment
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		s.addr = ln.Addr().String()
		ln.Close()
		if s.start(path, options) {
			return s
		}
	}
	t.Fatal("sshd does not start")
	return nil
}

func (s *sshd) path(name string) string { return filepath.Join(s.dir, name) }

func (s *sshd) start(path string, options []string) bool {
	t := s.t
	host, port, _ := net.SplitHostPort(s.addr)
	config := strings.Join(options, "\n") + fmt.Sprintf(`
ListenAddress %s
Port %s
HostKey %s
HostKey %s
AuthorizedKeysFile %s
PidFile none
StrictModes no
UsePAM no
PermitRootLogin yes
PasswordAuthentication no
KbdInteractiveAuthentication no
LogLevel DEBUG1
`, host, port, s.path("host"), s.path("host2"), s.path("id.pub"))
	if err := os.WriteFile(s.path("config"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, "-D", "-e", "-f", s.path("config"))
	log, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s.pid = cmd.Process.Pid
	up, ended := make(chan bool, 1), make(chan struct{})
	go func() {
		defer close(ended)
		var all strings.Builder
		for in := bufio.NewScanner(log); in.Scan(); {
			all.WriteString(in.Text() + "\n")
			if strings.HasPrefix(in.Text(), "Server listening on") {
				up <- true
			}
		}
		cmd.Wait()
		up <- false
		if t.Failed() {
			fmt.Fprintf(os.Stderr, "log of sshd in %s:\n%s", t.Name(), all.String())
		}
	}()
	if !<-up {
		<-ended
		return false
	}
	s.kill = func() {
		cmd.Process.Signal(syscall.SIGSTOP) // so that it begins no more
		s.killSessions()
		cmd.Process.Kill()
		<-ended
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		<-ended
	})
	return true
}

// killSessions kills the processes that serve connections.
func (s *sshd) killSessions() {
	var kill func(parent int)
	kill = func(parent int) {
		children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", parent, parent))
		if err != nil && parent == s.pid {
			s.t.Fatal(err)
		}
		for _, c := range strings.Fields(string(children)) {
			pid, _ := strconv.Atoi(c)
			kill(pid)
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && err != syscall.ESRCH {
				s.t.Error(err)
			}
		}
	}
	kill(s.pid)
}

func (s *sshd) host() *sshconf.Host {
	me, err := user.Current()
	if err != nil {
		s.t.Fatal(err)
	}
	pub, err := os.ReadFile(s.path("host2.pub")) // not the type that the library would choose
	if err != nil {
		s.t.Fatal(err)
	}
	host, port, _ := net.SplitHostPort(s.addr)
	h := hostAt(s.t, s.addr)
	h.User = me.Username
	h.IdentityFiles = []string{s.path("id")}
	h.UserKnownHostsFiles = []string{writeFile(s.t, "known_hosts", fmt.Sprintf("[%s]:%s %s", host, port, pub))}
	return h
}

// A far server takes one connection after the other and hands it to the test.
func farServer(t *testing.T) (addr string, conns chan *net.TCPConn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	conns = make(chan *net.TCPConn)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			conns <- c.(*net.TCPConn)
		}
	}()
	t.Cleanup(func() {
		ln.Close()
		<-done
	})
	return ln.Addr().String(), conns
}

func TestSSHD(t *testing.T) {
	s := startSSHD(t)
	addr, conns := farServer(t)
	tun := newTunnel(t, s.host(), Options{})

	t.Run("half-close", func(t *testing.T) {
		c := mustDial(t, tun, addr)
		far := <-conns
		defer far.Close()
		go func() {
			io.WriteString(c, "up")
			c.CloseWrite()
		}()
		if got, err := io.ReadAll(far); string(got) != "up" || err != nil {
			t.Errorf("got %q, %v", got, err)
		}
		io.WriteString(far, "down") // the other direction is open still
		far.CloseWrite()
		if got, err := io.ReadAll(c); string(got) != "down" || err != nil {
			t.Errorf("got %q, %v", got, err)
		}
	})

	t.Run("close", func(t *testing.T) {
		c := mustDial(t, tun, addr)
		far := <-conns
		defer far.Close()
		c.Close()
		if _, err := far.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("got %v", err)
		}
	})

	t.Run("listen", func(t *testing.T) {
		ln, err := tun.Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		_, err = tun.Listen(t.Context(), "tcp", ln.Addr().String())
		wantAs[*ForwardError](t, err)
		far, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		c, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if got, want := c.RemoteAddr().String(), far.LocalAddr().String(); got != want {
			t.Errorf("RemoteAddr %s, want %s", got, want)
		}
		io.WriteString(far, "x")
		far.Close()
		if got, err := io.ReadAll(c); string(got) != "x" || err != nil {
			t.Errorf("got %q, %v", got, err)
		}
		c.Close()
		waiting, err := net.Dial("tcp", ln.Addr().String()) // which nobody accepts
		if err != nil {
			t.Fatal(err)
		}
		defer waiting.Close()
		ln.Close()
		if _, err := waiting.Read(make([]byte, 1)); err == nil {
			t.Error("a stream that nobody took goes on")
		}
		again, err := tun.Listen(t.Context(), "tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		again.Close()
	})

	t.Run("nothing there", func(t *testing.T) {
		ln, _ := net.Listen("tcp", "127.0.0.1:0")
		ln.Close()
		_, err := tun.DialContext(t.Context(), "tcp", ln.Addr().String())
		want := fmt.Sprintf("sshd cannot connect to %s: Connection refused", ln.Addr())
		if e := wantAs[*OpenError](t, err); e.Reason != ssh.ConnectionFailed || e.Error() != want {
			t.Errorf("got %v, want %s", e, want)
		}
	})

	t.Run("lost", func(t *testing.T) {
		c := mustDial(t, tun, addr)
		far := <-conns
		defer far.Close()
		s.killSessions()
		_, err := io.ReadAll(c)
		wantAs[*LostError](t, err)
		c = mustDial(t, tun, addr)
		far2 := <-conns
		defer far2.Close()
		io.WriteString(c, "again")
		if _, err := io.ReadFull(far2, make([]byte, 5)); err != nil {
			t.Error(err)
		}
	})
}

func TestSSHDRefusals(t *testing.T) {
	s := startSSHD(t, "PermitOpen 127.0.0.1:1", "PermitListen 127.0.0.1:1", "MaxSessions 0")
	tun := newTunnel(t, s.host(), Options{})
	_, err := tun.DialContext(t.Context(), "tcp", "127.0.0.1:2")
	if e := wantAs[*OpenError](t, err); e.Reason != ssh.Prohibited {
		t.Errorf("got %v", e)
	}
	_, err = tun.Listen(t.Context(), "tcp", "127.0.0.1:0")
	wantAs[*ForwardError](t, err)

	s = startSSHD(t, "AllowTcpForwarding no")
	tun = newTunnel(t, s.host(), Options{})
	_, err = tun.DialContext(t.Context(), "tcp", "127.0.0.1:1")
	if e := wantAs[*OpenError](t, err); e.Reason != ssh.Prohibited {
		t.Errorf("got %v", e)
	}
	_, err = tun.Listen(t.Context(), "tcp", "127.0.0.1:0")
	wantAs[*ForwardError](t, err)
}

func TestSSHDLogin(t *testing.T) {
	s := startSSHD(t, "MaxAuthTries 2")
	h := s.host()
	var wrong []string
	for range 3 {
		file, _ := newKey(t, "")
		wrong = append(wrong, file)
	}
	h.IdentityFiles = wrong
	e := wantAs[*AuthError](t, newTunnel(t, h, Options{}).Connect(t.Context()))
	if len(e.Tried) == 0 || !strings.Contains(e.Error(), wrong[0]) {
		t.Errorf("got %v", e)
	}
	h.IdentityFiles = []string{wrong[0], s.path("id")}
	jump := func(string) (*sshconf.Host, error) { return h, nil }
	if err := newTunnel(t, h, Options{}).Connect(t.Context()); err != nil {
		t.Error(err)
	}
	end := startSSHD(t)
	through := end.host()
	through.ProxyJump = []string{"hop"}
	if err := newTunnel(t, through, Options{Jump: jump}).Connect(t.Context()); err != nil {
		t.Error(err)
	}
	h.UserKnownHostsFiles = nil
	err := newTunnel(t, through, Options{Jump: jump}).Connect(t.Context())
	if e := wantAs[*HostKeyError](t, err); e.File != "" || errors.Is(err, io.EOF) {
		t.Errorf("got %v", e)
	}
}
