package sshconf

import (
	"cmp"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/user"
	"strconv"
	"strings"
)

// tokens are what a % and a letter stand for: ssh_config(5), TOKENS.
type tokens map[byte]string

// maxExpanded bounds the length of an expanded value.
const maxExpanded = 32 << 10

var errLong = errors.New("too long")

// what expand replaces.
type what int

const (
	onlyTokens what = iota
	onlyEnv
	tokensAndEnv
)

// expand replaces %-tokens, ${NAME} or both. A token or variable that is not
// there is an error.
func expand(s string, toks tokens, what what) (string, error) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case what != onlyTokens && strings.HasPrefix(s[i:], "${"):
			name, _, ok := strings.Cut(s[i+2:], "}")
			if !ok || name == "" {
				return "", fmt.Errorf("%.100q: no name in ${}, or no }", s)
			}
			value, ok := os.LookupEnv(name)
			if !ok {
				return "", fmt.Errorf("%.100q: environment variable %s is not set", s, name)
			}
			b.WriteString(value)
			i += len("${") + len(name)
		case what == onlyEnv, s[i] != '%':
			b.WriteByte(s[i])
		case i+1 == len(s):
			return "", fmt.Errorf("%.100q ends in %%", s)
		default:
			i++
			value, ok := toks[s[i]]
			if s[i] == '%' {
				value, ok = "%", true
			}
			if !ok {
				return "", fmt.Errorf("%.100q: unknown token %%%c", s, s[i])
			}
			b.WriteString(value)
		}
		if b.Len() > maxExpanded {
			return "", errors.New("too long when expanded")
		}
	}
	return b.String(), nil
}

// tilde replaces a ~ or ~user at the beginning of a path.
func tilde(path, home string) (string, error) {
	if !strings.HasPrefix(path, "~") {
		return path, nil
	}
	name, rest, _ := strings.Cut(path[1:], "/")
	if name != "" {
		u, err := user.Lookup(name)
		if err != nil {
			return "", fmt.Errorf("%.100q: %w", path, err)
		}
		home = u.HomeDir
	}
	return strings.TrimSuffix(home, "/") + "/" + strings.TrimLeft(rest, "/"), nil
}

// account is the local user, as the password database has it.
type account struct{ name, uid, home string }

func currentAccount() (account, error) {
	u, err := user.Current()
	if err != nil {
		return account{}, fmt.Errorf("looking up the local user: %w", err)
	}
	return account{name: u.Username, uid: u.Uid, home: u.HomeDir}, nil
}

// remote is what the tokens tell of the far end.
type remote struct {
	host, alias, keyAlias, user, jump string
	port                              int
}

// newTokens are all tokens but those of KnownHostsCommand. The name of this
// machine is that which the system has.
func newTokens(acct account, r remote) (tokens, error) {
	name, err := os.Hostname()
	if err != nil {
		return nil, fmt.Errorf("looking up the local host name: %w", err)
	}
	t := tokens{
		'd': acct.home, 'h': r.host, 'i': acct.uid, 'j': r.jump, 'k': r.keyAlias, 'l': name,
		'n': r.alias, 'p': strconv.Itoa(r.port), 'r': r.user, 'u': acct.name,
	}
	t['L'], _, _ = strings.Cut(name, ".")
	t['C'] = t.connection(t['j'])
	return t, nil
}

// connection is %C: a name for a connection, with the jump host in it or without.
func (t tokens) connection(jump string) string {
	sum := sha1.Sum([]byte(t['l'] + t['h'] + t['p'] + t['r'] + jump))
	return hex.EncodeToString(sum[:])
}

// far are those of the tokens that tell of the far end alone, for ProxyJump
// and ProxyCommand.
func (t tokens) far() tokens {
	far := maps.Clone(t)
	maps.DeleteFunc(far, func(letter byte, _ string) bool { return strings.IndexByte("hknpr", letter) < 0 })
	return far
}

func (h *Host) remote() remote {
	return remote{
		host: h.HostName, alias: h.Alias, keyAlias: cmp.Or(h.HostKeyAlias, h.Alias), user: h.User, port: h.Port,
		jump: lastHop(strings.Join(h.ProxyJump, ",")),
	}
}

// Expand replaces the %-tokens of ssh_config(5) and ${NAME} in s, as ssh does in
// a KnownHostsCommand; more are tokens besides those that tell of h. A token or
// variable that is not there is an error.
func (h *Host) Expand(s string, more map[byte]string) (string, error) {
	toks := h.tokens
	if toks == nil { // made by hand
		acct, err := currentAccount()
		if err != nil {
			return "", err
		}
		if toks, err = newTokens(acct, h.remote()); err != nil {
			return "", err
		}
	}
	if len(more) > 0 {
		toks = maps.Clone(toks)
		maps.Copy(toks, more)
	}
	return expand(s, toks, tokensAndEnv)
}

// SplitWords takes a command apart as ssh does with a KnownHostsCommand, which
// no shell gets to see: at blanks, with quotes and backslashes. Each word is
// expanded by itself afterwards.
func SplitWords(command string) ([]string, error) { return splitWords(command, false) }
