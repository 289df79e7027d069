package tunnel

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"github.com/pasvport/pasvport/sshconf"
)

func TestMain(m *testing.M) {
	os.Unsetenv("SSH_AUTH_SOCK")
	goleak.VerifyTestMain(m)
}

// A server is an SSH server on loopback. Its streams lead to services named by
// the host that is dialled; any other is dialled over TCP.
type server struct {
	t       testing.TB
	addr    string
	cfg     *ssh.ServerConfig
	hostKey ssh.PublicKey

	mu      sync.Mutex
	raws    []net.Conn
	conns   []*ssh.ServerConn
	opening func(nc ssh.NewChannel, host string) bool // handles a direct-tcpip itself if true
	globals func(r *ssh.Request) bool                 // handles a global request itself if true
	logins  atomic.Int64
	ran     chan string // commands
}

func newSigner(t testing.TB) ssh.Signer {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func unstarted(t testing.TB) *server {
	s := &server{t: t, ran: make(chan string, 100), cfg: &ssh.ServerConfig{NoClientAuth: true}}
	host := newSigner(t)
	s.hostKey = host.PublicKey()
	s.cfg.AddHostKey(host)
	return s
}

// newServer starts a server; edit may change its configuration before.
func newServer(t testing.TB, edit ...func(*ssh.ServerConfig)) *server {
	t.Helper()
	s := unstarted(t)
	for _, f := range edit {
		f(s.cfg)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.addr = ln.Addr().String()
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { s.serve(c) })
		}
	})
	t.Cleanup(func() {
		ln.Close()
		s.killAll()
		wg.Wait()
	})
	return s
}

func (s *server) serve(raw net.Conn) {
	s.mu.Lock()
	s.raws = append(s.raws, raw)
	s.mu.Unlock()
	conn, chans, reqs, err := ssh.NewServerConn(raw, s.cfg)
	if err != nil {
		raw.Close()
		return
	}
	s.mu.Lock()
	s.conns = append(s.conns, conn)
	s.mu.Unlock()
	s.logins.Add(1)
	go s.requests(reqs)
	for nc := range chans {
		go s.channel(nc)
	}
	conn.Wait()
}

func (s *server) requests(reqs <-chan *ssh.Request) {
	for r := range reqs {
		s.mu.Lock()
		handle := s.globals
		s.mu.Unlock()
		if handle != nil && handle(r) {
			continue
		}
		var m forwardMsg
		switch {
		case r.Type == "tcpip-forward" && ssh.Unmarshal(r.Payload, &m) == nil:
			var reply []byte
			if m.Port == 0 {
				reply = ssh.Marshal(struct{ Port uint32 }{40000})
			}
			r.Reply(m.Host != "denied", reply)
		default:
			r.Reply(r.Type == "cancel-tcpip-forward", nil)
		}
	}
}

func (s *server) channel(nc ssh.NewChannel) {
	if nc.ChannelType() == "session" {
		ch, reqs, err := nc.Accept()
		if err != nil {
			return
		}
		for r := range reqs {
			r.Reply(true, nil)
			if r.Type == "exec" {
				s.ran <- string(r.Payload[4:])
				ch.Close()
			}
		}
		return
	}
	var m struct {
		Host       string
		Port       uint32
		Origin     string
		OriginPort uint32
	}
	if err := ssh.Unmarshal(nc.ExtraData(), &m); err != nil {
		s.t.Error(err)
	}
	s.mu.Lock()
	handle := s.opening
	s.mu.Unlock()
	if handle != nil && handle(nc, m.Host) {
		return
	}
	switch m.Host {
	case "refused":
		nc.Reject(ssh.ConnectionFailed, "Connection\x1b refused")
		return
	case "denied":
		nc.Reject(ssh.Prohibited, "open failed")
		return
	}
	var far net.Conn
	if m.Host != "echo" && m.Host != "stuck" {
		var err error
		if far, err = net.Dial("tcp", net.JoinHostPort(m.Host, strconv.Itoa(int(m.Port)))); err != nil {
			nc.Reject(ssh.ConnectionFailed, err.Error())
			return
		}
	}
	ch, reqs, err := nc.Accept()
	if err != nil {
		return
	}
	go ssh.DiscardRequests(reqs)
	switch {
	case far != nil:
		go func() { io.Copy(far, ch); far.Close() }()
		io.Copy(ch, far)
		ch.Close()
	case m.Host == "echo":
		io.Copy(ch, ch)
		ch.CloseWrite()
	case m.Host == "stuck": // reads nothing and says nothing
	}
}

// killAll cuts all connections as they stand.
func (s *server) killAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.raws {
		c.Close()
	}
	s.raws = nil
}

// last is the connection made last, once something has come over it.
func (s *server) last() *ssh.ServerConn {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.conns[len(s.conns)-1]
}

// host is the configuration of a client that knows the server.
func (s *server) host() *sshconf.Host {
	h := hostAt(s.t, s.addr)
	h.UserKnownHostsFiles = []string{s.writeKnown(s.addr)}
	return h
}

func (s *server) writeKnown(addr string) string {
	return writeFile(s.t, "known_hosts", knownhosts.Line([]string{addr}, s.hostKey)+"\n")
}

func hostAt(t testing.TB, addr string) *sshconf.Host {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	n, _ := strconv.Atoi(port)
	return &sshconf.Host{Alias: "prod", HostName: host, Port: n, User: "anna", ServerAliveInterval: -1, StrictHostKeyChecking: "yes",
		PubkeyAuthentication: true, PasswordAuthentication: true, KbdInteractiveAuthentication: true, NumberOfPasswordPrompts: 3}
}

func writeFile(t testing.TB, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// socketDir is a directory with a name that is short, as a socket's must be.
func socketDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "m")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// newKey makes a key file and tells its public half; a passphrase may be "".
func newKey(t *testing.T, passphrase string) (path string, pub ssh.PublicKey) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "id")
	run(t, "ssh-keygen", "-q", "-t", "ed25519", "-a", "1", "-N", passphrase, "-f", path)
	pub, _ = loadPublic(path + ".pub")
	if err := os.Remove(path + ".pub"); err != nil || pub == nil {
		t.Fatal(err)
	}
	return path, pub
}

// takes has a server let in who has one of the keys.
func takes(keys ...ssh.PublicKey) func(*ssh.ServerConfig) {
	return func(c *ssh.ServerConfig) {
		c.NoClientAuth = false
		c.PublicKeyCallback = func(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
			for _, k := range keys {
				if bytes.Equal(k.Marshal(), key.Marshal()) {
					return nil, nil
				}
			}
			return nil, errors.New("unknown key")
		}
	}
}

func newTunnel(t testing.TB, h *sshconf.Host, opts Options) *Tunnel {
	tun := New(h, opts)
	t.Cleanup(func() { tun.Close() })
	return tun
}

func mustDial(t testing.TB, tun *Tunnel, addr string) *conn {
	t.Helper()
	c, err := tun.DialContext(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c.(*conn)
}

func wantAs[E error](t testing.TB, err error) E {
	t.Helper()
	e, ok := errors.AsType[E](err)
	if !ok {
		t.Fatalf("got %T %v, want a %T", err, err, e)
	}
	return e
}

// program finds a program of OpenSSH. Without it the test fails: what is not
// tried against the real thing is not known to work.
func program(t testing.TB, name string) string {
	t.Helper()
	for _, path := range []string{name, "/usr/sbin/" + name} {
		if found, err := exec.LookPath(path); err == nil {
			return found
		}
	}
	t.Fatalf("no %s: run apt-get install openssh-server openssh-client", name)
	return ""
}

func run(t testing.TB, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(program(t, name), args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
}

var errNoAnswer = errors.New("no more answers")

// A script is a Prompter with its answers.
type script struct {
	mu      sync.Mutex
	answers []string
	asked   []string
}

func (s *script) Secret(ctx context.Context, prompt string) (string, error) {
	return s.answer("secret " + prompt)
}

func (s *script) Ask(ctx context.Context, prompt string) (string, error) {
	return s.answer("ask " + prompt)
}

func (s *script) answer(prompt string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, prompt)
	if len(s.answers) == 0 {
		return "", errNoAnswer
	}
	a := s.answers[0]
	s.answers = s.answers[1:]
	return a, nil
}
