//go:build linux

package tunnel

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"github.com/pasvport/pasvport/sshconf"
)

// keyset makes a key of every kind in a directory, with all their public halves in one file.
func keyset(t *testing.T) (file func(string) string, authorized string) {
	t.Helper()
	dir := t.TempDir()
	file = func(name string) string { return filepath.Join(dir, name) }
	var all []byte
	for _, k := range []struct {
		name, kind string
		more       []string
	}{
		{"ed25519", "ed25519", nil},
		{"rsa", "rsa", []string{"-b", "2048"}},
		{"ecdsa256", "ecdsa", []string{"-b", "256"}},
		{"ecdsa384", "ecdsa", []string{"-b", "384"}},
		{"ecdsa521", "ecdsa", []string{"-b", "521"}},
		{"locked", "ed25519", []string{"-N", "secret", "-a", "1"}},
		{"lockedpem", "rsa", []string{"-m", "PEM", "-N", "secret"}},
		{"lockedpkcs8", "ecdsa", []string{"-m", "PKCS8", "-N", "secret"}},
	} {
		path := keygen(t, dir, k.name, k.kind, k.more...)
		pub, err := os.ReadFile(path + ".pub")
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, pub...)
	}
	authorized = file("authorized")
	if err := os.WriteFile(authorized, all, 0o600); err != nil {
		t.Fatal(err)
	}
	return file, authorized
}

func TestSSHDTakesKeys(t *testing.T) {
	file, authorized := keyset(t)
	s := startSSHD(t, "AuthorizedKeysFile "+authorized)
	for _, name := range []string{"ed25519", "rsa", "ecdsa256", "ecdsa384", "ecdsa521", "locked", "lockedpem", "lockedpkcs8"} {
		locked := strings.HasPrefix(name, "locked")
		t.Run(name, func(t *testing.T) {
			h := s.host()
			h.IdentityFiles = []string{file(name)}
			p := &script{answers: []string{"wrong", "secret"}}
			if err := newTunnel(t, h, Options{Prompter: p}).Connect(t.Context()); err != nil {
				t.Error(err)
			}
			if want := map[bool]int{true: 2}[locked]; len(p.asked) != want {
				t.Errorf("asked %q, want %d questions", p.asked, want)
			}
		})
		if locked {
			continue
		}
		t.Run(name+" in the agent", func(t *testing.T) {
			startSSHAgent(t, file(name))
			h := s.host()
			h.IdentityFiles = nil
			if err := newTunnel(t, h, Options{}).Connect(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestSSHDTakesCertificates(t *testing.T) {
	file, _ := keyset(t)
	dir := t.TempDir()
	ca := keygen(t, dir, "ca", "rsa")
	s := startSSHD(t, "AuthorizedKeysFile none", "TrustedUserCAKeys "+ca+".pub")
	for _, name := range []string{"ed25519", "rsa", "ecdsa256", "ecdsa521", "locked"} {
		certify(t, ca, file(name))
		apart := filepath.Join(dir, name+".apart")
		cert, err := os.ReadFile(file(name) + "-cert.pub")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(apart, cert, 0o600); err != nil {
			t.Fatal(err)
		}
		for _, tt := range []struct {
			name  string
			agent bool // has the key
			edit  func(h *sshconf.Host)
		}{
			{"beside", false, func(h *sshconf.Host) { h.IdentityFiles = []string{file(name)} }},
			{"CertificateFile", false, func(h *sshconf.Host) {
				h.IdentityFiles, h.CertificateFiles = []string{file(name)}, []string{apart}
			}},
			{"CertificateFile, key in the agent", true, func(h *sshconf.Host) { h.CertificateFiles = []string{apart} }},
			{"agent", true, func(h *sshconf.Host) {}},
			{"certificates only", false, func(h *sshconf.Host) {
				h.IdentityFiles, h.CertificateFiles = []string{file(name)}, []string{apart}
				h.PubkeyAcceptedAlgorithms = "*-cert-v01@openssh.com"
			}},
		} {
			if tt.agent && name == "locked" {
				continue
			}
			t.Run(name+" "+tt.name, func(t *testing.T) {
				if tt.agent {
					if tt.name != "agent" { // which takes the certificate beside a key as well
						rename(t, file(name)+"-cert.pub", file("away"))
						defer rename(t, file("away"), file(name)+"-cert.pub")
					}
					startSSHAgent(t, file(name))
				}
				h := s.host()
				h.IdentityFiles = nil
				tt.edit(h)
				p := &script{answers: []string{"secret"}}
				if err := newTunnel(t, h, Options{Prompter: p}).Connect(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

func TestSSHDRefusesKeys(t *testing.T) {
	file, authorized := keyset(t)
	dir := t.TempDir()
	ca := keygen(t, dir, "ca", "ed25519")
	certify(t, ca, file("ed25519"), "-V", "20200101:20200102")
	certify(t, ca, file("rsa"), "-h")
	s := startSSHD(t, "AuthorizedKeysFile none")
	h := s.host()
	h.IdentityFiles = []string{file("ed25519"), file("rsa"), file("ecdsa256")}
	h.RequiredRSASize = 3072
	e := wantAs[*AuthError](t, newTunnel(t, h, Options{}).Connect(t.Context()))
	want := []string{
		"certificate " + file("ed25519") + "-cert.pub (its certificate expired 2020-01-0",
		"key " + file("rsa") + " (RSA of 2048 bits, and RequiredRSASize is 3072)",
		"certificate " + file("rsa") + "-cert.pub (a certificate for a host, not for a user)",
		"key " + file("ed25519") + " (SHA256:",
		"key " + file("ecdsa256") + " (SHA256:",
	}
	if len(e.Tried) != len(want) || !slices.Equal(e.Allowed, []string{"publickey"}) {
		t.Fatalf("tried %q, the server takes %q", e.Tried, e.Allowed)
	}
	for i := range want {
		if !strings.HasPrefix(e.Tried[i], want[i]) {
			t.Errorf("tried %q, want %q", e.Tried[i], want[i])
		}
	}

	// MaxAuthTries
	s = startSSHD(t, "AuthorizedKeysFile none", "MaxAuthTries 2")
	h = s.host()
	h.IdentityFiles = []string{file("ed25519"), file("rsa"), file("ecdsa256")}
	err := newTunnel(t, h, Options{}).Connect(t.Context())
	if e := wantAs[*AuthError](t, err); !strings.Contains(e.Error(), "Too many authentication failures") {
		t.Errorf("got %v", e)
	}

	// RSA with SHA-1, which sshd does not tell beforehand
	s = startSSHD(t, "AuthorizedKeysFile "+authorized, "PubkeyAcceptedAlgorithms ssh-rsa")
	h = s.host()
	h.IdentityFiles = []string{file("rsa")}
	wantAs[*AuthError](t, newTunnel(t, h, Options{}).Connect(t.Context()))
	h.PubkeyAcceptedAlgorithms = "ssh-rsa"
	if err := newTunnel(t, h, Options{}).Connect(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestSSHDWantsTwoKeys(t *testing.T) {
	file, authorized := keyset(t)
	s := startSSHD(t, "AuthorizedKeysFile "+authorized, "AuthenticationMethods publickey,publickey")
	other, _ := newKey(t, "")
	h := s.host()
	h.IdentityFiles = []string{other, file("ed25519"), file("rsa")}
	if err := newTunnel(t, h, Options{}).Connect(t.Context()); err != nil {
		t.Error(err)
	}
	h.IdentityFiles = []string{other, file("ed25519")}
	e := wantAs[*AuthError](t, newTunnel(t, h, Options{}).Connect(t.Context()))
	if len(e.Tried) != 2 || !strings.Contains(e.Tried[1], "(accepted, and more is wanted)") {
		t.Errorf("tried %q", e.Tried)
	}
}

// A skAgent is an agent with a security key, which it plays itself.
type skAgent struct {
	agent.Agent
	pub ssh.PublicKey
	key ed25519.PrivateKey
}

func newSKAgent(t *testing.T) *skAgent {
	pub, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	blob := ssh.Marshal(struct {
		Type        string
		Key         []byte
		Application string
	}{ssh.KeyAlgoSKED25519, pub, "ssh:"})
	a := &skAgent{Agent: agent.NewKeyring(), key: key}
	if a.pub, err = ssh.ParsePublicKey(blob); err != nil {
		t.Fatal(err)
	}
	return a
}

func (a *skAgent) List() ([]*agent.Key, error) {
	return []*agent.Key{{Format: a.pub.Type(), Blob: a.pub.Marshal(), Comment: "token"}}, nil
}

func (a *skAgent) Sign(key ssh.PublicKey, data []byte) (*ssh.Signature, error) {
	const touched, counter = 1, 7
	application, message := sha256.Sum256([]byte("ssh:")), sha256.Sum256(data)
	tail := binary.BigEndian.AppendUint32([]byte{touched}, counter)
	signed := slices.Concat(application[:], tail, message[:])
	return &ssh.Signature{Format: a.pub.Type(), Blob: ed25519.Sign(a.key, signed), Rest: tail}, nil
}

func TestSSHDTakesSecurityKey(t *testing.T) {
	a := newSKAgent(t)
	serveAgent(t, a)
	authorized := writeFile(t, "authorized", string(ssh.MarshalAuthorizedKey(a.pub)))
	s := startSSHD(t, "AuthorizedKeysFile "+authorized)
	for _, files := range [][]string{nil, {authorized}} {
		h := s.host()
		h.IdentityFiles, h.IdentitiesOnly = files, files != nil
		if err := newTunnel(t, h, Options{}).Connect(t.Context()); err != nil {
			t.Error(err)
		}
	}
}
