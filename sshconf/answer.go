package sshconf

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

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

		HostKeyAlias:                     lower(o.get("hostkeyalias")),
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
	h.ControlPath = socketAtHand(h.ControlPath, toks)
	h.IdentityAgent = agentSocket(o.get("identityagent"), agent)

	shown := map[string]string{"controlpath": h.ControlPath, "identityagent": agent, "forwardagent": forwarded, "remotecommand": remote}
	maps.DeleteFunc(shown, func(_, value string) bool { return value == "" })
	return shown, nil
}

// socketAtHand is path, or what it is for an ssh before 9.6, which left the jump host
// out of %C, where only that is there.
func socketAtHand(path string, toks tokens) string {
	old := strings.ReplaceAll(path, toks['C'], toks.connection(""))
	if _, err := os.Lstat(path); old == path || err == nil {
		return path
	}
	if _, err := os.Lstat(old); err != nil {
		return path
	}
	return old
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
		return cmp.Or(os.Getenv(name), "none")
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
	if last.host == h.HostName && last.port == h.Port && cmp.Or(last.user, h.User) == h.User {
		return nil, fmt.Errorf("jump host loop via %q", last.host)
	}
	return hops, nil
}
