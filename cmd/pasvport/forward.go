package main

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// forward is what one -L asks for.
type forward struct {
	bind   string // host:port here
	server string // host:port of the FTP server, as the SSH server sees it
}

// Where -L says nothing. 127.0.0.1 and not localhost: PermitOpen compares
// literally, and PASV needs IPv4.
const (
	defaultBind    = "127.0.0.1"
	defaultPort    = "2121"
	defaultFTPHost = "127.0.0.1"
	defaultFTPPort = "21"
)

// parseForward reads [bind:]port[:ftphost[:ftpport]]. IPv6 addresses stand in
// brackets; a first field of digits alone is the port.
func parseForward(text string) (forward, error) {
	bad := func(why string) (forward, error) {
		return forward{}, usagef(fmt.Sprintf("-L %s: %s", text, why), "-L takes [bind:]port[:ftphost[:ftpport]], for example -L 2121:10.0.0.5:21")
	}
	fields, err := splitForward(text)
	if err != nil {
		return bad(err.Error())
	}
	bind := defaultBind
	if !digits(fields[0]) {
		bind, fields = fields[0], fields[1:]
	}
	if bind == "*" {
		bind = ""
	}
	if len(fields) == 0 {
		return bad("no port")
	}
	host, ftpPort := defaultFTPHost, defaultFTPPort
	port := fields[0]
	if len(fields) > 1 && fields[1] != "" {
		host = fields[1]
	}
	if len(fields) > 2 {
		ftpPort = fields[2]
	}
	switch {
	case len(fields) > 3:
		return bad("too many fields")
	case !validPort(port, 0):
		return bad(fmt.Sprintf("%q is no port", port))
	case !validPort(ftpPort, 1):
		return bad(fmt.Sprintf("%q is no port", ftpPort))
	case strings.ContainsFunc(host, func(r rune) bool { return r <= ' ' || r == 0x7f }):
		return bad(fmt.Sprintf("%q is no host", host))
	case digits(host):
		return bad(fmt.Sprintf("%q is no host; for a port write %s:%s:%s", host, port, defaultFTPHost, host))
	}
	return forward{bind: net.JoinHostPort(bind, port), server: net.JoinHostPort(host, ftpPort)}, nil
}

// splitForward cuts at the colons outside of brackets, and removes these.
func splitForward(text string) ([]string, error) {
	var fields []string
	for {
		var field string
		if rest, ok := strings.CutPrefix(text, "["); ok {
			if field, text, ok = strings.Cut(rest, "]"); !ok {
				return nil, fmt.Errorf("%q is not closed", "[")
			}
			if _, err := netip.ParseAddr(field); err != nil {
				return nil, fmt.Errorf("%q is no IPv6 address", field)
			}
			if text != "" && text[0] != ':' {
				return nil, fmt.Errorf("%q after %q", text, "]")
			}
		} else if i := strings.IndexByte(text, ':'); i >= 0 {
			field, text = text[:i], text[i:]
		} else {
			field, text = text, ""
		}
		fields = append(fields, field)
		if text == "" {
			return fields, nil
		}
		text = text[1:]
	}
}

func digits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

func validPort(s string, lowest uint64) bool {
	n, err := strconv.ParseUint(s, 10, 16)
	return err == nil && n >= lowest
}

// onLoopback tells whether bind's address is for this machine alone.
func (f forward) onLoopback() (bool, error) {
	addr, err := net.ResolveTCPAddr("tcp", f.bind)
	if err != nil {
		return false, err
	}
	return addr.IP.IsLoopback(), nil
}
