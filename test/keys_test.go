//go:build linux

package test

import (
	"path/filepath"
	"strings"
	"testing"
)

// passphrase opens all keys that are locked.
const passphrase = "open sesame"

// keyTypes are those that ssh-keygen makes without a device, with its arguments.
var keyTypes = []struct {
	name string
	args []string
	pem  bool // can be written as PEM and PKCS#8
}{
	{"ed25519", []string{"-t", "ed25519"}, false},
	{"rsa", []string{"-t", "rsa", "-b", "2048"}, true},
	{"ecdsa-256", []string{"-t", "ecdsa", "-b", "256"}, true},
	{"ecdsa-384", []string{"-t", "ecdsa", "-b", "384"}, true},
	{"ecdsa-521", []string{"-t", "ecdsa", "-b", "521"}, true},
}

// A keyRing has a key of each type, and some more.
type keyRing struct{ dir string }

func newKeyRing(t *testing.T) *keyRing {
	t.Helper()
	k := &keyRing{t.TempDir()}
	for _, kt := range keyTypes {
		mustRun(t, keygenCmd(t, append([]string{"-q", "-N", "", "-C", kt.name, "-f", k.path(kt.name)}, kt.args...)...))
	}
	for _, name := range []string{"ca", "wrong-1", "wrong-2", "wrong-3", "wrong-4", "wrong-5"} {
		keygen(t, k.path(name), "")
	}
	return k
}

func (k *keyRing) path(name string) string { return filepath.Join(k.dir, name) }

// public is where the public half of a key is.
func (k *keyRing) public(name string) string { return k.path(name) + ".pub" }

// key gives the lab its own copy of a key, in a format of ssh-keygen's ("" for its
// own) and locked by a passphrase unless that is empty. The public half, which
// some programs look at and others cannot do without, is not beside it.
func (l *lab) key(name, format, passphrase string) string {
	l.Helper()
	path := l.path("id_" + name)
	copyFile(l.T, l.keys.path(name), path)
	args := []string{"-q", "-p", "-a", "1", "-P", "", "-N", passphrase, "-f", path}
	if format != "" {
		args = append(args, "-m", format)
	}
	mustRun(l.T, keygenCmd(l.T, args...))
	return path
}

// sign makes a certificate for a public key, beside it; args are ssh-keygen's.
func (l *lab) sign(public string, args ...string) string {
	l.Helper()
	mustRun(l.T, keygenCmd(l.T, append(append([]string{"-q", "-s", l.keys.path("ca"), "-I", "test"}, args...), public)...))
	return strings.TrimSuffix(public, ".pub") + "-cert.pub"
}

// askedPassphrase may be broken into lines, as the path is long.
const askedPassphrase = `(?i)enter passphrase for key '.*?': ?`

// keyRows log in by a key in a file.
func keyRows() []loginRow {
	var rows []loginRow
	row := func(name, file, format, lock string, client ...string) {
		r := loginRow{name: name, want: in, setup: func(l *lab) {
			l.serve([]string{l.keys.public(file)})
			l.testhost(append(client, "IdentityFile "+l.key(file, format, lock))...)
		}}
		if lock != "" {
			r.answers = typed(askedPassphrase, lock)
		}
		rows = append(rows, r)
	}
	for _, kt := range keyTypes {
		formats := []string{""}
		if kt.pem {
			formats = []string{"", "PEM", "PKCS8"}
		}
		for _, format := range formats {
			name := strings.TrimSuffix("file "+kt.name+" "+format, " ")
			row(name, kt.name, format, "")
			row("encrypted "+name, kt.name, format, passphrase)
		}
	}
	open := func(l *lab) { l.serve([]string{l.keys.public("ed25519")}) }
	return append(rows,
		loginRow{name: "file rsa with rsa-sha2-512, unasked", want: in, setup: func(l *lab) {
			l.serve([]string{l.keys.public("rsa")}, "PubkeyAcceptedAlgorithms rsa-sha2-512")
			l.testhost("IdentityFile " + l.key("rsa", "", ""))
		}},
		loginRow{name: "file rsa with rsa-sha2-256", want: in, setup: func(l *lab) {
			l.serve([]string{l.keys.public("rsa")}, "PubkeyAcceptedAlgorithms rsa-sha2-256")
			l.testhost("IdentityFile "+l.key("rsa", "", ""), "PubkeyAcceptedAlgorithms rsa-sha2-256")
		}},
		loginRow{name: "several files", want: in, setup: func(l *lab) {
			open(l)
			l.testhost("IdentityFile "+l.key("wrong-1", "", ""), "IdentityFile "+l.key("rsa", "", ""), "IdentityFile "+l.key("ed25519", "", ""))
		}},
		loginRow{name: "wrong file", want: refused, says: `id_wrong-1 \(SHA256:.*publickey`, setup: func(l *lab) {
			open(l)
			l.testhost("IdentityFile " + l.key("wrong-1", "", ""))
		}},
		loginRow{name: "missing file", want: refused, says: `logging in`, setup: func(l *lab) {
			open(l)
			l.testhost("IdentityFile " + l.path("none"))
		}},
		loginRow{name: "file that others may read", want: refused, says: `id_ed25519.*mode 0644`, setup: func(l *lab) {
			open(l)
			path := l.key("ed25519", "", "")
			l.chmod(path, 0o644)
			l.testhost("IdentityFile " + path)
		}},
		loginRow{name: "type that the server does not take", want: refused, setup: func(l *lab) {
			l.serve([]string{l.keys.public("ed25519")}, "PubkeyAcceptedAlgorithms rsa-sha2-256")
			l.testhost("IdentityFile " + l.key("ed25519", "", ""))
		}},
		loginRow{name: "type that the client does not offer", want: refused, setup: func(l *lab) {
			open(l)
			l.testhost("IdentityFile "+l.key("ed25519", "", ""), "PubkeyAcceptedAlgorithms -ssh-ed25519")
		}},
		loginRow{name: "PubkeyAuthentication no", want: refused, setup: func(l *lab) {
			open(l)
			l.testhost("IdentityFile "+l.key("ed25519", "", ""), "PubkeyAuthentication no")
		}},
		loginRow{name: "two keys are asked for", want: in, setup: func(l *lab) {
			l.serve([]string{l.keys.public("ed25519"), l.keys.public("rsa")}, "AuthenticationMethods publickey,publickey")
			l.testhost("IdentityFile "+l.key("ed25519", "", ""), "IdentityFile "+l.key("rsa", "", ""))
		}},
		loginRow{name: "no passphrase without a terminal", want: refused, says: `id_ed25519.*passphrase`, setup: func(l *lab) {
			open(l)
			l.testhost("IdentityFile " + l.key("ed25519", "", passphrase))
		}},
		loginRow{name: "second try of a passphrase", want: in, answers: typed(askedPassphrase, "mistyped", askedPassphrase, passphrase), setup: func(l *lab) {
			open(l)
			l.testhost("IdentityFile " + l.key("ed25519", "", passphrase))
		}},
		loginRow{name: "wrong passphrases", want: refused, answers: typed(askedPassphrase, "one", askedPassphrase, "two", askedPassphrase, "three"), setup: func(l *lab) {
			open(l)
			l.testhost("IdentityFile " + l.key("ed25519", "", passphrase))
		}},
		loginRow{name: "BatchMode asks for no passphrase", want: refused, answers: typed(), never: askedPassphrase, setup: func(l *lab) {
			open(l)
			l.testhost("IdentityFile "+l.key("ed25519", "", passphrase), "BatchMode yes")
		}},
		loginRow{name: "SSH_ASKPASS passphrase", want: in, setup: func(l *lab) {
			open(l)
			l.askpass(passphrase)
			l.testhost("IdentityFile " + l.key("ed25519", "", passphrase))
		}},
		loginRow{name: "SSH_ASKPASS before the terminal", want: in, answers: typed(), never: askedPassphrase, setup: func(l *lab) {
			open(l)
			l.askpass(passphrase)
			l.testhost("IdentityFile " + l.key("ed25519", "", passphrase))
		}},
	)
}

// certificateRows log in by a certificate of an authority that the server trusts.
func certificateRows() []loginRow {
	var rows []loginRow
	serve := func(l *lab) { l.serve(nil, "TrustedUserCAKeys "+l.keys.public("ca")) }
	// public is the lab's copy of a public key
	public := func(l *lab, name string) string {
		copyFile(l.T, l.keys.public(name), l.path("id_"+name+".pub"))
		return l.path("id_" + name + ".pub")
	}
	for _, kt := range keyTypes {
		rows = append(rows,
			loginRow{name: "certificate " + kt.name, want: in, setup: func(l *lab) {
				serve(l)
				l.sign(public(l, kt.name), "-n", currentUser(l.T))
				l.testhost("IdentityFile " + l.key(kt.name, "", ""))
			}},
			loginRow{name: "certificate of an encrypted key " + kt.name, want: in, answers: typed(askedPassphrase, passphrase), setup: func(l *lab) {
				serve(l)
				l.sign(public(l, kt.name), "-n", currentUser(l.T))
				l.testhost("IdentityFile " + l.key(kt.name, "", passphrase))
			}},
			loginRow{name: "certificate in the agent " + kt.name, want: in, setup: func(l *lab) {
				serve(l)
				path := l.key(kt.name, "", "")
				l.sign(public(l, kt.name), "-n", currentUser(l.T))
				l.testhost("IdentitiesOnly no", "IdentityAgent "+l.agent(path))
			}},
		)
	}
	return append(rows,
		loginRow{name: "CertificateFile", want: in, setup: func(l *lab) {
			serve(l)
			path := l.key("ed25519", "", "")
			writeFile(l.T, l.path("elsewhere.pub"), []byte(readFile(l.T, l.keys.public("ed25519"))))
			l.testhost("IdentityFile "+path, "CertificateFile "+l.sign(l.path("elsewhere.pub"), "-n", currentUser(l.T)))
		}},
		loginRow{name: "CertificateFile for a key in the agent", want: in, setup: func(l *lab) {
			serve(l)
			agent := l.agent(l.key("ed25519", "", ""))
			l.testhost("IdentitiesOnly no", "IdentityAgent "+agent, "CertificateFile "+l.sign(public(l, "ed25519"), "-n", currentUser(l.T)))
		}},
		loginRow{name: "certificate of somebody else", want: refused, setup: func(l *lab) {
			serve(l)
			l.sign(public(l, "ed25519"), "-n", "somebody")
			l.testhost("IdentityFile " + l.key("ed25519", "", ""))
		}},
		loginRow{name: "expired certificate", want: refused, setup: func(l *lab) {
			serve(l)
			l.sign(public(l, "ed25519"), "-n", currentUser(l.T), "-V", "20200101:20210101")
			l.testhost("IdentityFile " + l.key("ed25519", "", ""))
		}},
	)
}
