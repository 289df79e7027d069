package tunnel

import (
	"bytes"
	"crypto/sha256"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"sync"

	"golang.org/x/crypto/ssh"
)

// An identity is one key to offer, from a file or the agent. It is an ssh.Signer
// that asks for its passphrase only when a signature is wanted, which is when
// the server has said that it takes the key.
type identity struct {
	label   string
	pub     ssh.PublicKey // nil while only the passphrase would tell
	pem     []byte        // of an encrypted file
	path    string
	signer  ssh.Signer // nil until open
	auth    *auth      // whose identity it is
	offered bool
}

// same tells whether both are the same key.
func (id *identity) same(other *identity) bool {
	return id.pub != nil && other.pub != nil && bytes.Equal(id.pub.Marshal(), other.pub.Marshal())
}

// locked is 1 for a key that needs its passphrase, and 0 for others.
func (id *identity) locked() int {
	if id.signer == nil && !id.auth.ask.tunnel.keys.has(id.pem) {
		return 1
	}
	return 0
}

// PublicKey is called when the key is offered, and notes that.
func (id *identity) PublicKey() ssh.PublicKey {
	if !id.offered {
		id.offered = true
		id.auth.try(fmt.Sprintf("%s (%s)", id.label, ssh.FingerprintSHA256(id.pub)))
	}
	return id.pub
}

func (id *identity) Sign(rand io.Reader, data []byte) (*ssh.Signature, error) {
	return id.SignWithAlgorithm(rand, data, "")
}

func (id *identity) SignWithAlgorithm(rand io.Reader, data []byte, algorithm string) (*ssh.Signature, error) {
	signer, err := id.open()
	if err != nil {
		return nil, err
	}
	defer id.auth.ask.lim.pause()() // the agent may ask its person, or want a touch
	s, ok := signer.(ssh.AlgorithmSigner)
	if !ok {
		return signer.Sign(rand, data)
	}
	return s.SignWithAlgorithm(rand, data, algorithm)
}

// open returns the signer, and asks for the passphrase if need be. An empty one
// gives the key up, as does a third wrong one.
func (id *identity) open() (ssh.Signer, error) {
	if id.signer != nil {
		return id.signer, nil
	}
	keys := &id.auth.ask.tunnel.keys
	signer := keys.get(id.pem)
	for i := 0; signer == nil; i++ {
		if i == tries {
			return nil, id.giveUp("wrong passphrase")
		}
		phrase, err := id.auth.question(fmt.Sprintf("Enter passphrase for key '%s': ", id.path), true)
		if err != nil {
			return nil, err
		}
		if phrase == "" {
			return nil, id.giveUp("no passphrase given")
		}
		if signer, err = ssh.ParsePrivateKeyWithPassphrase(id.pem, []byte(phrase)); err != nil {
			id.auth.ask.tunnel.log.Debug("key not decrypted", "file", id.path, "err", err)
			signer = nil
		}
	}
	keys.put(id.pem, signer)
	id.signer = signer
	if id.pub == nil {
		id.pub = signer.PublicKey()
	}
	return signer, nil
}

func (id *identity) giveUp(why string) error {
	id.offered = true
	id.auth.try(fmt.Sprintf("key %s (%s)", id.path, why))
	return fmt.Errorf("key %s: %s", id.path, why)
}

// A keyFileError tells of a key file that is there and of no use.
type keyFileError struct{ path, why string }

func (e *keyFileError) Error() string { return fmt.Sprintf("key %s (%s)", e.path, e.why) }

// readIdentity reads a private key, or only its public half from path or path.pub.
// Together with an error there may still be a public half, good for the agent.
func readIdentity(path string) (*identity, error) {
	id := &identity{label: "key " + path, path: path, pub: readPublic(path + ".pub")}
	half := func(err error) (*identity, error) {
		if id.pub == nil {
			return nil, err
		}
		return id, err
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return half(err)
	}
	if pub := parsePublic(data); pub != nil {
		id.pub = pub
		return id, nil
	}
	fi, err := os.Stat(path)
	if err != nil {
		return half(err)
	}
	if fi.Mode().Perm()&0o077 != 0 && runtime.GOOS != "windows" {
		return half(&keyFileError{path, fmt.Sprintf("not used: others may read it, mode %04o", fi.Mode().Perm())})
	}
	signer, err := ssh.ParsePrivateKey(data)
	var locked *ssh.PassphraseMissingError
	switch {
	case err == nil:
		id.signer, id.pub = signer, signer.PublicKey()
	case errors.As(err, &locked):
		id.pem = data
		if locked.PublicKey != nil {
			id.pub = locked.PublicKey
		}
	default:
		if block, _ := pem.Decode(data); block != nil && block.Type == "ENCRYPTED PRIVATE KEY" {
			return half(&keyFileError{path, "encrypted PKCS#8: convert it with ssh-keygen -p"})
		}
		return half(&keyFileError{path, err.Error()})
	}
	return id, nil
}

func readPublic(path string) ssh.PublicKey {
	data, _ := os.ReadFile(path)
	return parsePublic(data)
}

func parsePublic(data []byte) ssh.PublicKey {
	pub, _, _, _, err := ssh.ParseAuthorizedKey(data)
	if err != nil {
		return nil
	}
	return pub
}

// A keyring keeps decrypted keys, so that a reconnect need not ask again. The
// file's content is what finds them: a changed file is another key.
type keyring struct {
	mu   sync.Mutex
	keys map[[sha256.Size]byte]ssh.Signer
}

func (k *keyring) get(pem []byte) ssh.Signer {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.keys[sha256.Sum256(pem)]
}

func (k *keyring) has(pem []byte) bool { return k.get(pem) != nil }

func (k *keyring) put(pem []byte, s ssh.Signer) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.keys == nil {
		k.keys = make(map[[sha256.Size]byte]ssh.Signer)
	}
	k.keys[sha256.Sum256(pem)] = s
}
