// Package sshconf reads ssh's configuration: from a host alias to resolved
// options, as ssh(1) reads it and as "ssh -G" shows it. It follows
// ssh_config(5) and opens no connection.
//
//   - The first value of a keyword wins: options, then ~/.ssh/config, then
//     /etc/ssh/ssh_config, each from its beginning. Where "Match final" or
//     CanonicalizeHostname asks for it, the files are read a second time.
//   - Lines in blocks for other hosts are checked as well, as in ssh.
//   - What is no keyword of ssh_config(5) at all is an error that names file
//     and line, unless IgnoreUnknown lists it. What a tunnel cannot honour is a
//     Note. Keywords that mean nothing here are read over.
//   - A file that others may write to is refused where ssh refuses it.
//
// "Match exec" runs its command in the user's shell, as ssh does. Host names are
// looked up where CanonicalizeHostname or CanonicalizePermittedCNAMEs asks for
// it, and only then.
package sshconf

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
)

// Resolver answers for one set of files and options. The zero value reads the
// files that ssh reads; all fields may be left empty. The files are read anew
// each time, and several goroutines may ask at once.
type Resolver struct {
	// File is read in place of the usual files, as with ssh -F: it has to
	// exist, and "none" reads nothing.
	File string

	// Options win over files, and earlier ones over later ones. Each is
	// "Keyword=value" or "Keyword value", as after ssh -o.
	Options []string

	// Home replaces the home directory that the password database holds,
	// which ssh uses as well and not $HOME. For tests.
	Home string

	// Stderr is where the commands of Match exec complain. Nil: nowhere.
	Stderr io.Writer

	outside outside // what is not nil replaces the real thing, in tests
}

// Resolve says what the configuration holds for "[user@]host" or
// "ssh://[user@]host[:port]". User and port in the destination win over the
// files, and Options over both, as with ssh -o before the destination.
// Errors in a file or in Options are a *SyntaxError; where the configuration
// has RefuseConnection, the error is a *RefusedError.
func (r *Resolver) Resolve(destination string) (*Host, error) {
	t, err := parseDestination(destination)
	if err != nil {
		return nil, fmt.Errorf("destination %q: %w", destination, err)
	}
	return r.resolve(t, r.Options)
}

// Jump does the same for one hop of Host.ProxyJump: "[user@]host[:port]", IPv6
// addresses in brackets, or ssh://. It reads the same files without Options,
// as ssh does. The ProxyJump of the answer counts for the first hop of a list
// only: each other hop is reached through the one before it.
func (r *Resolver) Jump(hop string) (*Host, error) {
	t, err := parseHop(hop)
	if err != nil {
		return nil, fmt.Errorf("jump host %q: %w", hop, err)
	}
	return r.resolve(t, nil)
}

// RefusedError is a RefuseConnection that is in force.
type RefusedError struct {
	Host  string // as the user typed it
	Place string // file and line
	Text  string // what the configuration says of it
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("%s: the configuration refuses connections to %s: %s", e.Place, e.Host, e.Text)
}

// parser returns one that has read nothing yet.
func (r *Resolver) parser() (*parser, error) {
	acct, err := currentAccount()
	if err != nil {
		return nil, err
	}
	acct.home = cmp.Or(r.Home, acct.home)
	p := &parser{o: make(options), acct: acct, outside: r.outside}
	p.system = cmp.Or(p.system, "/etc/ssh")
	if p.read == nil {
		p.read = readFile
	}
	if p.glob == nil {
		p.glob = glob
	}
	if p.run == nil {
		p.run = runner(r.Stderr)
	}
	if p.networks == nil {
		p.networks = networks
	}
	if p.lookup == nil {
		p.lookup = lookup
	}
	return p, nil
}

func (r *Resolver) resolve(t target, opts []string) (*Host, error) {
	p, err := r.parser()
	if err != nil {
		return nil, err
	}
	p.host, p.original = t.host, t.host
	for _, opt := range opts {
		if err := p.option(opt); err != nil {
			return nil, err
		}
	}
	said := line{active: true, file: "destination"}
	if t.user != "" {
		p.o.put("user", &said, t.user)
	}
	if t.port > 0 {
		p.o.put("port", &said, strconv.Itoa(t.port))
	}
	if !validHost(t.host) {
		return nil, fmt.Errorf("host name %q contains invalid characters", t.host)
	}
	if !validUser(p.o.get("user")) {
		return nil, fmt.Errorf("user name %q contains invalid characters", p.o.get("user"))
	}

	if err := r.passes(p); err != nil {
		return nil, err
	}
	h, err := p.resolved()
	if err != nil {
		return nil, fmt.Errorf("resolving %q: %w", t.host, err)
	}
	return h, nil
}

// passes reads the files, once or twice, and finds the host's name.
func (r *Resolver) passes(p *parser) error {
	if err := r.files(p); err != nil {
		return fmt.Errorf("reading ssh's configuration for %q: %w", p.original, err)
	}
	name, err := expand(cmp.Or(p.o.get("hostname"), "%h"), tokens{'h': p.original}, onlyTokens)
	if err != nil {
		return fmt.Errorf("resolving %q: HostName: %w", p.original, err)
	}
	if !validHost(name) {
		return fmt.Errorf("resolving %q: host name %q contains invalid characters", p.original, name)
	}
	if p.host, err = p.canonicalize(name); err != nil {
		return fmt.Errorf("resolving %q: %w", p.original, err)
	}
	if !p.again && p.o.get("canonicalizehostname") == "false" {
		return nil
	}
	settled := line{active: true, file: "first pass"}
	for _, name := range []string{"canonicalizemaxdots", "canonicalizefallbacklocal", "canonicalizehostname"} {
		p.o.put(name, &settled, p.o.get(name))
	}
	v := p.o["hostname"]
	v.words = []string{p.host}
	p.o["hostname"], p.final = v, true
	if err := r.files(p); err != nil {
		return fmt.Errorf("reading ssh's configuration for %q again: %w", p.original, err)
	}
	return nil
}

// files reads the configuration files in their order.
func (r *Resolver) files(p *parser) error {
	p.files, p.text = 0, 0
	switch {
	case strings.EqualFold(r.File, "none"):
		return nil
	case r.File != "":
		return p.file(source{name: r.File, user: true}, true)
	}
	for _, src := range []source{
		{name: filepath.Join(p.acct.home, ".ssh", "config"), user: true, checked: true},
		{name: filepath.Join(p.system, "ssh_config")},
	} {
		err := p.file(src, true)
		if unread := (*fs.PathError)(nil); errors.As(err, &unread) && unread.Path == src.name {
			if !errors.Is(err, fs.ErrNotExist) && !p.final { // ssh says nothing here
				p.notes = append(p.notes, Note{Text: err.Error()})
			}
		} else if err != nil {
			return err
		}
	}
	return nil
}
