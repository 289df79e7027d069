package sshconf

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"strings"
)

// tokens are what a % and a letter stand for: ssh_config(5), TOKENS.
type tokens map[byte]string

// maxExpanded bounds the length of an expanded value.
const maxExpanded = 32 << 10

// expand replaces %-tokens, and ${NAME} where env is true. A token or variable
// that is not there is an error.
func expand(s string, toks tokens, env bool) (string, error) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case env && strings.HasPrefix(s[i:], "${"):
			name, _, ok := strings.Cut(s[i+2:], "}")
			if !ok || name == "" {
				return "", fmt.Errorf("%q: no name in ${}, or no }", s)
			}
			value, ok := os.LookupEnv(name)
			if !ok {
				return "", fmt.Errorf("%q: environment variable %s is not set", s, name)
			}
			b.WriteString(value)
			i += len("${") + len(name)
		case s[i] != '%':
			b.WriteByte(s[i])
		case i+1 == len(s):
			return "", fmt.Errorf("%q ends in %%", s)
		default:
			i++
			value, ok := toks[s[i]]
			if s[i] == '%' {
				value, ok = "%", true
			}
			if !ok {
				return "", fmt.Errorf("%q: unknown token %%%c", s, s[i])
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
			return "", fmt.Errorf("%q: %w", path, err)
		}
		home = u.HomeDir
	}
	return strings.TrimSuffix(home, "/") + "/" + strings.TrimLeft(rest, "/"), nil
}
