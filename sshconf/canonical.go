package sshconf

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
)

// canonicalize makes of a host name the one to go by, as CanonicalizeHostname
// and its companions ask for it. Only they have names looked up.
func (p *parser) canonicalize(host string) (string, error) {
	mode := p.o.get("canonicalizehostname")
	direct := p.o.cleared("proxycommand") == "" && !p.o.has("proxyjump") // "none" counts, as in ssh
	ours := direct || mode == "always"                                   // else it is for the proxy to say what the name means
	rules := p.cnameRules()
	if isAddress(host) {
		return canonical(host), nil
	}
	host = lower(host)
	if mode != "false" && ours && !strings.Contains(host, ":") {
		found, err := p.complete(host, rules)
		if found != "" || err != nil {
			return found, err
		}
	}
	if len(rules) == 0 || !ours {
		return host, nil
	}
	cname, err := p.look(host, true)
	switch {
	case err != nil && direct:
		return "", fmt.Errorf("looking up %q: %w", host, err)
	case err == nil && mode != "false":
		return follow(rules, host, cname), nil
	}
	return host, nil
}

// complete tries the domains on a name with few dots, and returns "" if it is
// in none of them.
func (p *parser) complete(host string, rules [][2]string) (string, error) {
	candidates := []string{host}
	if !strings.HasSuffix(host, ".") {
		dots, _ := parseInt(p.o.get("canonicalizemaxdots"), 1<<31)
		if strings.Count(host, ".") > dots {
			return "", nil
		}
		candidates = nil
		for _, domain := range p.o["canonicaldomains"].words {
			if isNone(domain) {
				break
			}
			candidates = append(candidates, host+"."+domain+".")
		}
	}
	for _, name := range candidates {
		if cname, err := p.look(name, len(rules) > 0); err == nil {
			return follow(rules, strings.TrimSuffix(name, "."), cname), nil
		}
	}
	if p.o.get("canonicalizefallbacklocal") == "no" {
		return "", fmt.Errorf("%q is in none of CanonicalDomains, and CanonicalizeFallbackLocal is no", host)
	}
	return "", nil
}

// cnameRules are those of CanonicalizePermittedCNAMEs: patterns for a name, and
// for what it may be an alias of.
func (p *parser) cnameRules() [][2]string {
	var rules [][2]string
	for _, s := range p.o["canonicalizepermittedcnames"].words {
		if source, target, ok := strings.Cut(s, ":"); ok {
			rules = append(rules, [2]string{source, target})
		}
	}
	return rules
}

// follow goes from a name to what it is an alias of, where a rule allows it.
func follow(rules [][2]string, name, cname string) string {
	allowed := func(rule [2]string) bool { return MatchList(name, rule[0]) && MatchList(cname, rule[1]) }
	if cname != "" && slices.ContainsFunc(rules, allowed) {
		return cname
	}
	return name
}

func (p *parser) look(name string, cname bool) (string, error) {
	family := map[string]string{"any": "ip", "inet": "ip4", "inet6": "ip6"}[p.o.get("addressfamily")]
	found, err := p.lookup(family, name, cname)
	return strings.TrimSuffix(found, "."), err
}

// lookup asks the system's resolver.
func lookup(family, name string, cname bool) (string, error) {
	ctx := context.Background()
	if _, err := net.DefaultResolver.LookupNetIP(ctx, family, name); err != nil {
		return "", err
	}
	if !cname {
		return "", nil
	}
	found, err := net.DefaultResolver.LookupCNAME(ctx, name)
	if err != nil {
		return "", nil // there, if under no other name
	}
	return found, nil
}
