package sshconf

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// maxFile bounds a configuration file, lest -F /dev/zero be read for ever.
const maxFile = 4 << 20

var errDirectory = errors.New("is a directory")

// readFile reads one file. Where it is checked, it must belong to the user or
// to root and be writable to nobody else. That it cannot be opened or is a
// directory is an *fs.PathError.
func readFile(name string, checked bool) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", err
	}
	if info.IsDir() {
		return "", &fs.PathError{Op: "read", Path: name, Err: errDirectory}
	}
	if checked && !trusted(info) {
		return "", fmt.Errorf("bad owner or permissions on %s", name)
	}
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return "", err
	}
	if len(data) > maxFile {
		return "", fmt.Errorf("%s is longer than %d bytes", name, maxFile)
	}
	return string(data), nil
}

// included lists the files that an Include in a file of the user's or of the
// system's means, in the order in which they are read. No file is no error.
func (p *parser) included(pattern string, user bool) ([]string, error) {
	pattern, err := p.expandInclude(pattern)
	if err != nil {
		return nil, err
	}
	switch {
	case strings.HasPrefix(pattern, "~") && !user:
		return nil, fmt.Errorf("bad path %q: ~ is for a user's files only", pattern)
	case strings.HasPrefix(pattern, "~"):
		path, err := tilde(pattern, p.acct.home)
		if err != nil {
			return nil, nil // of a user who is not there
		}
		pattern = path
	case !filepath.IsAbs(pattern) && user:
		pattern = filepath.Join(p.acct.home, ".ssh", pattern)
	case !filepath.IsAbs(pattern):
		pattern = filepath.Join(p.system, pattern)
	}
	return p.glob(filepath.Clean(pattern)), nil
}

// expandInclude replaces tokens and variables, as ssh does since 9.9.
func (p *parser) expandInclude(pattern string) (string, error) {
	if !strings.ContainsAny(pattern, "%$") {
		return pattern, nil
	}
	toks, err := p.tokens()
	if err != nil {
		return "", err
	}
	return expand(pattern, toks, tokensAndEnv)
}

// glob lists the files that match pattern, as glob(3) does.
func glob(pattern string) []string {
	names, err := filepath.Glob(strings.ReplaceAll(pattern, "[!", "[^"))
	if err != nil {
		return []string{pattern} // no pattern after all
	}
	visible := names[:0]
	for _, name := range names {
		if !hidden(pattern, name) {
			visible = append(visible, name)
		}
	}
	return visible
}

// hidden says that a wildcard stands for the dot that begins a name, which
// glob(3) does not allow.
func hidden(pattern, name string) bool {
	parts := strings.Split(pattern, string(filepath.Separator))
	for i, part := range strings.Split(name, string(filepath.Separator)) {
		if strings.HasPrefix(part, ".") && i < len(parts) && !strings.HasPrefix(parts[i], ".") {
			return true
		}
	}
	return false
}
