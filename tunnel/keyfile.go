package tunnel

import (
	"bytes"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"sync"

	"golang.org/x/crypto/ssh"
)

// A keyFile is the file of a private key, and what it tells without a passphrase.
type keyFile struct {
	path    string
	data    []byte
	comment string        // for the agent: the key's, or the path where the format has none
	pub     ssh.PublicKey // nil if nothing shows it: an old format, and no .pub beside it
	err     error         // why there is no private key to be had from it
	raw     any           // the private key, nil while it is locked
	signer  ssh.Signer    // likewise
}

var (
	errHalf   = errors.New("only its public half is here, and the agent does not have it")
	errSecure = errors.New("a security key: needs the agent or the system's ssh")
)

// readKeyFile reads what there is of a key: the file, which may hold but the
// public half, and path.pub, in ssh's order.
func readKeyFile(path string) *keyFile {
	f := &keyFile{path: path, comment: path}
	var comment string
	f.pub, comment = loadPublic(path)
	if f.data, f.err = readRegular(path); f.err != nil {
		var sys *fs.PathError
		switch {
		case f.pub != nil && errors.Is(f.err, fs.ErrNotExist):
			f.err = errHalf
		case errors.As(f.err, &sys):
			f.err = sys.Err
		}
		return f
	}
	if pub, _ := parsePublic(f.data); pub != nil {
		f.err = errHalf
		return f
	}
	fi, err := os.Stat(path)
	if err == nil && tooOpen(fi) {
		f.err = fmt.Errorf("not used: others may read it, mode %04o", fi.Mode().Perm())
		return f
	}
	own, inside, shown := opensshHeader(f.data)
	switch {
	case own == nil:
	case strings.HasPrefix(own.Type(), "sk-"):
		f.err = errSecure
		return f
	case shown:
		f.comment = inside
	case comment != "": // usually the one that is encrypted
		f.comment = comment
	}
	if err := f.parse(nil); !isLocked(err) {
		f.err = err
	}
	return f
}

// readRegular reads a file unless it is a pipe or device: these may keep us waiting, or
// have no end, and what was read from one is not there when the key is read again.
func readRegular(path string) ([]byte, error) {
	fi, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, err
	case fi.IsDir(): // which has its own error
	case !fi.Mode().IsRegular():
		return nil, errors.New("not a regular file")
	}
	return os.ReadFile(path)
}

func isLocked(err error) bool {
	_, ok := errors.AsType[*ssh.PassphraseMissingError](err)
	return ok
}

// locked tells whether a passphrase is needed.
func (f *keyFile) locked() bool { return f.err == nil && f.signer == nil }

// parse opens the file, with a passphrase if it is not nil.
func (f *keyFile) parse(passphrase []byte) error {
	raw, err := parsePrivate(f.data, passphrase)
	if err != nil {
		return err
	}
	return f.use(raw)
}

// use takes the private key that the file holds.
func (f *keyFile) use(raw any) error {
	signer, err := ssh.NewSignerFromKey(raw)
	if err != nil {
		return err
	}
	if f.pub != nil && !samePublic(f.pub, signer.PublicKey()) {
		return fmt.Errorf("%s.pub is of another key", f.path)
	}
	f.raw, f.signer = raw, signer
	return nil
}

// parsePrivate reads a private key in any format that ssh-keygen writes: OpenSSH's
// own, PKCS#1 and SEC1 in PEM, and PKCS#8. Where a passphrase is wanted and there is none, the
// error is an *ssh.PassphraseMissingError; a wrong one is x509.IncorrectPasswordError.
func parsePrivate(data, passphrase []byte) (any, error) {
	block, _ := pem.Decode(data)
	switch {
	case block == nil:
		return nil, errors.New("not a private key")
	case block.Type == "ENCRYPTED PRIVATE KEY" && passphrase == nil:
		return nil, &ssh.PassphraseMissingError{}
	case block.Type == "ENCRYPTED PRIVATE KEY":
		return parsePKCS8(block.Bytes, passphrase)
	case passphrase == nil:
		return ssh.ParseRawPrivateKey(data)
	}
	key, err := ssh.ParseRawPrivateKeyWithPassphrase(data, passphrase)
	if err != nil && block.Headers["Proc-Type"] != "" {
		err = x509.IncorrectPasswordError // whatever noise it became
	}
	return key, err
}

// loadPublic finds a public half, and its comment, as ssh does: in the file, in the
// .pub beside it, or in the part of a private file that is not encrypted.
func loadPublic(path string) (ssh.PublicKey, string) {
	data, _ := readRegular(path)
	if pub, comment := parsePublic(data); pub != nil {
		return pub, comment
	}
	beside, _ := readRegular(path + ".pub")
	if pub, comment := parsePublic(beside); pub != nil {
		return pub, comment
	}
	pub, comment, _ := opensshHeader(data)
	return pub, comment
}

func parsePublic(data []byte) (ssh.PublicKey, string) {
	pub, comment, _, _, err := ssh.ParseAuthorizedKey(data)
	if err != nil {
		return nil, ""
	}
	return pub, comment
}

const opensshMagic = "openssh-key-v1\x00"

// opensshHeader reads what a private key in OpenSSH's own format shows to
// everyone: its public half, and its comment unless that is encrypted.
func opensshHeader(data []byte) (pub ssh.PublicKey, comment string, shown bool) {
	block, _ := pem.Decode(data)
	if block == nil || !bytes.HasPrefix(block.Bytes, []byte(opensshMagic)) {
		return nil, "", false
	}
	var file struct {
		Cipher, KDF, Options string
		Keys                 uint32
		Public, Private      []byte
		Rest                 []byte `ssh:"rest"`
	}
	if ssh.Unmarshal(block.Bytes[len(opensshMagic):], &file) != nil || file.Keys != 1 {
		return nil, "", false
	}
	pub, err := ssh.ParsePublicKey(file.Public)
	if err != nil {
		return nil, "", false
	}
	if file.Cipher != "none" {
		return pub, "", false
	}
	return pub, opensshComment(file.Private), true
}

// opensshFields tells how many strings stand between a key's type and its comment.
var opensshFields = map[string]int{
	ssh.KeyAlgoED25519:  2,
	ssh.KeyAlgoECDSA256: 3,
	ssh.KeyAlgoECDSA384: 3,
	ssh.KeyAlgoECDSA521: 3,
	ssh.KeyAlgoRSA:      6,
}

func opensshComment(private []byte) string {
	var key struct {
		Check1, Check2 uint32
		Type           string
		Rest           []byte `ssh:"rest"`
	}
	if ssh.Unmarshal(private, &key) != nil {
		return ""
	}
	fields, ok := opensshFields[key.Type]
	if !ok {
		return ""
	}
	var field struct {
		Text string
		Rest []byte `ssh:"rest"`
	}
	for rest := key.Rest; fields >= 0; fields-- { // the comment comes after them
		if ssh.Unmarshal(rest, &field) != nil {
			return ""
		}
		rest = field.Rest
	}
	return field.Text
}

// plain is the key that a certificate is for, or the key itself.
func plain(pub ssh.PublicKey) ssh.PublicKey {
	if cert, ok := pub.(*ssh.Certificate); ok {
		return cert.Key
	}
	return pub
}

// rsaBits is how long a key is, if it is one of RSA.
func rsaBits(pub ssh.PublicKey) (bits int, ok bool) {
	if key, ok := plain(pub).(ssh.CryptoPublicKey); ok {
		if key, ok := key.CryptoPublicKey().(*rsa.PublicKey); ok {
			return key.N.BitLen(), true
		}
	}
	return 0, false
}

// samePublic tells whether both are of one key pair, with a certificate or without.
func samePublic(a, b ssh.PublicKey) bool {
	return a != nil && b != nil && bytes.Equal(plain(a).Marshal(), plain(b).Marshal())
}

// A keyring keeps decrypted keys, so that a reconnect need not ask again. The
// file's content is what finds them: a changed file is another key.
type keyring struct {
	mu    sync.Mutex
	keys  map[[sha256.Size]byte]any // private keys
	added map[[sha256.Size]byte]bool
}

// unlock opens a file that was opened before.
func (k *keyring) unlock(f *keyFile) {
	k.mu.Lock()
	raw := k.keys[sha256.Sum256(f.data)]
	k.mu.Unlock()
	if raw == nil || !f.locked() {
		return
	}
	if err := f.use(raw); err != nil {
		f.err = err
	}
}

// put keeps an open file.
func (k *keyring) put(f *keyFile) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.keys == nil {
		k.keys = make(map[[sha256.Size]byte]any)
	}
	k.keys[sha256.Sum256(f.data)] = f.raw
}
