package tunnel

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/pasvport/pasvport/sshconf"
)

// knownHosts holds lines of known_hosts files and what KnownHostsCommand says, in order.
//
// Package knownhosts reads files only, gives a whole file up for one bad line,
// and does not tell which types of key it has for a host; so of it only the
// hashing of names is used.
type knownHosts []knownLine

type knownLine struct {
	marker   string // "", "cert-authority" or "revoked"
	patterns []string
	key      ssh.PublicKey
	file     string
	line     int
}

// readKnownHosts reads the files. A missing file is an empty one, one that cannot
// be read is passed over with a warning, and so is a line.
func readKnownHosts(log *slog.Logger, files []string) knownHosts {
	var all knownHosts
	for _, file := range files {
		data, err := os.ReadFile(file)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		} else if err != nil {
			log.Warn("known hosts not read", "err", err)
			continue
		}
		all = append(all, loggedKnownHosts(log, data, file)...)
	}
	return all
}

func loggedKnownHosts(log *slog.Logger, data []byte, file string) knownHosts {
	lines, bad := parseKnownHosts(data, file)
	for _, err := range bad {
		log.Warn("line of known hosts ignored", "err", err)
	}
	return lines
}

// parseKnownHosts returns the lines of one file, and an error for each bad line.
// As in ssh, a line ends at a zero byte as well, and what follows that is lost.
func parseKnownHosts(data []byte, file string) (lines knownHosts, bad []error) {
	n := 0
	for text := range bytes.Lines(data) {
		n++
		text, _, _ = bytes.Cut(text, []byte{0})
		text = bytes.Trim(text, " \t\r\n")
		if len(text) == 0 || text[0] == '#' {
			continue
		}
		marker, patterns, key, _, _, err := ssh.ParseKnownHosts(text)
		switch {
		case err != nil || marker == "":
		case marker != "cert-authority" && marker != "revoked":
			err = fmt.Errorf("unknown marker %q", marker)
		case !bytes.HasPrefix(text[1:], []byte(marker+" ")): // as ssh has it
			err = fmt.Errorf("no space after the marker %q", marker)
		}
		if err != nil {
			bad = append(bad, fmt.Errorf("%s:%d: %w", file, n, noEOF(err)))
			continue
		}
		lines = append(lines, knownLine{marker, patterns, key, file, n})
	}
	return lines, bad
}

// about returns the lines about a host, which is called by one of the names: host
// or [host]:port.
func (k knownHosts) about(names ...string) (lines knownHosts) {
	for _, l := range k {
		if slices.ContainsFunc(names, l.match) {
			lines = append(lines, l)
		}
	}
	return lines
}

// marked returns the lines with the marker, "" for none.
func (k knownHosts) marked(marker string) (lines knownHosts) {
	for _, l := range k {
		if l.marker == marker {
			lines = append(lines, l)
		}
	}
	return lines
}

// with returns the first line that has the key.
func (k knownHosts) with(key ssh.PublicKey) (knownLine, bool) {
	return k.first(func(l knownLine) bool { return sameKey(l.key, key) })
}

// revokes returns the first line that revokes the key or its certificate's authority.
func (k knownHosts) revokes(key ssh.PublicKey) (knownLine, bool) {
	cert, _ := key.(*ssh.Certificate)
	return k.marked("revoked").first(func(l knownLine) bool {
		revoked := plain(l.key)
		return sameKey(revoked, plain(key)) || cert != nil && sameKey(revoked, cert.SignatureKey)
	})
}

func (k knownHosts) first(is func(knownLine) bool) (knownLine, bool) {
	if i := slices.IndexFunc(k, is); i >= 0 {
		return k[i], true
	}
	return knownLine{}, false
}

// order puts those of the host key algorithms first that suit the lines about
// a host: all for certificates when an authority is known, and those of the types of
// key that are known. As in ssh, nothing is changed if that holds for the best one.
func (k knownHosts) order(list []string) []string {
	authority := len(k.marked("cert-authority")) > 0
	if k.hasType(list[0]) {
		return list
	}
	var first, last []string
	for _, a := range list {
		if k.hasType(a) || authority && strings.Contains(a, certInfix) {
			first = append(first, a)
		} else {
			last = append(last, a)
		}
	}
	return append(first, last...)
}

// certInfix is in the names of algorithms with a certificate.
const certInfix = "-cert-v"

// hasType tells whether there is a key for the algorithm, or for what the
// algorithm is with a certificate, and the first such is not revoked.
func (k knownHosts) hasType(algorithm string) bool {
	typ, _, _ := strings.Cut(algorithm, certInfix)
	if strings.HasPrefix(typ, "rsa-sha2-") {
		typ = ssh.KeyAlgoRSA
	}
	l, ok := k.marked("").first(func(l knownLine) bool { return l.key.Type() == typ })
	if !ok {
		return false
	}
	_, revoked := k.revokes(l.key)
	return !revoked
}

// hashed tells whether the line keeps its host's name to itself.
func (l knownLine) hashed() bool { return strings.HasPrefix(l.patterns[0], "|") }

// match tells whether the line is about name. As in ssh, patterns match the
// brackets and port of a name as they match any text, a negated one that
// matches settles it, and a hashed name stands alone.
func (l knownLine) match(name string) bool {
	name = strings.ToLower(name)
	if l.hashed() {
		return len(l.patterns) == 1 && matchHashed(l.patterns[0], name)
	}
	return sshconf.MatchList(name, strings.ToLower(strings.Join(l.patterns, ",")))
}

// matchHashed tells whether p is a hash of name: |1|salt|HMAC-SHA1(salt, name).
func matchHashed(p, name string) bool {
	salt, sum, ok := strings.Cut(strings.TrimPrefix(p, "|1|"), "|")
	if !ok || !strings.HasPrefix(p, "|1|") {
		return false
	}
	key, err1 := base64.StdEncoding.DecodeString(salt)
	want, err2 := base64.StdEncoding.DecodeString(sum)
	if err1 != nil || err2 != nil || len(key) != sha1.Size {
		return false
	}
	mac := hmac.New(sha1.New, key)
	mac.Write([]byte(name))
	return hmac.Equal(mac.Sum(nil), want)
}
