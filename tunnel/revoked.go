package tunnel

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/crypto/ssh"
)

// maxRevoked is how long the file of RevokedHostKeys may be, as in ssh.
const maxRevoked = 128 << 20

// revokedBy tells whether the file revokes key or, if that is a certificate, what
// it certifies or its authority; and in which line, or 0 where there are no lines.
func revokedBy(file string, key ssh.PublicKey) (line int, revoked bool, err error) {
	f, err := os.Open(file)
	if err != nil {
		return 0, false, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxRevoked+1))
	if err == nil && len(data) > maxRevoked {
		err = fmt.Errorf("longer than %d bytes", maxRevoked)
	}
	if err == nil && isKRL(data) {
		revoked, err = revokedByKRL(data, key)
	} else if err == nil {
		line, err = revokedByList(data, key)
		revoked = line > 0
	}
	if err != nil && !errors.As(err, new(*os.PathError)) {
		err = fmt.Errorf("%s: %w", file, err)
	}
	return line, revoked, err
}

// revokedByList looks a key up in a list of public keys, one a line, and returns
// the line or 0. As in ssh, a line that cannot be read spoils the list.
func revokedByList(data []byte, key ssh.PublicKey) (line int, err error) {
	cert, _ := key.(*ssh.Certificate)
	n := 0
	for text := range bytes.Lines(data) {
		n++
		text, _, _ = bytes.Cut(text, []byte{0})
		text = bytes.TrimSpace(text)
		if len(text) == 0 || text[0] == '#' {
			continue
		}
		listed, err := parseKeyLine(text)
		if err != nil {
			return 0, fmt.Errorf("line %d: %w", n, err)
		}
		if sameKey(listed, plain(key)) || cert != nil && sameKey(listed, cert.SignatureKey) {
			return n, nil
		}
	}
	return 0, nil
}

// parseKeyLine reads type, key and perhaps a comment. Options, as authorized_keys
// has them, have no place here.
func parseKeyLine(text []byte) (ssh.PublicKey, error) {
	key, _, options, _, err := ssh.ParseAuthorizedKey(text)
	switch {
	case err != nil:
		return nil, errors.New("not a public key")
	case options != nil:
		return nil, errors.New("options before the key")
	}
	return plain(key), nil
}

func sameKey(a, b ssh.PublicKey) bool { return bytes.Equal(a.Marshal(), b.Marshal()) }
