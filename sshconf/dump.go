package sshconf

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// ServerAliveDefault is what Dump shows for a ServerAliveInterval that was not
// said: ssh sends no keepalives then, a tunnel that has to know of its end does.
const ServerAliveDefault = 10 * time.Second

// Dump returns what h says in the form of "ssh -G": keyword, blank and value, in
// ssh's order, those with several values on several lines. As there, file names
// and commands stand as they were said but for those that ssh has expanded by
// then. Algorithms are the lists in force by keyword in lower case; keywords that
// it has not are left out. Of a Host that is no Resolver's it shows nothing.
func (h *Host) Dump(algorithms map[string][]string) []string {
	if h.shown == nil {
		return nil
	}
	lines := []string{"host " + h.Alias}
	for _, k := range keywords {
		words, ok := h.shown[k.name]
		list, algorithm := algorithms[k.name]
		switch {
		case algorithm:
			lines = append(lines, k.name+" "+strings.Join(list, ","))
		case isAlgorithms[k.name]:
		case ok && k.many:
			for _, s := range words {
				lines = append(lines, k.name+" "+s)
			}
		case ok:
			lines = append(lines, k.name+" "+strings.Join(words, " "))
		}
	}
	return lines
}

// isAlgorithms are the keywords whose values are the caller's to tell.
var isAlgorithms = names(`
	Ciphers MACs KexAlgorithms HostKeyAlgorithms HostbasedAcceptedAlgorithms
	PubkeyAcceptedAlgorithms CASignatureAlgorithms
`)

// notShown are parsed, and not printed by ssh -G or only by some.
var notShown = names("GSSAPIAuthentication GSSAPIDelegateCredentials RefuseConnection")

// clearedByNone are those that "none" takes back.
var clearedByNone = names(`
	LocalCommand RemoteCommand ProxyCommand ControlPath RevokedHostKeys PKCS11Provider
	SecurityKeyProvider KnownHostsCommand Tag
`)

// show makes what Dump prints: what was said, ssh's defaults for the rest, and
// what has been resolved or expanded.
func (o options) show(h *Host, expanded map[string]string) map[string][]string {
	shown := make(map[string][]string)
	for _, k := range keywords {
		switch v := o[k.name]; {
		case notShown[k.name]:
		case clearedByNone[k.name] && isNone(o.get(k.name)):
		case o.has(k.name) && v.words != nil:
			shown[k.name] = slices.Clone(v.words)
		case k.usual != "":
			shown[k.name] = []string{k.usual}
		}
	}
	put := func(name string, words ...string) { shown[name] = words }
	put("user", h.User)
	put("hostname", h.HostName)
	put("port", strconv.Itoa(h.Port))
	if _, ok := shown["updatehostkeys"]; !ok {
		put("updatehostkeys", o.updateHostKeys())
	}
	alive := h.ServerAliveInterval
	if alive < 0 {
		alive = ServerAliveDefault
	}
	put("serveraliveinterval", strconv.Itoa(int(alive/time.Second)))
	put("rekeylimit", cmp.Or(o.get("rekeylimit bytes"), "0"), cmp.Or(o.get("rekeylimit time"), "0"))
	if h.HostKeyAlias != "" {
		put("hostkeyalias", h.HostKeyAlias)
	}
	for name, value := range expanded {
		put(name, value)
	}
	put("userknownhostsfile", cmp.Or(strings.Join(h.UserKnownHostsFiles, " "), "none"))
	if _, ok := shown["globalknownhostsfile"]; !ok {
		put("globalknownhostsfile", h.GlobalKnownHostsFiles...)
	} else if isNone(o.get("globalknownhostsfile")) {
		put("globalknownhostsfile", "none")
	}
	if len(o["identityfile"].words) == 0 {
		put("identityfile", defaultIdentities...)
	}
	switch jumps := o.get("proxyjump"); {
	case jumps == "" || jumps == "none":
		delete(shown, "proxyjump")
	default:
		delete(shown, "proxycommand")
		put("proxyjump", showJumps(jumps))
	}
	return shown
}

// updateHostKeys is on where nobody has said who else keeps the host keys.
func (o options) updateHostKeys() string {
	files := o["userknownhostsfile"].words
	usual := len(files) == 0 || len(files) == 1 && files[0] == "~/.ssh/known_hosts"
	if o.get("verifyhostkeydns") == "false" && usual {
		return "true"
	}
	return "false"
}

// showJumps writes hops as ssh does, which has taken apart the last one only.
func showJumps(jumps string) string {
	i := strings.LastIndexByte(jumps, ',') + 1
	last, _ := parseHop(jumps[i:])
	s := last.host
	if strings.Contains(s, ":") || strings.Trim(s, "0123456789.") == "" {
		s = "[" + s + "]"
	}
	if last.user != "" {
		s = last.user + "@" + s
	}
	if last.port > 0 {
		s += ":" + strconv.Itoa(last.port)
	}
	return jumps[:i] + s
}
