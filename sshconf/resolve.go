// Package sshconf reads ssh's configuration: from a host alias to resolved
// options, as ssh(1) reads it and as "ssh -G" shows it. It follows
// ssh_config(5) and opens no connection.
//
//   - The first value of a keyword wins: options, then ~/.ssh/config, then
//     /etc/ssh/ssh_config, each from its beginning.
//   - Lines in blocks for other hosts are checked as well, as in ssh.
//   - What is no keyword of ssh_config(5) at all is an error that names file
//     and line, unless IgnoreUnknown lists it. Keywords that mean nothing here
//     are read over with whatever they say.
//   - A file that others may write to is refused where ssh refuses it.
//
// Not there yet: Match blocks, of which only "Match all" is obeyed, the others
// being skipped with a note; and CanonicalizeHostname. No command is ever run.
package sshconf

import (
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"time"
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

	system string // replaces /etc/ssh, in tests
}

// Resolve says what the configuration holds for "[user@]host" or
// "ssh://[user@]host[:port]". User and port in the destination win over the
// files, and Options over both, as with ssh -o before the destination.
// Errors in a file or in Options are a *SyntaxError.
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

func (r *Resolver) resolve(t target, opts []string) (*Host, error) {
	acct, err := r.account()
	if err != nil {
		return nil, err
	}
	p := &parser{o: newOptions(), host: t.host, home: acct.home, system: r.system}
	if p.system == "" {
		p.system = "/etc/ssh"
	}
	p.read, p.glob = readFile, p.expandGlob

	for _, opt := range opts {
		if err := p.option(opt); err != nil {
			return nil, err
		}
	}
	if p.o.user == "" {
		p.o.user = t.user
	}
	if p.o.port < 0 && t.port > 0 {
		p.o.port = t.port
	}
	if !validHost(t.host) {
		return nil, fmt.Errorf("host name %q contains invalid characters", t.host)
	}
	if !validUser(p.o.user) {
		return nil, fmt.Errorf("user name %q contains invalid characters", p.o.user)
	}

	if err := r.files(p); err != nil {
		return nil, fmt.Errorf("reading ssh's configuration for %q: %w", t.host, err)
	}
	h, err := p.o.resolved(t.host, acct, p.system)
	if err != nil {
		return nil, fmt.Errorf("resolving %q: %w", t.host, err)
	}
	h.Notes = p.notes
	return h, nil
}

// files reads the configuration files in their order.
func (r *Resolver) files(p *parser) error {
	switch {
	case strings.EqualFold(r.File, "none"):
		return nil
	case r.File != "":
		return p.file(source{name: r.File, user: true}, true)
	}
	for _, src := range []source{
		{name: filepath.Join(p.home, ".ssh", "config"), user: true, checked: true},
		{name: filepath.Join(p.system, "ssh_config")},
	} {
		err := p.file(src, true)
		if unread := (*fs.PathError)(nil); errors.As(err, &unread) && unread.Path == src.name {
			if !errors.Is(err, fs.ErrNotExist) { // ssh says nothing here
				p.notes = append(p.notes, Note{Text: err.Error()})
			}
		} else if err != nil {
			return err
		}
	}
	return nil
}

// account is the local user, as the password database has it.
type account struct{ name, uid, home string }

func (r *Resolver) account() (account, error) {
	u, err := user.Current()
	if err != nil {
		return account{}, fmt.Errorf("looking up the local user: %w", err)
	}
	a := account{name: u.Username, uid: u.Uid, home: u.HomeDir}
	if r.Home != "" {
		a.home = r.Home
	}
	return a, nil
}

// defaultIdentities are ssh's, but for the kinds that are gone: XMSS and DSA.
var defaultIdentities = []string{
	"~/.ssh/id_rsa", "~/.ssh/id_ecdsa", "~/.ssh/id_ecdsa_sk", "~/.ssh/id_ed25519", "~/.ssh/id_ed25519_sk",
}

// resolved fills in defaults and expands tokens, in ssh's order.
func (o *options) resolved(alias string, acct account, system string) (*Host, error) {
	h := &Host{
		Alias:                 alias,
		HostName:              alias,
		Port:                  o.port,
		User:                  or(o.user, acct.name),
		AddressFamily:         or(o.addressFamily, "any"),
		IdentitiesOnly:        o.identitiesOnly == "yes",
		BatchMode:             o.batchMode == "yes",
		HashKnownHosts:        o.hashKnownHosts == "yes",
		HostKeyAlias:          strings.ToLower(o.hostKeyAlias),
		StrictHostKeyChecking: or(o.strictHostKeyChecking, "ask"),
		ConnectTimeout:        time.Duration(max(o.connectTimeout, 0)) * time.Second,
		ServerAliveInterval:   time.Duration(o.serverAliveInterval) * time.Second,
		ServerAliveCountMax:   o.serverAliveCountMax,
	}
	var err error
	if o.hostName != "" {
		if h.HostName, err = expand(o.hostName, tokens{'h': alias}, false); err != nil {
			return nil, fmt.Errorf("HostName: %w", err)
		}
	}
	if !validHost(h.HostName) {
		return nil, fmt.Errorf("host name %q contains invalid characters", h.HostName)
	}
	h.HostName = canonical(h.HostName)
	if strings.ContainsFunc(h.User, isControl) {
		return nil, fmt.Errorf("user name %q contains control characters", h.User)
	}
	if h.Port < 0 {
		h.Port = 22
	}
	if o.serverAliveInterval == saidNone {
		h.ServerAliveInterval = 0
	}
	if h.ServerAliveCountMax < 0 {
		h.ServerAliveCountMax = 3
	}
	if !strings.EqualFold(o.proxyCommand, "none") {
		h.ProxyCommand = o.proxyCommand
	}

	toks := tokens{'h': h.HostName, 'n': alias, 'p': strconv.Itoa(h.Port), 'r': h.User, 'k': alias}
	if h.HostKeyAlias != "" {
		toks['k'] = h.HostKeyAlias
	}
	if h.ProxyJump, err = o.jumps(h, toks); err != nil {
		return nil, fmt.Errorf("ProxyJump: %w", err)
	}
	if err := toks.addLocal(acct, h.ProxyJump); err != nil {
		return nil, err
	}

	h.DefaultIdentities = len(o.identityFiles) == 0
	if h.IdentityFiles, err = paths(o.identityFiles, acct.home, toks, defaultIdentities...); err != nil {
		return nil, fmt.Errorf("IdentityFile: %w", err)
	}
	if h.IdentityAgent, err = agentSocket(o.identityAgent, acct.home, toks); err != nil {
		return nil, fmt.Errorf("IdentityAgent: %w", err)
	}
	h.UserKnownHostsFiles, err = paths(o.userKnownHostsFiles, acct.home, toks,
		"~/.ssh/known_hosts", "~/.ssh/known_hosts2")
	if err != nil {
		return nil, fmt.Errorf("UserKnownHostsFile: %w", err)
	}
	h.GlobalKnownHostsFiles, err = paths(o.globalKnownHostsFiles, acct.home, nil,
		filepath.Join(system, "ssh_known_hosts"), filepath.Join(system, "ssh_known_hosts2"))
	if err != nil {
		return nil, fmt.Errorf("GlobalKnownHostsFile: %w", err)
	}
	return h, nil
}

// agentSocket expands an IdentityAgent: a path, "none", or the variable that
// holds one, with or without a dollar sign.
func agentSocket(said, home string, toks tokens) (string, error) {
	name, isVariable := strings.CutPrefix(said, "$")
	switch {
	case said == "" || said == "SSH_AUTH_SOCK":
		return "", nil
	case strings.EqualFold(said, "none"):
		return "none", nil
	case isVariable && !strings.HasPrefix(name, "{"):
		return or(os.Getenv(name), "none"), nil
	}
	path, err := tilde(said, home)
	if err != nil {
		return "", err
	}
	return expand(path, toks, true)
}

// paths expands file names, those said or else the usual ones, and leaves out
// "none". Without tokens it is ~ that is expanded and nothing else.
func paths(said []string, home string, toks tokens, usual ...string) ([]string, error) {
	if len(said) == 0 {
		said = usual
	}
	var expanded []string
	for _, s := range said {
		if strings.EqualFold(s, "none") {
			continue
		}
		path, err := tilde(s, home)
		if err == nil && toks != nil {
			path, err = expand(path, toks, true)
		}
		if err != nil {
			return nil, err
		}
		expanded = append(expanded, path)
	}
	return expanded, nil
}

// jumps splits and expands ProxyJump, and refuses a host that is its own last hop.
func (o *options) jumps(h *Host, toks tokens) ([]string, error) {
	if o.proxyJump == "" || o.proxyJump == "none" {
		return nil, nil
	}
	hops := strings.Split(o.proxyJump, ",")
	var last target
	for i, hop := range hops {
		var err error
		if hops[i], err = expand(hop, toks, false); err != nil {
			return nil, err
		}
		if last, err = parseHop(hops[i]); err != nil {
			return nil, fmt.Errorf("%q: %w", hops[i], err)
		}
	}
	port := last.port
	if port == 0 {
		port = 22
	}
	if last.host == h.HostName && port == h.Port && or(last.user, h.User) == h.User {
		return nil, fmt.Errorf("jump host loop via %q", last.host)
	}
	return hops, nil
}

// addLocal adds the tokens that files' names may hold beside those of ProxyJump.
func (t tokens) addLocal(acct account, jumps []string) error {
	name, err := os.Hostname()
	if err != nil {
		return fmt.Errorf("looking up the local host name: %w", err)
	}
	t['l'] = name
	t['L'], _, _ = strings.Cut(name, ".")
	t['d'], t['u'], t['i'] = acct.home, acct.name, acct.uid
	t['j'] = ""
	if len(jumps) > 0 {
		last, _ := parseHop(jumps[len(jumps)-1])
		t['j'] = last.host
	}
	sum := sha1.Sum([]byte(t['l'] + t['h'] + t['p'] + t['r'] + t['j']))
	t['C'] = hex.EncodeToString(sum[:])
	return nil
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}
