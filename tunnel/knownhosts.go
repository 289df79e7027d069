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
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

// knownHosts holds the lines of all known_hosts files, in order.
//
// Package knownhosts reads files only, gives a whole file up for one bad line,
// and does not tell which types of key it has for a host; so of it only the
// writing of lines is used.
type knownHosts []knownLine

type knownLine struct {
	marker   string // "", "cert-authority" or "revoked"
	patterns []string
	key      ssh.PublicKey
	file     string
	line     int
}

// readKnownHosts reads the files. A missing file is an empty one, and a line that
// cannot be read is dropped with a word in the log.
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
		lines, bad := parseKnownHosts(data, file)
		for _, err := range bad {
			log.Warn("line of known hosts ignored", "err", err)
		}
		all = append(all, lines...)
	}
	return all
}

// parseKnownHosts returns the lines of one file, and an error for each bad line.
func parseKnownHosts(data []byte, file string) (lines knownHosts, bad []error) {
	n := 0
	for text := range bytes.Lines(data) {
		n++
		text = bytes.TrimSpace(text)
		if len(text) == 0 || text[0] == '#' {
			continue
		}
		marker, patterns, key, _, _, err := ssh.ParseKnownHosts(text)
		if err == nil && marker != "" && marker != "cert-authority" && marker != "revoked" {
			err = fmt.Errorf("unknown marker %q", marker)
		}
		if err != nil {
			bad = append(bad, fmt.Errorf("%s:%d: %w", file, n, noEOF(err)))
			continue
		}
		lines = append(lines, knownLine{marker, patterns, key, file, n})
	}
	return lines, bad
}

// of returns the lines with the marker that are about name, which is a host or
// a [host]:port.
func (k knownHosts) of(name, marker string) (lines knownHosts) {
	for _, l := range k {
		if l.marker == marker && l.match(name) {
			lines = append(lines, l)
		}
	}
	return lines
}

// with returns the first line that has the key.
func (k knownHosts) with(key ssh.PublicKey) (knownLine, bool) {
	i := slices.IndexFunc(k, func(l knownLine) bool {
		return bytes.Equal(l.key.Marshal(), key.Marshal())
	})
	if i < 0 {
		return knownLine{}, false
	}
	return k[i], true
}

// match tells whether the line is about name. As in ssh, patterns match the
// brackets and port of a name as they match any text, and a negated one that
// matches settles it.
func (l knownLine) match(name string) bool {
	name = strings.ToLower(name)
	found := false
	for _, p := range l.patterns {
		p, not := strings.CutPrefix(p, "!")
		if !matchHashed(p, name) && !matchPattern(strings.ToLower(p), name) {
			continue
		}
		if not {
			return false
		}
		found = true
	}
	return found
}

// matchHashed tells whether p is a hash of name: |1|salt|HMAC-SHA1(salt, name).
func matchHashed(p, name string) bool {
	salt, sum, ok := strings.Cut(strings.TrimPrefix(p, "|1|"), "|")
	if !ok || !strings.HasPrefix(p, "|1|") {
		return false
	}
	key, err1 := base64.StdEncoding.DecodeString(salt)
	want, err2 := base64.StdEncoding.DecodeString(sum)
	if err1 != nil || err2 != nil {
		return false
	}
	mac := hmac.New(sha1.New, key)
	mac.Write([]byte(name))
	return hmac.Equal(mac.Sum(nil), want)
}

// matchPattern matches s against p, where ? stands for one byte and * for any
// number of them, in time proportional to the product of their lengths.
func matchPattern(p, s string) bool {
	star, retry := -1, 0 // the last * in p, and where in s to try again
	i, j := 0, 0
	for j < len(s) {
		switch {
		case i < len(p) && p[i] == '*':
			star, retry = i, j
			i++
		case i < len(p) && (p[i] == '?' || p[i] == s[j]):
			i++
			j++
		case star >= 0:
			retry++
			i, j = star+1, retry
		default:
			return false
		}
	}
	return strings.Trim(p[i:], "*") == ""
}

// addKnownHost appends a line to file, and makes the file and its directory when
// they are missing.
func addKnownHost(file, addr string, key ssh.PublicKey, hashed bool) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(file, os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	name := knownhosts.Normalize(addr)
	if hashed {
		name = knownhosts.HashHostname(name)
	}
	line := name + " " + string(ssh.MarshalAuthorizedKey(key))
	if fi, err := f.Stat(); err == nil && fi.Size() > 0 {
		end := make([]byte, 1)
		if _, err := f.ReadAt(end, fi.Size()-1); err == nil && end[0] != '\n' {
			line = "\n" + line
		}
	}
	_, err = f.WriteString(line)
	return errors.Join(err, f.Close())
}
