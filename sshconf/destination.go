package sshconf

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// target is a destination or hop taken apart; "" and 0 where nothing was said.
type target struct {
	user, host string
	port       int
}

// parseDestination takes "[user@]host" or an ssh URI. A colon is part of the
// host, as in ssh, so IPv6 addresses stand without brackets.
func parseDestination(s string) (target, error) {
	if uri, ok := strings.CutPrefix(s, "ssh://"); ok {
		return parseURI(uri)
	}
	t, err := cutUser(s)
	if err == nil && t.host == "" {
		err = errors.New("no host name")
	}
	return t, err
}

// parseHop takes "[user@]host[:port]" or an ssh URI.
func parseHop(s string) (target, error) {
	if uri, ok := strings.CutPrefix(s, "ssh://"); ok {
		return parseURI(uri)
	}
	t, err := cutUser(s)
	if err != nil {
		return t, err
	}
	host, rest, err := cutHost(t.host)
	if err != nil {
		return t, err
	}
	t.host = host
	switch {
	case strings.HasPrefix(rest, "/"):
		return t, errors.New("a path has no place here")
	case len(rest) > 1:
		t.port, err = parsePort(rest[1:])
	}
	return t, err
}

// parseURI takes what follows "ssh://": "[user[;parameters]@]host[:port][/]".
func parseURI(s string) (target, error) {
	var t target
	var err error
	if u, rest, ok := strings.Cut(s, "@"); ok {
		u, _, _ = strings.Cut(u, ";")
		if t.user, err = url.QueryUnescape(u); err != nil {
			return t, err
		}
		if t.user == "" {
			return t, errors.New("no user name before @")
		}
		s = rest
	}
	host, rest, err := cutHost(s)
	if err != nil {
		return t, err
	}
	if !validDomain(host) {
		if _, err := netip.ParseAddr(host); err != nil {
			return t, fmt.Errorf("%q is not a host name", host)
		}
	}
	t.host = strings.TrimSuffix(host, ".")
	port, path, _ := strings.Cut(rest, "/")
	if path != "" {
		return t, errors.New("a path has no place here")
	}
	if len(port) > 1 {
		t.port, err = parsePort(port[1:])
	}
	return t, err
}

// cutUser takes off what stands before the last @.
func cutUser(s string) (target, error) {
	i := strings.LastIndexByte(s, '@')
	switch {
	case i < 0:
		return target{host: s}, nil
	case i == 0:
		return target{}, errors.New("no user name before @")
	}
	return target{user: s[:i], host: s[i+1:]}, nil
}

// cutHost cuts s behind the host, at ":" or "/", and takes off its brackets.
func cutHost(s string) (host, rest string, err error) {
	end := strings.IndexAny(s, ":/")
	if strings.HasPrefix(s, "[") {
		end = strings.IndexByte(s, ']') + 1
		if end == 0 || end < len(s) && s[end] != ':' && s[end] != '/' {
			return "", "", errors.New("brackets do not match")
		}
	}
	if end < 0 {
		end = len(s)
	}
	host, rest = s[:end], s[end:]
	if strings.HasPrefix(host, "[") {
		host = host[1 : len(host)-1]
	}
	if host == "" {
		return "", "", errors.New("no host name")
	}
	return host, rest, nil
}

// parsePort takes a number or the name of a TCP service.
func parsePort(s string) (int, error) {
	n, err := parseInt(s, 65535)
	if errors.Is(err, strconv.ErrSyntax) {
		n, err = net.LookupPort("tcp", s)
	}
	if err != nil || n <= 0 {
		return 0, fmt.Errorf("bad port %q", s)
	}
	return n, nil
}

// canonical writes addresses in one way, and names in lower case.
func canonical(host string) string {
	if a, err := netip.ParseAddr(host); err == nil {
		return a.String()
	}
	if a, ok := classicAddr(host); ok {
		return a.String()
	}
	return lower(host)
}

// lower leaves all but ASCII as it is, like the C library in its plain locale:
// host names need not be UTF-8.
func lower(s string) string {
	b := []byte(s)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c | 0x20
		}
	}
	return string(b)
}

func isAddress(host string) bool {
	_, err := netip.ParseAddr(host)
	_, ok := classicAddr(host)
	return err == nil || ok
}

// classicAddr reads what inet_aton(3) takes for an IPv4 address besides the
// usual form: fewer than four numbers, octal and hexadecimal ones ("127.1").
func classicAddr(s string) (netip.Addr, bool) {
	parts := strings.Split(s, ".")
	if len(parts) > 4 {
		return netip.Addr{}, false
	}
	var addr uint64
	for i, part := range parts {
		bits, base, digits := 8, 10, part
		if i == len(parts)-1 {
			bits = 8 * (4 - i) // the last number fills what is left
		}
		if len(part) > 1 && part[0] == '0' {
			base, digits = 8, part[1:]
			if digits[0] == 'x' || digits[0] == 'X' {
				base, digits = 16, digits[1:]
			}
		}
		n, err := strconv.ParseUint(digits, base, bits)
		if err != nil {
			return netip.Addr{}, false
		}
		addr = addr<<bits | n
	}
	return netip.AddrFrom4([4]byte{byte(addr >> 24), byte(addr >> 16), byte(addr >> 8), byte(addr)}), true
}

// validHost refuses what ssh refuses in a host name: what a shell, an option
// parser or known_hosts would take for something else.
func validHost(s string) bool {
	return s != "" && len(s) <= maxHost && s[0] != '-' &&
		!strings.ContainsAny(s, "'`\"$\\;&<>|(){}, ") && !strings.ContainsFunc(s, isControl)
}

const maxHost = 1024 // NI_MAXHOST

// validUser does so for a user name from the command line or a hop.
func validUser(s string) bool {
	return !strings.HasPrefix(s, "-") && !strings.ContainsAny(s, "'`\";&<>|(){}") &&
		!strings.Contains(s, " -") && !strings.HasSuffix(s, `\`) && !strings.ContainsFunc(s, isControl)
}

// lastHop is the host of the last of several hops, "" for none.
func lastHop(jumps string) string {
	if jumps == "none" {
		return ""
	}
	last, _ := parseHop(jumps[strings.LastIndexByte(jumps, ',')+1:])
	return last.host
}

func isControl(r rune) bool { return r < ' ' || r == 0x7f }

// validDomain is stricter: only what may be part of a URI.
func validDomain(s string) bool {
	isAlnum := func(c byte) bool { return '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'z' }
	if s == "" || !isAlnum(s[0]) || strings.Contains(s, "..") {
		return false
	}
	for i := range len(s) {
		if !isAlnum(s[i]) && strings.IndexByte(".-_", s[i]) < 0 {
			return false
		}
	}
	return true
}
