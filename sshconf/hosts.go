package sshconf

import (
	"slices"
	"strings"
)

// Hosts returns the names that Host lines of the files hold, in the order of the
// files and each once: what one would type, and no patterns. It resolves nothing,
// runs no command, and passes over lines that are wrong.
func (r *Resolver) Hosts() ([]string, error) {
	p, err := r.parser()
	if err != nil {
		return nil, err
	}
	var hosts []string
	seen := make(map[string]bool)
	p.named = func(pattern string) {
		if !seen[pattern] && !strings.ContainsAny(pattern, "*?") && pattern[0] != '!' {
			seen[pattern] = true
			hosts = append(hosts, pattern)
		}
	}
	err = r.files(p)
	return slices.Clip(hosts), err
}
