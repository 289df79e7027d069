package sshconf

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
)

// version is what "Match version" is held against: the newest ssh whose
// keywords and criteria are known here.
const version = "OpenSSH_10.2"

// criteria are the conditions of a Match line that take an argument.
var criteria = map[string]func(*parser, string) (bool, error){
	"host":         func(p *parser, arg string) (bool, error) { return p.matchHost(p.hostName(), arg) },
	"originalhost": func(p *parser, arg string) (bool, error) { return p.matchHost(p.original, arg) },
	"user":         func(p *parser, arg string) (bool, error) { return p.matchList(p.user(), arg) },
	"localuser":    func(p *parser, arg string) (bool, error) { return p.matchList(p.acct.name, arg) },
	"localnetwork": (*parser).matchNetwork,
	"tagged":       func(p *parser, arg string) (bool, error) { return p.matchList(p.o.get("tag"), arg) },
	"version":      func(p *parser, arg string) (bool, error) { return p.matchList(version, arg) },
	// A tunnel has no session, as with ssh -N.
	"sessiontype": func(p *parser, arg string) (bool, error) { return p.matchList("none", arg) },
	"command":     func(p *parser, arg string) (bool, error) { return p.matchList("", arg) },
}

// matchBlock begins a block under conditions, all of which have to hold.
func (p *parser) matchBlock(sc *scope, l *line) error {
	matched, err := p.matchLine(l, sc.never)
	if err != nil {
		return fmt.Errorf("match: %w", err)
	}
	sc.active = matched && !sc.never
	return nil
}

// matchLine goes through the conditions one by one. Each is looked at even if an
// earlier one failed, for its syntax; but then, and where the outcome does not
// count, no command is run.
func (p *parser) matchLine(l *line, never bool) (bool, error) {
	rest, seen, matched := l.rest, 0, true
	next := func() (word string, err error) {
		word, rest, err = cutKeyword(rest)
		if strings.HasPrefix(word, "#") {
			word, rest = "", "" // a comment
		}
		return word, err
	}
	for rest != "" {
		name, err := next()
		if err != nil {
			return false, err
		}
		if name == "" {
			break
		}
		bare, negated := strings.CutPrefix(strings.ToLower(name), "!")
		holds := false
		switch seen++; bare {
		case "all":
			if arg, err := next(); seen > 2 || arg != "" || err != nil {
				return false, fmt.Errorf("%q cannot be combined with other conditions", name)
			}
			matched = matched && !negated
			return matched, endOfMatch(rest)
		case "final", "canonical":
			p.again = p.again || bare == "final"
			holds = p.final
		case "exec":
			holds, err = p.matchExec(next, matched && !never)
		default:
			holds, err = p.matchCriterion(bare, next)
		}
		if err != nil {
			return false, err
		}
		matched = matched && holds != negated
	}
	if seen == 0 {
		return false, errors.New("missing condition")
	}
	return matched, endOfMatch(rest)
}

func endOfMatch(rest string) error {
	if rest != "" {
		return fmt.Errorf("extra arguments at end of line: %.100q", rest)
	}
	return nil
}

func (p *parser) matchCriterion(name string, next func() (string, error)) (bool, error) {
	holds, ok := criteria[name]
	arg, err := next()
	switch {
	case err != nil:
		return false, err
	case !ok:
		return false, fmt.Errorf("unsupported condition %q: expected all, final, canonical, exec, host, originalhost, "+
			"user, localuser, localnetwork, tagged, version, sessiontype or command", name)
	case arg == "":
		return false, fmt.Errorf("missing argument for %s", name)
	}
	return holds(p, arg)
}

// matchExec runs a command if it has to.
func (p *parser) matchExec(next func() (string, error), needed bool) (bool, error) {
	arg, err := next()
	if err == nil && arg == "" {
		err = errors.New("missing argument for exec")
	}
	if err != nil {
		return false, err
	}
	toks, err := p.tokens()
	if err != nil {
		return false, err
	}
	command, err := expand(arg, toks, onlyTokens)
	if err != nil || !needed {
		return false, err
	}
	return p.run(command)
}

// hostName is the name to connect to as far as it is known, within the parsing.
func (p *parser) hostName() string {
	said := p.o.get("hostname")
	if said == "" || p.final {
		return cmp.Or(said, p.host)
	}
	name, err := expand(said, tokens{'h': p.host}, onlyTokens)
	if err != nil {
		return "" // told when the file is read
	}
	return name
}

func (p *parser) user() string { return cmp.Or(p.o.get("user"), p.acct.name) }

// tokens are those in force at this place of the files.
func (p *parser) tokens() (tokens, error) {
	if said := p.o.get("hostname"); said != "" && !p.final {
		if _, err := expand(said, tokens{'h': p.host}, onlyTokens); err != nil {
			return nil, fmt.Errorf("hostname: %w", err)
		}
	}
	host := p.hostName()
	port, _ := parsePort(p.o.get("port"))
	return newTokens(p.acct, remote{
		host: host, alias: p.original, keyAlias: cmp.Or(p.o.get("hostkeyalias"), host),
		user: p.user(), port: port, jump: lastHop(p.o.get("proxyjump")),
	})
}

// matchHost ignores case, as host names do.
func (p *parser) matchHost(host, list string) (bool, error) {
	return p.matchList(lower(host), lower(list))
}

// matchNetwork says that an interface has an address in one of the networks.
func (p *parser) matchNetwork(list string) (bool, error) {
	var prefixes []netip.Prefix
	for s := range strings.SplitSeq(list, ",") {
		prefix, err := netip.ParsePrefix(s)
		if addr, bare := netip.ParseAddr(s); bare == nil {
			prefix, err = netip.PrefixFrom(addr, addr.BitLen()), nil
		}
		if err != nil || prefix != prefix.Masked() {
			return false, fmt.Errorf("localnetwork: bad network %q: expected one like 192.0.2.0/24", s)
		}
		prefixes = append(prefixes, prefix)
	}
	addrs, err := p.networks()
	if err != nil {
		return false, fmt.Errorf("localnetwork: %w", err)
	}
	for _, s := range addrs {
		addr, err := netip.ParseAddr(s)
		for _, prefix := range prefixes {
			if err == nil && prefix.Contains(addr.WithZone("")) {
				return true, nil
			}
		}
	}
	return false, nil
}

// networks are the addresses of the interfaces that are up.
func networks() ([]string, error) {
	interfaces, err := net.Interfaces()
	if err != nil {
		return nil, err
	}
	var found []string
	for _, i := range interfaces {
		if i.Flags&net.FlagUp == 0 {
			continue
		}
		addrs, err := i.Addrs()
		if err != nil {
			return nil, err
		}
		for _, addr := range addrs {
			if n, ok := addr.(*net.IPNet); ok {
				found = append(found, n.IP.String())
			}
		}
	}
	return found, nil
}

// runner runs the commands of Match exec in the user's shell. What they print
// goes nowhere, what they complain of to stderr.
func runner(stderr io.Writer) func(string) (bool, error) {
	return func(command string) (bool, error) {
		cmd := exec.Command(cmp.Or(os.Getenv("SHELL"), "/bin/sh"), "-c", command)
		cmd.Stderr = stderr
		err := cmd.Run()
		if exit := (*exec.ExitError)(nil); errors.As(err, &exit) && exit.Exited() {
			return false, nil
		}
		if err != nil {
			return false, fmt.Errorf("exec %q: %w", command, err)
		}
		return true, nil
	}
}
