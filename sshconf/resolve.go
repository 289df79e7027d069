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
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
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
	acct.home = or(r.Home, acct.home)
	p := &parser{o: make(options), acct: acct, outside: r.outside}
	p.system = or(p.system, "/etc/ssh")
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
	name, err := expand(or(p.o.get("hostname"), "%h"), tokens{'h': p.original}, onlyTokens)
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

// defaultIdentities are ssh's, but for the kinds that are gone: XMSS and DSA.
var defaultIdentities = []string{
	"~/.ssh/id_rsa", "~/.ssh/id_ecdsa", "~/.ssh/id_ecdsa_sk", "~/.ssh/id_ed25519", "~/.ssh/id_ed25519_sk",
}

// resolved makes the answer of what was said: defaults filled in, tokens
// expanded.
func (p *parser) resolved() (*Host, error) {
	o := p.o
	if text := o.cleared("refuseconnection"); text != "" {
		return nil, &RefusedError{Host: p.original, Place: o["refuseconnection"].place, Text: text}
	}
	if o.get("clearallforwardings") == "yes" {
		maps.DeleteFunc(o, func(name string, _ value) bool { return forwardings[name] })
	}
	h := o.plain()
	h.Alias, h.HostName, h.User = p.original, p.host, p.user()
	if strings.ContainsFunc(h.User, isControl) {
		return nil, fmt.Errorf("user name %q contains control characters", h.User)
	}
	if h.ConnectionAttempts < 1 {
		return nil, errors.New("ConnectionAttempts: expected 1 or more")
	}
	far, err := newTokens(p.acct, h.remote())
	if err != nil {
		return nil, err
	}
	if h.ProxyJump, err = o.jumps(h, far.far()); err != nil {
		return nil, fmt.Errorf("ProxyJump: %w", err)
	}
	if h.tokens, err = newTokens(p.acct, h.remote()); err != nil {
		return nil, err
	}
	shown, err := p.expandInto(h)
	if err != nil {
		return nil, err
	}
	h.Notes = append(p.notes, o.notes()...)
	h.shown = o.show(h, shown)
	return h, nil
}

// plain fills in what needs no expansion.
func (o options) plain() *Host {
	yes := func(name string) bool { s := o.get(name); return s == "yes" || s == "true" }
	n := func(name string) int { n, _ := strconv.Atoi(o.get(name)); return n }
	seconds := func(name string) time.Duration { return time.Duration(n(name)) * time.Second }
	list := func(name string) Algorithms { return Algorithms(o.get(name)) }
	h := &Host{
		Port: n("port"),
		Tag:  o.cleared("tag"),

		AddressFamily:      o.get("addressfamily"),
		BindAddress:        o.get("bindaddress"),
		BindInterface:      o.get("bindinterface"),
		ConnectTimeout:     seconds("connecttimeout"),
		ConnectionAttempts: n("connectionattempts"),
		TCPKeepAlive:       yes("tcpkeepalive"),
		ProxyUseFdpass:     yes("proxyusefdpass"),
		ControlMaster:      yesOrNo(o.get("controlmaster")),

		DefaultIdentities:            len(o["identityfile"].words) == 0,
		IdentitiesOnly:               yes("identitiesonly"),
		PubkeyAuthentication:         o.get("pubkeyauthentication") != "false",
		PasswordAuthentication:       yes("passwordauthentication"),
		KbdInteractiveAuthentication: yes("kbdinteractiveauthentication"),
		NumberOfPasswordPrompts:      n("numberofpasswordprompts"),
		PubkeyAcceptedAlgorithms:     list("pubkeyacceptedalgorithms"),
		BatchMode:                    yes("batchmode"),

		HostKeyAlias:                     strings.ToLower(o.get("hostkeyalias")),
		HashKnownHosts:                   yes("hashknownhosts"),
		KnownHostsCommand:                o.cleared("knownhostscommand"),
		StrictHostKeyChecking:            yesOrNo(o.get("stricthostkeychecking")),
		NoHostAuthenticationForLocalhost: yes("nohostauthenticationforlocalhost"),
		VerifyHostKeyDNS:                 yesOrNo(o.get("verifyhostkeydns")),
		RequiredRSASize:                  n("requiredrsasize"),
		HostKeyAlgorithms:                list("hostkeyalgorithms"),
		CASignatureAlgorithms:            list("casignaturealgorithms"),

		KexAlgorithms:       list("kexalgorithms"),
		Ciphers:             list("ciphers"),
		MACs:                list("macs"),
		ServerAliveInterval: seconds("serveraliveinterval"),
		ServerAliveCountMax: n("serveralivecountmax"),
	}
	if _, said := o["serveraliveinterval"]; !said {
		h.ServerAliveInterval = -time.Second
	}
	if s := o.get("preferredauthentications"); s != "" {
		h.PreferredAuthentications = strings.Split(s, ",")
	}
	_, bulk, _ := strings.Cut(o.get("ipqos"), " ")
	h.IPQoS, _, _ = parseQoS(bulk)
	h.RekeyLimit, _ = strconv.ParseUint(o.get("rekeylimit bytes"), 10, 64)
	h.AddKeysToAgent, h.AddKeysLifetime = o.addKeys()
	return h
}

// yesOrNo writes in the words of the manual what ssh -G calls true and false.
func yesOrNo(s string) string {
	switch s {
	case "true":
		return "yes"
	case "false":
		return "no"
	}
	return s
}

// addKeys takes apart what the setter of that name has made.
func (o options) addKeys() (string, time.Duration) {
	how, lifetime, _ := strings.Cut(o.get("addkeystoagent"), " ")
	if n, err := strconv.Atoi(how); err == nil {
		return "yes", time.Duration(n) * time.Second
	}
	n, _ := strconv.Atoi(lifetime)
	return yesOrNo(how), time.Duration(n) * time.Second
}

// expandInto fills in what may hold tokens, ~ and variables, and returns by
// keyword what ssh -G prints expanded.
func (p *parser) expandInto(h *Host) (map[string]string, error) {
	o, home, toks := p.o, p.acct.home, h.tokens
	system := func(name string) string { return filepath.Join(p.system, name) }
	for _, f := range []struct {
		keyword string
		into    *[]string
		toks    tokens
		usual   []string
	}{
		{"identityfile", &h.IdentityFiles, toks, defaultIdentities},
		{"certificatefile", &h.CertificateFiles, toks, nil},
		{"userknownhostsfile", &h.UserKnownHostsFiles, toks, []string{"~/.ssh/known_hosts", "~/.ssh/known_hosts2"}},
		{"globalknownhostsfile", &h.GlobalKnownHostsFiles, nil, []string{system("ssh_known_hosts"), system("ssh_known_hosts2")}},
	} {
		var err error
		if *f.into, err = paths(o[f.keyword].words, home, f.toks, f.usual...); err != nil {
			return nil, fmt.Errorf("%s: %w", f.keyword, err)
		}
	}

	var proxy, remote, agent, forwarded string
	if len(h.ProxyJump) == 0 {
		proxy = o.cleared("proxycommand")
	}
	if said := o.get("identityagent"); !isNone(said) {
		agent = said
	}
	for _, f := range []struct {
		keyword, said string
		into          *string
		toks          tokens
		file          bool // ~ and variables, too
	}{
		{"controlpath", o.cleared("controlpath"), &h.ControlPath, toks, true},
		{"revokedhostkeys", o.cleared("revokedhostkeys"), &h.RevokedHostKeys, toks, true},
		{"identityagent", agent, &agent, toks, true},
		{"forwardagent", o.get("forwardagent path"), &forwarded, toks, true},
		{"proxycommand", proxy, &h.ProxyCommand, toks.far(), false},
		{"remotecommand", o.cleared("remotecommand"), &remote, toks, false},
	} {
		var err error
		if f.file {
			*f.into, err = path(f.said, home, f.toks)
		} else {
			*f.into, err = expand(f.said, f.toks, onlyTokens)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.keyword, err)
		}
	}
	h.IdentityAgent = agentSocket(o.get("identityagent"), agent)

	shown := map[string]string{"controlpath": h.ControlPath, "identityagent": agent, "forwardagent": forwarded, "remotecommand": remote}
	maps.DeleteFunc(shown, func(_, value string) bool { return value == "" })
	return shown, nil
}

// notes tells what was asked for and is not honoured.
func (o options) notes() []Note {
	var notes []Note
	for _, k := range keywords {
		v, said := o[k.name]
		if !said || k.beyond == "" || o.get(k.name) == k.usual {
			continue
		}
		switch strings.Join(v.words, " ") {
		case "no", "none", "false":
			continue
		}
		notes = append(notes, Note{k.name, fmt.Sprintf("%s: %.200q is not honoured: %s", v.place, v.text, k.beyond)})
	}
	return notes
}

// agentSocket goes by an IdentityAgent: a path, which is there expanded, "none",
// or the variable that holds one, with or without a dollar sign.
func agentSocket(said, expanded string) string {
	name, isVariable := strings.CutPrefix(said, "$")
	switch {
	case said == "SSH_AUTH_SOCK":
		return ""
	case isNone(said):
		return "none"
	case isVariable && !strings.HasPrefix(name, "{"):
		return or(os.Getenv(name), "none")
	}
	return expanded
}

// path expands the name of a file. Without tokens it is ~ that is expanded and
// nothing else.
func path(said, home string, toks tokens) (string, error) {
	name, err := tilde(said, home)
	if err == nil && toks != nil {
		name, err = expand(name, toks, tokensAndEnv)
	}
	return name, err
}

// paths expands several, those said or else the usual ones, and leaves out
// "none".
func paths(said []string, home string, toks tokens, usual ...string) ([]string, error) {
	if len(said) == 0 {
		said = usual
	}
	var expanded []string
	for _, s := range said {
		if isNone(s) {
			continue
		}
		name, err := path(s, home, toks)
		if err != nil {
			return nil, err
		}
		expanded = append(expanded, name)
	}
	return expanded, nil
}

// jumps expands and splits ProxyJump, and refuses a host that is its own last hop.
func (o options) jumps(h *Host, toks tokens) ([]string, error) {
	said := o.get("proxyjump")
	if said == "" || said == "none" {
		return nil, nil
	}
	var hops []string
	var last target
	length := 0
	for hop := range strings.SplitSeq(said, ",") {
		hop, err := expand(hop, toks, onlyTokens)
		if err != nil {
			return nil, err
		}
		if last, err = parseHop(hop); err != nil {
			return nil, fmt.Errorf("%q: %w", hop, err)
		}
		if length += len(hop); length > maxExpanded {
			return nil, errors.New("too long when expanded")
		}
		hops = append(hops, hop)
	}
	if last.port == 0 {
		last.port = 22
	}
	if last.host == h.HostName && last.port == h.Port && or(last.user, h.User) == h.User {
		return nil, fmt.Errorf("jump host loop via %q", last.host)
	}
	return hops, nil
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}
