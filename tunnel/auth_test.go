package tunnel

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

// startAgent serves an agent with the private keys of the files.
func startAgent(t *testing.T, files ...string) {
	t.Helper()
	keyring := agent.NewKeyring()
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		key, err := ssh.ParseRawPrivateKey(data)
		if err != nil {
			t.Fatal(err)
		}
		if err := keyring.Add(agent.AddedKey{PrivateKey: key, Comment: "of " + f}); err != nil {
			t.Fatal(err)
		}
	}
	dir, err := os.MkdirTemp("", "agent") // t.TempDir can be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "s")
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
			wg.Go(func() { agent.ServeAgent(keyring, c); c.Close() })
		}
	})
	t.Setenv("SSH_AUTH_SOCK", path)
	t.Cleanup(func() {
		ln.Close()
		wg.Wait()
		os.RemoveAll(dir)
	})
}

// offers notes the keys that a server is offered, by fingerprint, and takes one.
func offers(taken ssh.PublicKey, seen *[]string) func(*ssh.ServerConfig) {
	return func(c *ssh.ServerConfig) {
		takes(taken)(c)
		inner := c.PublicKeyCallback
		c.PublicKeyCallback = func(m ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
			*seen = append(*seen, ssh.FingerprintSHA256(key))
			return inner(m, key)
		}
	}
}

func TestKeyOrder(t *testing.T) {
	var files, prints []string
	for range 4 {
		f, pub := newKey(t, "")
		files, prints = append(files, f), append(prints, ssh.FingerprintSHA256(pub))
	}
	startAgent(t, files[3], files[2], files[1])
	pub2, _ := os.ReadFile(files[2])
	key2, _ := ssh.ParsePrivateKey(pub2)
	onlyPub := writeFile(t, "id.pub", string(ssh.MarshalAuthorizedKey(key2.PublicKey())))
	stranger, _ := ssh.NewPublicKey(newSigner(t).PublicKey().(ssh.CryptoPublicKey).CryptoPublicKey())
	notInAgent := writeFile(t, "id.pub", string(ssh.MarshalAuthorizedKey(stranger)))

	for _, tt := range []struct {
		only       bool
		identities []string
		want       []int
	}{
		{false, []string{files[0], "/missing", files[1]}, []int{0, 1, 3, 2}},
		{true, []string{files[0], files[1]}, []int{0, 1}},
		{true, []string{onlyPub, files[0]}, []int{2, 0}},
		{true, []string{strings.TrimSuffix(onlyPub, ".pub")}, []int{2}},
		{true, []string{notInAgent}, nil},
		{true, nil, nil},
	} {
		t.Run(fmt.Sprint(tt.want, tt.only), func(t *testing.T) {
			var seen, want []string
			s := newServer(t, offers(stranger, &seen))
			h := s.host()
			h.IdentityFiles, h.IdentitiesOnly = tt.identities, tt.only
			e := wantAs[*AuthError](t, newTunnel(t, h, Options{}).Connect(t.Context()))
			for _, i := range tt.want {
				want = append(want, prints[i])
			}
			if !slices.Equal(seen, want) {
				t.Errorf("offered %q, want %q", seen, want)
			}
			for i, print := range want {
				if i >= len(e.Tried) || !strings.Contains(e.Tried[i], print) {
					t.Errorf("tried %q, want %q", e.Tried, want)
					break
				}
			}
			if !slices.Equal(e.Allowed, []string{"publickey"}) || e.User != "anna" || e.Host != "prod" {
				t.Errorf("got %+v", e)
			}
		})
	}
}

// A key in the agent does without the question that a locked file would need.
func TestLockedKeysComeLast(t *testing.T) {
	locked, lockedKey := newKey(t, "secret")
	inAgent, agentKey := newKey(t, "")
	startAgent(t, inAgent)
	s := newServer(t, takes(lockedKey, agentKey))
	h := s.host()
	h.IdentityFiles = []string{locked}
	p := &script{}
	if err := newTunnel(t, h, Options{Prompter: p}).Connect(t.Context()); err != nil || len(p.asked) > 0 {
		t.Errorf("%v, asked %q", err, p.asked)
	}
	h.IdentityAgent = "none"
	wantAs[*AuthError](t, newTunnel(t, h, Options{}).Connect(t.Context()))
}

func TestAgentSigns(t *testing.T) {
	file, pub := newKey(t, "")
	startAgent(t, file)
	s := newServer(t, takes(pub))
	if err := newTunnel(t, s.host(), Options{}).Connect(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestPassphrase(t *testing.T) {
	wrong, _ := newKey(t, "other")
	file, pub := newKey(t, "open sesame")
	s := newServer(t, takes(pub))
	h := s.host()
	h.IdentityFiles = []string{wrong, file}
	p := &script{answers: []string{"sesame", "open sesame"}}
	tun := newTunnel(t, h, Options{Prompter: p})
	for range 2 { // the second time, the key is known
		if err := tun.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.killAll()
		<-tun.link.done
	}
	// only of the key that the server takes
	q := fmt.Sprintf("secret Enter passphrase for key '%s': ", file)
	if want := []string{q, q}; !slices.Equal(p.asked, want) {
		t.Errorf("asked %q, want %q", p.asked, want)
	}

	p = &script{answers: []string{"1", "2", "3", "", ""}}
	e := wantAs[*AuthError](t, newTunnel(t, h, Options{Prompter: p}).Connect(t.Context()))
	if len(p.asked) != tries || !slices.Contains(e.Tried, "key "+file+" (wrong passphrase)") {
		t.Errorf("asked %q, tried %q", p.asked, e.Tried)
	}
	// a key that stays locked does not stand in the way of the next
	good, pub2 := newKey(t, "")
	s = newServer(t, takes(pub, pub2))
	h2 := s.host()
	h2.IdentityFiles = []string{file, good}
	if err := newTunnel(t, h2, Options{Prompter: &script{answers: []string{""}}}).Connect(t.Context()); err != nil {
		t.Error(err)
	}
	e = wantAs[*AuthError](t, newTunnel(t, h, Options{}).Connect(t.Context()))
	if want := "key " + file + " (needs its passphrase)"; !slices.Contains(e.Tried, want) {
		t.Errorf("tried %q, want %q", e.Tried, want)
	}
}

// An old PEM file does not show its public half: only the passphrase does.
func TestPassphraseOfOldPEM(t *testing.T) {
	file := filepath.Join(t.TempDir(), "id_ecdsa")
	run(t, "ssh-keygen", "-q", "-t", "ecdsa", "-m", "PEM", "-N", "secret", "-f", file)
	if err := os.Remove(file + ".pub"); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.ParsePrivateKeyWithPassphrase(data, []byte("secret"))
	if err != nil {
		t.Fatal(err)
	}
	open, pub := newKey(t, "")
	for _, tt := range []struct {
		takes ssh.PublicKey
		asked int
	}{{signer.PublicKey(), 1}, {pub, 0}} {
		s := newServer(t, takes(tt.takes))
		h := s.host()
		h.IdentityFiles = []string{file, open}
		p := &script{answers: []string{"secret"}}
		if err := newTunnel(t, h, Options{Prompter: p}).Connect(t.Context()); err != nil {
			t.Error(err)
		}
		if len(p.asked) != tt.asked {
			t.Errorf("asked %q, want %d questions", p.asked, tt.asked)
		}
	}
}

func TestUselessKeyFiles(t *testing.T) {
	open, pub := newKey(t, "")
	if err := os.Chmod(open, 0o640); err != nil {
		t.Fatal(err)
	}
	pkcs8 := writeFile(t, "id", "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n")
	junk := writeFile(t, "id", "not a key")
	s := newServer(t, takes(pub))
	h := s.host()
	h.IdentityFiles = []string{open, pkcs8, junk, "/missing"}
	e := wantAs[*AuthError](t, newTunnel(t, h, Options{}).Connect(t.Context()))
	if len(e.Tried) != 3 {
		t.Fatalf("tried %q", e.Tried)
	}
	for i, want := range []string{"mode 0640", "ssh-keygen -p", "no key found"} {
		if !strings.Contains(e.Tried[i], want) {
			t.Errorf("got %q, want %q", e.Tried[i], want)
		}
	}
}

func TestPasswords(t *testing.T) {
	password := func(c *ssh.ServerConfig) {
		c.NoClientAuth = false
		c.PasswordCallback = func(_ ssh.ConnMetadata, p []byte) (*ssh.Permissions, error) {
			if string(p) != "right" {
				return nil, errors.New("wrong")
			}
			return nil, nil
		}
	}
	interactive := func(c *ssh.ServerConfig) {
		c.NoClientAuth = false
		c.KeyboardInteractiveCallback = func(_ ssh.ConnMetadata, ask ssh.KeyboardInteractiveChallenge) (*ssh.Permissions, error) {
			a, err := ask("", "Hello", []string{"Token\x1b[2J: ", "Name: "}, []bool{false, true})
			if err != nil || a[0] != "right" || a[1] != "anna" {
				return nil, errors.New("wrong")
			}
			return nil, nil
		}
	}
	for _, tt := range []struct {
		name    string
		edit    func(*ssh.ServerConfig)
		answers []string
		asked   int
		first   string
		tried   []string // nil: success
	}{
		{"password", password, []string{"wrong", "right"}, 2, "secret anna@127.0.0.1's password: ", nil},
		{"wrong password", password, []string{"1", "2", "3", "right"}, 3, "secret anna@127.0.0.1's password: ", []string{"password"}},
		{"no answer", password, nil, 1, "secret anna@127.0.0.1's password: ", []string{"password"}},
		{"interactive", interactive, []string{"right", "anna"}, 2, "secret (anna@127.0.0.1) Hello Token [2J: ", nil},
		{"interactive first", func(c *ssh.ServerConfig) { interactive(c); password(c) },
			[]string{"a", "b", "a", "b", "a", "b", "right"}, 7, "secret (anna@127.0.0.1) Hello Token [2J: ", nil},
		{"interactive, given up", func(c *ssh.ServerConfig) { interactive(c); password(c) },
			[]string{"a"}, 2, "secret (anna@127.0.0.1) Hello Token [2J: ", []string{"keyboard-interactive"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newServer(t, tt.edit)
			p := &script{answers: tt.answers}
			err := newTunnel(t, s.host(), Options{Prompter: p}).Connect(t.Context())
			if tt.tried == nil && err != nil {
				t.Fatal(err)
			} else if tt.tried != nil {
				if e := wantAs[*AuthError](t, err); !slices.Equal(e.Tried, tt.tried) {
					t.Errorf("tried %q, want %q", e.Tried, tt.tried)
				}
			}
			if len(p.asked) != tt.asked || p.asked[0] != tt.first {
				t.Errorf("asked %q", p.asked)
			}
		})
	}
	s := newServer(t, password)
	e := wantAs[*AuthError](t, newTunnel(t, s.host(), Options{}).Connect(t.Context()))
	if len(e.Tried) != 0 || !slices.Equal(e.Allowed, []string{"password"}) {
		t.Errorf("got %+v", e)
	}
}

// A server that hangs up is no reason to ask for a password.
func TestHangUpDuringLogin(t *testing.T) {
	_, pub := newKey(t, "")
	file, _ := newKey(t, "")
	s := newServer(t, takes(pub), func(c *ssh.ServerConfig) {
		c.MaxAuthTries = 1
		c.PasswordCallback = func(ssh.ConnMetadata, []byte) (*ssh.Permissions, error) { return nil, nil }
	})
	h := s.host()
	h.IdentityFiles = []string{file}
	p := &script{answers: []string{"x"}}
	wantAs[*AuthError](t, newTunnel(t, h, Options{Prompter: p}).Connect(t.Context()))
	if len(p.asked) != 0 {
		t.Errorf("asked %q", p.asked)
	}
}
