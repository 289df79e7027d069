package tunnel

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

// listenAgent gives what connects to SSH_AUTH_SOCK to serve.
func listenAgent(t *testing.T, serve func(net.Conn)) {
	t.Helper()
	path := filepath.Join(socketDir(t), "s")
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { serve(c); c.Close() })
		}
	})
	t.Setenv("SSH_AUTH_SOCK", path)
	t.Cleanup(func() {
		ln.Close()
		wg.Wait()
	})
}

func serveAgent(t *testing.T, a agent.Agent) {
	t.Helper()
	listenAgent(t, func(c net.Conn) { agent.ServeAgent(a, c) })
}

// startSSHAgent runs OpenSSH's agent for the environment of the test, and adds the key files.
func startSSHAgent(t *testing.T, files ...string) {
	t.Helper()
	path := filepath.Join(socketDir(t), "s")
	cmd := exec.Command(program(t, "ssh-agent"), "-D", "-a", path)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SSH_AUTH_SOCK", path)
	for _, f := range files {
		run(t, "ssh-add", "-q", f)
	}
}

// An agent that answers nonsense is done without.
func TestMadAgents(t *testing.T) {
	file, pub := newKey(t, "")
	s := newServer(t, takes(pub))
	h := s.host()
	// The agent's copy of the key comes first. When the agent does not sign, the file has its turn.
	h.IdentityFiles = []string{file + ".pub", file}
	if err := os.WriteFile(file+".pub", ssh.MarshalAuthorizedKey(pub), 0o600); err != nil {
		t.Fatal(err)
	}
	key := ssh.Marshal(struct {
		Type byte
		N    uint32
		Blob []byte
		Text string
	}{12, 1, pub.Marshal(), "mad"})
	frame := func(b []byte) string { return string([]byte{0, 0, byte(len(b) >> 8), byte(len(b))}) + string(b) }
	for _, answers := range [][]string{
		{""},
		{"\x00"},
		{"\xff\xff\xff\xff"},
		{"\x00\x00\x00\x00"},
		{"\x00\x00\x00\x01\x05"},
		{"\x00\x00\x00\x05\x0c\xff\xff\xff\xff"},
		{"\x00\x00\x00\x05\x0c\x00\x00\x00\x01"},
		{"\x00\x00\x00\x0d\x0c\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00"},
		{"\x00\x00\x00\x02\x0e\x00"},
		{frame(key), ""},
		{frame(key), "\x00\x00\x00\x01\x05"},
		{frame(key), "\x00\x00\x00\x05\x0e\x00\x00\x00\x00"},
		{frame(key), "\x00\x00\x00\x09\x0e\x00\x00\x00\x04\x00\x00\x00\x00"},
		{frame(key), frame(ssh.Marshal(struct {
			Type byte
			Sig  []byte
		}{14, ssh.Marshal(ssh.Signature{Format: "ssh-rsa", Blob: []byte("x")})}))},
	} {
		t.Run("", func(t *testing.T) {
			listenAgent(t, func(c net.Conn) {
				for _, a := range answers {
					if _, err := c.Read(make([]byte, 4096)); err != nil {
						return
					}
					io.WriteString(c, a)
				}
			})
			p := &script{}
			if err := newTunnel(t, h, Options{Prompter: p}).Connect(t.Context()); err != nil {
				t.Errorf("answers %q: %v", answers, err)
			}
		})
	}
}

func TestSilentAgent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		go io.Copy(io.Discard, theirs)
		_, err := askAgent(t.Context(), ours)
		if err == nil || !strings.Contains(err.Error(), "no answer from the agent within 5s") {
			t.Errorf("got %v", err)
		}
		theirs.Close()

		// one that lists its keys and then does not sign
		ours, theirs = net.Pipe()
		a := &stuckAgent{Agent: agent.NewKeyring(), stuck: make(chan struct{})}
		_, key, _ := ed25519.GenerateKey(rand.Reader)
		if err := a.Add(agent.AddedKey{PrivateKey: key}); err != nil {
			t.Fatal(err)
		}
		go agent.ServeAgent(a, theirs)
		c, err := askAgent(t.Context(), ours)
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.keys[0].sign(t.Context(), []byte("x"), ssh.KeyAlgoED25519)
		if err == nil || !strings.Contains(err.Error(), "no answer from the agent within 2m0s") {
			t.Errorf("got %v", err)
		}
		close(a.stuck)
		theirs.Close()
		synctest.Wait()

		// and the end of the context
		ours, theirs = net.Pipe()
		defer theirs.Close()
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		began := time.Now()
		go io.Copy(io.Discard, theirs)
		if _, err := askAgent(ctx, ours); err == nil || time.Since(began) != time.Second {
			t.Errorf("got %v after %v", err, time.Since(began))
		}
	})
}

type stuckAgent struct {
	agent.Agent
	stuck chan struct{}
}

func (a *stuckAgent) Sign(ssh.PublicKey, []byte) (*ssh.Signature, error) {
	<-a.stuck
	return &ssh.Signature{}, nil // an error would be printed by the library
}

// A signature by another algorithm than was asked for is not sent on.
func TestAgentSignsOtherwise(t *testing.T) {
	ours, theirs := net.Pipe()
	ring := agent.NewKeyring()
	_, key, _ := ed25519.GenerateKey(rand.Reader)
	if err := ring.Add(agent.AddedKey{PrivateKey: key}); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { agent.ServeAgent(ring, theirs); close(done) }()
	a, err := askAgent(t.Context(), ours)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.keys[0].sign(t.Context(), []byte("x"), ssh.KeyAlgoED25519); err != nil {
		t.Error(err)
	}
	if _, err := a.keys[0].sign(t.Context(), []byte("x"), ssh.KeyAlgoSKED25519); err == nil {
		t.Error("no error")
	}
	a.close()
	<-done
}

// A panickyClient stands for a client library with a bug.
type panickyClient struct{ agent.ExtendedAgent }

func (panickyClient) List() ([]*agent.Key, error) { panic("index out of range") }

func TestAgentPanic(t *testing.T) {
	ours, theirs := net.Pipe()
	defer theirs.Close()
	a := &agentConn{conn: ours, client: panickyClient{}}
	err := a.do(t.Context(), time.Minute, a.list)
	if err == nil || !strings.Contains(err.Error(), "index out of range") {
		t.Errorf("got %v", err)
	}
}

// The file of a security key is no use without the agent.
func TestSecurityKeyFile(t *testing.T) {
	blob := ssh.Marshal(struct {
		Type        string
		Key         []byte
		Application string
	}{ssh.KeyAlgoSKED25519, make([]byte, 32), "ssh:"})
	body := opensshMagic + string(ssh.Marshal(struct {
		Cipher, KDF, Options string
		Keys                 uint32
		Public, Private      []byte
	}{"none", "none", "", 1, blob, make([]byte, 64)}))
	file := writeFile(t, "id", string(pem.EncodeToMemory(&pem.Block{Type: "OPENSSH PRIVATE KEY", Bytes: []byte(body)})))
	_, pub := newKey(t, "")
	s := newServer(t, takes(pub))
	h := s.host()
	h.IdentityFiles = []string{file}
	e := wantAs[*AuthError](t, newTunnel(t, h, Options{}).Connect(t.Context()))
	if want := []string{"key " + file + " (a security key: needs the agent or the system's ssh)"}; !slices.Equal(e.Tried, want) {
		t.Errorf("tried %q, want %q", e.Tried, want)
	}
}
