//go:build linux

package test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

// socketPath is short enough for a socket's address, which t.TempDir's are not.
func socketPath(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "pv-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return filepath.Join(dir, "s")
}

// agent starts an ssh-agent with the keys of these files, in this order, and
// returns its socket.
func (l *lab) agent(keys ...string) string {
	l.Helper()
	socket := socketPath(l.T)
	p := startProcess(l.T, exec.Command(program(l.T, "ssh-agent"), "-D", "-a", socket))
	p.waitFor(l.T, p.stdout, socket)
	if len(keys) > 0 {
		add := exec.Command(program(l.T, "ssh-add"), append([]string{"-q"}, keys...)...)
		add.Env = append(os.Environ(), "SSH_AUTH_SOCK="+socket)
		mustRun(l.T, add)
	}
	return socket
}

// A fidoAgent is an agent with one key on a security key of its own, which is
// software and finds itself touched all the time. ssh has such a thing in its
// own tests only.
type fidoAgent struct {
	agent.Agent // nothing else is asked of it
	blob        []byte
	format      string
	comment     string
	sign        func(digest []byte) []byte // the signature's inner blob
	counter     uint32
}

const fidoApplication = "ssh:"

func newFidoAgent(t *testing.T, format string) *fidoAgent {
	t.Helper()
	a := &fidoAgent{format: format, comment: format}
	switch format {
	case ssh.KeyAlgoSKED25519:
		pub, private, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		a.blob = ssh.Marshal(struct {
			Format, Key, Application string
		}{format, string(pub), fidoApplication})
		a.sign = func(message []byte) []byte { return ed25519.Sign(private, message) }
	case ssh.KeyAlgoSKECDSA256:
		private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		point, err := private.PublicKey.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		a.blob = ssh.Marshal(struct {
			Format, Curve, Point, Application string
		}{format, "nistp256", string(point), fidoApplication})
		a.sign = func(message []byte) []byte {
			digest := sha256.Sum256(message)
			r, s, err := ecdsa.Sign(rand.Reader, private, digest[:])
			if err != nil {
				return nil
			}
			return ssh.Marshal(struct{ R, S *big.Int }{r, s})
		}
	}
	return a
}

// serve answers on a socket, and returns its path.
func (a *fidoAgent) serve(t *testing.T) string {
	t.Helper()
	socket := socketPath(t)
	ln, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			agent.ServeAgent(a, conn) // one after the other is enough
			conn.Close()
		}
	}()
	t.Cleanup(func() {
		ln.Close()
		<-done
	})
	return socket
}

// public writes the public half of the key.
func (a *fidoAgent) public(t *testing.T, path string) string {
	t.Helper()
	key, err := ssh.ParsePublicKey(a.blob)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, path, ssh.MarshalAuthorizedKey(key))
	return path
}

func (a *fidoAgent) List() ([]*agent.Key, error) {
	return []*agent.Key{{Format: a.format, Blob: a.blob, Comment: a.comment}}, nil
}

func (a *fidoAgent) Sign(key ssh.PublicKey, data []byte) (*ssh.Signature, error) {
	return a.SignWithFlags(key, data, 0)
}

// SignWithFlags signs as a FIDO authenticator does (OpenSSH's PROTOCOL.u2f).
func (a *fidoAgent) SignWithFlags(key ssh.PublicKey, data []byte, _ agent.SignatureFlags) (*ssh.Signature, error) {
	if cert, ok := key.(*ssh.Certificate); ok {
		key = cert.Key
	}
	if string(key.Marshal()) != string(a.blob) {
		return nil, errors.New("no such key")
	}
	a.counter++
	const touched = 1
	application, message := sha256.Sum256([]byte(fidoApplication)), sha256.Sum256(data)
	rest := binary.BigEndian.AppendUint32([]byte{touched}, a.counter)
	blob := a.sign(append(append(application[:], rest...), message[:]...))
	return &ssh.Signature{Format: a.format, Blob: blob, Rest: rest}, nil
}

func (a *fidoAgent) Extension(string, []byte) ([]byte, error) {
	return nil, agent.ErrExtensionUnsupported
}

// agentRows log in by a key in an agent.
func agentRows() []loginRow {
	var rows []loginRow
	for _, kt := range keyTypes {
		rows = append(rows, loginRow{name: "agent " + kt.name, want: in, setup: func(l *lab) {
			l.serve([]string{l.keys.public(kt.name)})
			l.testhost("IdentitiesOnly no", "IdentityAgent "+l.agent(l.keys.path(kt.name)))
		}})
	}
	for _, format := range []string{ssh.KeyAlgoSKED25519, ssh.KeyAlgoSKECDSA256} {
		name := format[:len(format)-len("@openssh.com")]
		rows = append(rows,
			loginRow{name: "agent " + name, want: in, setup: func(l *lab) {
				fido := newFidoAgent(l.T, format)
				l.serve([]string{fido.public(l.T, l.path("fido.pub"))})
				l.testhost("IdentitiesOnly no", "IdentityAgent "+fido.serve(l.T))
			}},
			loginRow{name: "certificate of an agent's " + name, want: in, setup: func(l *lab) {
				fido := newFidoAgent(l.T, format)
				public := fido.public(l.T, l.path("fido.pub"))
				cert := l.sign(public, "-n", currentUser(l.T))
				l.serve(nil, "TrustedUserCAKeys "+l.keys.public("ca"))
				l.testhost("IdentitiesOnly no", "IdentityAgent "+fido.serve(l.T), "CertificateFile "+cert)
			}},
		)
	}

	// six keys, of which the last is the right one, for a server with little patience
	six := func(l *lab) string {
		l.serve([]string{l.keys.public("ed25519")}, "MaxAuthTries 2")
		var keys []string
		for i := range 5 {
			keys = append(keys, l.keys.path(fmt.Sprint("wrong-", i+1)))
		}
		return l.agent(append(keys, l.keys.path("ed25519"))...)
	}
	return append(rows,
		loginRow{name: "six keys in the agent and MaxAuthTries 2", want: refused, says: `SHA256:`, setup: func(l *lab) {
			l.withAgent(six(l), "IdentitiesOnly no")
		}},
		loginRow{name: "six keys in the agent and an IdentityFile", want: in, setup: func(l *lab) {
			l.withAgent(six(l), "IdentitiesOnly no", "IdentityFile "+l.key("ed25519", "", ""))
		}},
		loginRow{name: "IdentitiesOnly and an IdentityFile", want: in, setup: func(l *lab) {
			l.withAgent(six(l), "IdentitiesOnly yes", "IdentityFile "+l.key("ed25519", "", ""))
		}},
		loginRow{name: "IdentitiesOnly and a public key", want: in, setup: func(l *lab) {
			l.withAgent(six(l), "IdentitiesOnly yes", "IdentityFile "+l.keys.public("ed25519"))
		}},
		loginRow{name: "IdentitiesOnly without a file", want: refused, setup: func(l *lab) {
			l.withAgent(six(l), "IdentitiesOnly yes")
		}},
		loginRow{name: "IdentitiesOnly and an encrypted file in the agent", want: in, setup: func(l *lab) {
			l.withAgent(six(l), "IdentitiesOnly yes", "IdentityFile "+l.key("ed25519", "", passphrase))
		}},
		loginRow{name: "SSH_AUTH_SOCK", want: in, setup: func(l *lab) {
			l.serve([]string{l.keys.public("ed25519")})
			l.env = append(l.env, "SSH_AUTH_SOCK="+l.agent(l.keys.path("ed25519")))
			l.testhost("IdentitiesOnly no", "IdentityAgent SSH_AUTH_SOCK")
		}},
		loginRow{name: "IdentityAgent in a variable", want: in, setup: func(l *lab) {
			l.serve([]string{l.keys.public("ed25519")})
			l.env = append(l.env, "OTHER_SOCK="+l.agent(l.keys.path("ed25519")))
			l.testhost("IdentitiesOnly no", "IdentityAgent $OTHER_SOCK")
		}},
		loginRow{name: "IdentityAgent none", want: refused, setup: func(l *lab) {
			l.serve([]string{l.keys.public("ed25519")})
			l.env = append(l.env, "SSH_AUTH_SOCK="+l.agent(l.keys.path("ed25519")))
			l.testhost("IdentitiesOnly no", "IdentityAgent none")
		}},
		loginRow{name: "no agent at the socket", want: in, setup: func(l *lab) {
			l.serve([]string{l.keys.public("ed25519")})
			l.testhost("IdentitiesOnly no", "IdentityAgent "+l.path("nobody"), "IdentityFile "+l.key("ed25519", "", ""))
		}},
		loginRow{name: "AddKeysToAgent", want: in, answers: typed(askedPassphrase, passphrase), setup: func(l *lab) {
			l.serve([]string{l.keys.public("ed25519")})
			l.env = append(l.env, "SSH_AUTH_SOCK="+l.agent()) // which ssh fills, too
			l.testhost("IdentitiesOnly no", "IdentityAgent SSH_AUTH_SOCK", "AddKeysToAgent yes", "IdentityFile "+l.key("ed25519", "", passphrase))
		}, ssh: notAsked, after: func(l *lab) {
			list := mustRun(l.T, l.command(program(l.T, "ssh-add"), "-L"))
			if want := readFile(l.T, l.keys.public("ed25519")); list[:60] != want[:60] {
				l.Errorf("the agent has %q, want %q", list, want)
			}
		}},
	)
}

// withAgent is testhost with the agent at socket.
func (l *lab) withAgent(socket string, lines ...string) {
	l.Helper()
	l.testhost(append(lines, "IdentityAgent "+socket)...)
}
