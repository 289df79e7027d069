package tunnel

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"github.com/pasvport/pasvport/sshconf"
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
	serveAgent(t, keyring)
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

	data, _ := os.ReadFile(files[0])
	again := writeFile(t, "copy", string(data))

	for _, tt := range []struct {
		only       bool
		identities []string
		want       []int
	}{
		{true, []string{files[0], again, files[1]}, []int{1, 0}}, // what is refused once is refused
		{false, []string{files[0], "/missing", files[1]}, []int{1, 3, 2, 0}},
		{true, []string{files[0], files[1]}, []int{1, 0}},
		{true, []string{onlyPub, files[0]}, []int{2, 0}},
		{true, []string{strings.TrimSuffix(onlyPub, ".pub")}, []int{2}},
		{true, []string{notInAgent}, nil},
		{true, nil, nil},
	} {
		t.Run(fmt.Sprint(tt.want, tt.only), func(t *testing.T) {
			var seen, want []string
			attempts := 0 // the library's server sees a key a second time, and does not ask about it
			s := newServer(t, offers(stranger, &seen), func(c *ssh.ServerConfig) {
				c.AuthLogCallback = func(_ ssh.ConnMetadata, method string, _ error) {
					if method == "publickey" {
						attempts++
					}
				}
			})
			h := s.host()
			h.IdentityFiles, h.IdentitiesOnly = tt.identities, tt.only
			e := wantAs[*AuthError](t, newTunnel(t, h, Options{}).Connect(t.Context()))
			for _, i := range tt.want {
				want = append(want, prints[i])
			}
			if !slices.Equal(seen, want) {
				t.Errorf("offered %q, want %q", seen, want)
			}
			if attempts != len(want) {
				t.Errorf("%d offers, want %d", attempts, len(want))
			}
			rest := strings.Join(e.Tried, ", ")
			for _, print := range want {
				var ok bool
				if _, rest, ok = strings.Cut(rest, print); !ok {
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

// A key in the agent comes first, and does without the question that a locked file would need.
func TestAgentBeforeLockedFile(t *testing.T) {
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
	if len(p.asked) != h.NumberOfPasswordPrompts || !slices.Contains(e.Tried, "no signature by key "+file+": wrong passphrase") {
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

// An old PEM file does not show its public half: only the passphrase does, which is asked for when it is its turn.
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
		files []string
		asked int
	}{
		{signer.PublicKey(), []string{file, open}, 1},
		{signer.PublicKey(), []string{open, file}, 1},
		{pub, []string{file, open}, 1},
		{pub, []string{open, file}, 0},
	} {
		s := newServer(t, takes(tt.takes))
		h := s.host()
		h.IdentityFiles = tt.files
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
	want := []string{"mode 0640", "needs its passphrase", "not a private key", "no such file"}
	if len(e.Tried) != len(want) {
		t.Fatalf("tried %q", e.Tried)
	}
	for i, want := range want {
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
		{"interactive", interactive, []string{"right", "anna"}, 2, "secret Hello\n(anna@127.0.0.1) Token [2J: ", nil},
		{"interactive first", func(c *ssh.ServerConfig) { interactive(c); password(c) },
			[]string{"a", "b", "a", "b", "a", "b", "right"}, 7, "secret Hello\n(anna@127.0.0.1) Token [2J: ", nil},
		{"interactive, given up", func(c *ssh.ServerConfig) { interactive(c); password(c) },
			[]string{"a"}, 2, "secret Hello\n(anna@127.0.0.1) Token [2J: ", []string{"keyboard-interactive"}},
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

// withPasswords has a server take any of these.
func withPasswords(right ...string) func(*ssh.ServerConfig) {
	return func(c *ssh.ServerConfig) {
		c.NoClientAuth = false
		c.PasswordCallback = func(_ ssh.ConnMetadata, p []byte) (*ssh.Permissions, error) {
			if !slices.Contains(right, string(p)) {
				return nil, errors.New("wrong")
			}
			return nil, nil
		}
	}
}

// A failure tells why the methods that the server takes were not tried.
func TestMethodsNotTried(t *testing.T) {
	for _, tt := range []struct {
		name   string
		edit   func(h *sshconf.Host)
		nobody bool
		want   []string
	}{
		{"nobody", func(h *sshconf.Host) {}, true, []string{"password (nobody is there to ask)", "keyboard-interactive (nobody is there to ask)"}},
		{"BatchMode", func(h *sshconf.Host) { h.BatchMode = true }, false, []string{"password (BatchMode yes)", "keyboard-interactive (BatchMode yes)"}},
		{"off", func(h *sshconf.Host) { h.PasswordAuthentication, h.KbdInteractiveAuthentication = false, false }, false,
			[]string{"password (PasswordAuthentication no)", "keyboard-interactive (KbdInteractiveAuthentication no)"}},
		{"one off", func(h *sshconf.Host) { h.KbdInteractiveAuthentication = false }, false,
			[]string{"password", "keyboard-interactive (KbdInteractiveAuthentication no)"}},
		{"no prompts", func(h *sshconf.Host) { h.NumberOfPasswordPrompts = 0 }, false,
			[]string{"password (NumberOfPasswordPrompts 0)", "keyboard-interactive (NumberOfPasswordPrompts 0)"}},
		{"not preferred", func(h *sshconf.Host) { h.PreferredAuthentications = []string{"publickey", "password"} }, false,
			[]string{"password", "keyboard-interactive (not in PreferredAuthentications)"}},
		{"nothing that works here", func(h *sshconf.Host) { h.PreferredAuthentications = []string{"gssapi-with-mic"} }, false,
			[]string{"password (not in PreferredAuthentications)", "keyboard-interactive (not in PreferredAuthentications)", "gssapi-with-mic (not supported)"}},
		{"nothing at all", func(h *sshconf.Host) { h.PreferredAuthentications = []string{} }, false,
			[]string{"password (not in PreferredAuthentications)", "keyboard-interactive (not in PreferredAuthentications)"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newServer(t, withPasswords(), func(c *ssh.ServerConfig) {
				c.KeyboardInteractiveCallback = func(_ ssh.ConnMetadata, ask ssh.KeyboardInteractiveChallenge) (*ssh.Permissions, error) {
					ask("", "", []string{"?"}, []bool{true})
					return nil, errors.New("wrong")
				}
			})
			h := s.host()
			tt.edit(h)
			opts := Options{Prompter: &script{answers: []string{"1", "2", "3"}}}
			if tt.nobody {
				opts.Prompter = nil
			}
			e := wantAs[*AuthError](t, newTunnel(t, h, opts).Connect(t.Context()))
			if !slices.Equal(e.Tried, tt.want) || !slices.Equal(e.Allowed, []string{"password", "keyboard-interactive"}) {
				t.Errorf("tried %q, want %q; the server takes %q", e.Tried, tt.want, e.Allowed)
			}
		})
	}
	_, pub := newKey(t, "")
	file, _ := newKey(t, "")
	startAgent(t, file)
	s := newServer(t, takes(pub))
	h := s.host()
	h.IdentityFiles, h.PubkeyAuthentication = []string{file}, false
	e := wantAs[*AuthError](t, newTunnel(t, h, Options{}).Connect(t.Context()))
	if want := []string{"publickey (PubkeyAuthentication no)"}; !slices.Equal(e.Tried, want) {
		t.Errorf("tried %q, want %q", e.Tried, want)
	}
}

func TestPreferredAuthentications(t *testing.T) {
	file, pub := newKey(t, "")
	interactive := func(c *ssh.ServerConfig) {
		c.KeyboardInteractiveCallback = func(_ ssh.ConnMetadata, ask ssh.KeyboardInteractiveChallenge) (*ssh.Permissions, error) {
			_, err := ask("", "", []string{"?"}, []bool{false})
			return nil, err
		}
	}
	for _, tt := range []struct{ preferred, want string }{
		{"", "publickey with key " + file + " (" + ssh.FingerprintSHA256(pub) + ")"},
		{"password,publickey", "password"},
		{"hostbased,keyboard-interactive,password", "keyboard-interactive"},
		{"gssapi-with-mic,publickey", "publickey with key " + file + " (" + ssh.FingerprintSHA256(pub) + ")"},
	} {
		s := newServer(t, takes(pub), withPasswords("right"), interactive)
		h := s.host()
		h.IdentityFiles = []string{file}
		if tt.preferred != "" {
			h.PreferredAuthentications = strings.Split(tt.preferred, ",")
		}
		if got := login(t, h, &script{answers: []string{"right"}}); got != tt.want {
			t.Errorf("%s: by %s, want %s", tt.preferred, got, tt.want)
		}
	}
}

// login logs in and tells by what.
func login(t *testing.T, h *sshconf.Host, p Prompter) string {
	t.Helper()
	c, err := net.Dial("tcp", address(h))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	lim := newLimit(t.Context(), 0)
	defer lim.stop()
	a := newAuth(newTunnel(t, h, Options{Prompter: p}), lim, h, newWire(c))
	defer a.close()
	conn, chans, reqs, err := ssh.NewClientConn(a.wire, address(h), &ssh.ClientConfig{
		User: h.User, AuthCallback: a.next, HostKeyCallback: ssh.InsecureIgnoreHostKey()})
	if err != nil {
		t.Fatal(a.error(err))
	}
	defer conn.Close()
	go ssh.DiscardRequests(reqs)
	go func() {
		for nc := range chans {
			nc.Reject(ssh.Prohibited, "")
		}
	}()
	return a.succeeded
}

func TestNumberOfPasswordPrompts(t *testing.T) {
	s := newServer(t, withPasswords("right"), func(c *ssh.ServerConfig) { c.MaxAuthTries = -1 })
	for _, n := range []int{1, 2, 5} {
		h := s.host()
		h.NumberOfPasswordPrompts = n
		answers := slices.Repeat([]string{"wrong"}, n-1)
		if err := newTunnel(t, h, Options{Prompter: &script{answers: append(answers, "right")}}).Connect(t.Context()); err != nil {
			t.Errorf("%d: %v", n, err)
		}
		p := &script{answers: slices.Repeat([]string{"wrong"}, n+1)}
		wantAs[*AuthError](t, newTunnel(t, h, Options{Prompter: p}).Connect(t.Context()))
		if len(p.asked) != n {
			t.Errorf("asked %q, want %d questions", p.asked, n)
		}
	}
}

// The host in ssh's questions is its alias in known_hosts, if there is one.
func TestQuestionNamesAlias(t *testing.T) {
	s := newServer(t, withPasswords("right"))
	h := s.host()
	h.HostKeyAlias, h.StrictHostKeyChecking = "alias", "no"
	p := &script{answers: []string{"right"}}
	if err := newTunnel(t, h, Options{Prompter: p}).Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	if want := "secret anna@alias's password: "; p.asked[0] != want {
		t.Errorf("asked %q, want %q", p.asked[0], want)
	}
}

func TestInteractiveRounds(t *testing.T) {
	s := newServer(t, func(c *ssh.ServerConfig) {
		c.NoClientAuth = false
		c.KeyboardInteractiveCallback = func(_ ssh.ConnMetadata, ask ssh.KeyboardInteractiveChallenge) (*ssh.Permissions, error) {
			for _, round := range []struct {
				name, instruction string
				questions         []string
				echos             []bool
				want              []string
			}{
				{"", "", nil, nil, nil},
				{"Two factors", "Have your token\r\nready\n", []string{"Password: "}, []bool{false}, []string{"one"}},
				{"", "", []string{"Token: ", "1. push\n2. call\nWhich: "}, []bool{false, true}, []string{"two", "2"}},
				{"", "Welcome", nil, nil, nil},
			} {
				got, err := ask(round.name, round.instruction, round.questions, round.echos)
				if err != nil || !slices.Equal(got, round.want) {
					return nil, fmt.Errorf("got %q, %v", got, err)
				}
			}
			return nil, nil
		}
	})
	p := &script{answers: []string{"one", "two", "2"}}
	if err := newTunnel(t, s.host(), Options{Prompter: p}).Connect(t.Context()); err != nil {
		t.Error(err)
	}
	want := []string{
		"secret Two factors\nHave your token\nready\n(anna@127.0.0.1) Password: ",
		"secret (anna@127.0.0.1) Token: ",
		"ask (anna@127.0.0.1) 1. push\n2. call\nWhich: ",
	}
	if !slices.Equal(p.asked, want) {
		t.Errorf("asked %q, want %q", p.asked, want)
	}
}

// What the server took as a part is not offered again.
func TestPartialSuccess(t *testing.T) {
	file, pub := newKey(t, "")
	second, pub2 := newKey(t, "")
	other, otherPub := newKey(t, "")
	key := func(path string, pub ssh.PublicKey) string {
		return "key " + path + " (" + ssh.FingerprintSHA256(pub) + ")"
	}
	password := func(_ ssh.ConnMetadata, p []byte) (*ssh.Permissions, error) {
		if string(p) == "right" {
			return nil, nil
		}
		return nil, errors.New("wrong")
	}
	interactive := func(_ ssh.ConnMetadata, ask ssh.KeyboardInteractiveChallenge) (*ssh.Permissions, error) {
		a, err := ask("", "", []string{"?"}, []bool{false})
		if err != nil || a[0] != "right" {
			return nil, errors.New("wrong")
		}
		return nil, nil
	}
	var offered []string
	one := func(pub ssh.PublicKey, next *ssh.ServerAuthCallbacks) func(ssh.ConnMetadata, ssh.PublicKey) (*ssh.Permissions, error) {
		return func(_ ssh.ConnMetadata, k ssh.PublicKey) (*ssh.Permissions, error) {
			offered = append(offered, ssh.FingerprintSHA256(k))
			if !samePublic(k, pub) {
				return nil, errors.New("another key")
			}
			if next != nil {
				return nil, &ssh.PartialSuccessError{Next: *next}
			}
			return nil, nil
		}
	}
	for _, tt := range []struct {
		name    string
		next    ssh.ServerAuthCallbacks
		answers []string
		want    string // how it succeeded
		tried   string // or what the failure tells
		offered []ssh.PublicKey
	}{
		{"password", ssh.ServerAuthCallbacks{PasswordCallback: password}, []string{"wrong", "right"},
			"publickey with " + key(file, pub) + ", then password", "", nil},
		{"keyboard-interactive", ssh.ServerAuthCallbacks{KeyboardInteractiveCallback: interactive}, []string{"right"},
			"publickey with " + key(file, pub) + ", then keyboard-interactive", "", nil},
		{"wrong password", ssh.ServerAuthCallbacks{PasswordCallback: password}, []string{"1", "2", "3"},
			"", key(other, otherPub) + "; " + key(file, pub) + " (accepted, and more is wanted); password", nil},
		{"second key", ssh.ServerAuthCallbacks{PublicKeyCallback: one(pub2, nil)}, nil,
			"publickey with " + key(file, pub) + ", then publickey with " + key(second, pub2), "", []ssh.PublicKey{otherPub, pub, pub2}},
		{"a key that was refused before", ssh.ServerAuthCallbacks{PublicKeyCallback: one(otherPub, nil)}, nil,
			"publickey with " + key(file, pub) + ", then publickey with " + key(other, otherPub), "", []ssh.PublicKey{otherPub, pub, pub2, otherPub}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			offered = nil
			s := newServer(t, func(c *ssh.ServerConfig) {
				c.NoClientAuth, c.MaxAuthTries = false, -1
				c.PublicKeyCallback = one(pub, &tt.next)
			})
			h := s.host()
			h.IdentityFiles = []string{other, file, second}
			p := &script{answers: tt.answers}
			if tt.tried != "" {
				e := wantAs[*AuthError](t, newTunnel(t, h, Options{Prompter: p}).Connect(t.Context()))
				if got := strings.Join(e.Tried, "; "); got != tt.tried || !slices.Equal(e.Allowed, []string{"password"}) {
					t.Errorf("tried %s, want %s; the server takes %s", got, tt.tried, e.Allowed)
				}
				return
			}
			if got := login(t, h, p); got != tt.want {
				t.Errorf("by %s, want %s", got, tt.want)
			}
			var want []string
			for _, k := range tt.offered {
				want = append(want, ssh.FingerprintSHA256(k))
			}
			if want != nil && !slices.Equal(slices.Compact(offered), want) { // each once as a question and once with a signature
				t.Errorf("offered %q, want %q", offered, want)
			}
		})
	}
}

// The server may want the methods in another order than the one that is preferred.
func TestPasswordThenKey(t *testing.T) {
	file, pub := newKey(t, "")
	s := newServer(t, func(c *ssh.ServerConfig) {
		c.NoClientAuth = false
		c.PasswordCallback = func(ssh.ConnMetadata, []byte) (*ssh.Permissions, error) {
			var next ssh.ServerConfig
			takes(pub)(&next)
			return nil, &ssh.PartialSuccessError{Next: ssh.ServerAuthCallbacks{PublicKeyCallback: next.PublicKeyCallback}}
		}
	})
	h := s.host()
	h.IdentityFiles = []string{file}
	want := "password, then publickey with key " + file + " (" + ssh.FingerprintSHA256(pub) + ")"
	if got := login(t, h, &script{answers: []string{"right"}}); got != want {
		t.Errorf("by %s, want %s", got, want)
	}
}

// SSH_MSG_USERAUTH_PASSWD_CHANGEREQ has the number of keyboard-interactive's question, so
// that a server that puts one in answer to a password says just that.
func TestPasswordExpired(t *testing.T) {
	var change ssh.KeyboardInteractiveChallenge
	s := newServer(t, func(c *ssh.ServerConfig) {
		c.NoClientAuth = false
		c.KeyboardInteractiveCallback = func(_ ssh.ConnMetadata, ask ssh.KeyboardInteractiveChallenge) (*ssh.Permissions, error) {
			change = ask
			return nil, errors.New("no")
		}
		c.PasswordCallback = func(ssh.ConnMetadata, []byte) (*ssh.Permissions, error) {
			_, err := change("", "", nil, nil)
			return nil, err
		}
	})
	p := &script{answers: []string{"old", "old", "old"}}
	e := wantAs[*AuthError](t, newTunnel(t, s.host(), Options{Prompter: p}).Connect(t.Context()))
	if !errors.Is(e, ErrPasswordExpired) || len(p.asked) != 1 {
		t.Errorf("got %v, asked %q", e, p.asked)
	}
}

// A key that no algorithm suits is said not to have been offered.
func TestNoCommonSignature(t *testing.T) {
	file := keygen(t, t.TempDir(), "id", "rsa", "-b", "2048")
	pub, _ := loadPublic(file)
	s := newServer(t, takes(pub), func(c *ssh.ServerConfig) { c.PublicKeyAuthAlgorithms = []string{ssh.KeyAlgoRSA} })
	h := s.host()
	h.IdentityFiles = []string{file}
	e := wantAs[*AuthError](t, newTunnel(t, h, Options{}).Connect(t.Context()))
	if len(e.Tried) != 1 || !strings.Contains(e.Tried[0], "no signature algorithm") {
		t.Errorf("tried %q", e.Tried)
	}
	h.PubkeyAcceptedAlgorithms = "+ssh-rsa"
	if err := newTunnel(t, h, Options{}).Connect(t.Context()); err != nil {
		t.Error(err)
	}
}

// A contexts notes the context of each question, and answers all with one word.
type contexts struct {
	answer string
	list   []context.Context
}

func (c *contexts) Secret(ctx context.Context, _ string) (string, error) {
	c.list = append(c.list, ctx)
	return c.answer, nil
}

func (c *contexts) Ask(ctx context.Context, prompt string) (string, error) {
	return c.Secret(ctx, prompt)
}

// By the context a Prompter knows whether a question is about the same connection.
func TestQuestionsOfOneConnection(t *testing.T) {
	s := newServer(t, withPasswords("right"))
	h := s.host()
	p := &contexts{answer: "wrong"}
	tun := newTunnel(t, h, Options{Prompter: p})
	for range 2 {
		wantAs[*AuthError](t, tun.Connect(t.Context()))
	}
	if n := len(p.list); n != 6 {
		t.Fatalf("%d questions", n)
	}
	for i, ctx := range p.list {
		if same := ctx == p.list[0]; same != (i < 3) {
			t.Errorf("question %d has the context of the first: %v", i+1, same)
		}
	}
}
