package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// A Forward is what one of Listen asks for.
type Forward struct {
	Bind   string // host:port here
	Server string // host:port of the FTP server, as the SSH server sees it; "" if it was not named
}

// Where Listen says nothing. 127.0.0.1 and not localhost: PermitOpen compares
// literally, and PASV needs IPv4.
const (
	DefaultHost = "127.0.0.1"
	DefaultBind = DefaultHost + ":2121"

	defaultFTPHost = "127.0.0.1"
	defaultFTPPort = "21"
)

// ParseForward reads [bind:]port[:ftphost[:ftpport]]. IPv6 addresses stand in
// brackets; a first field of digits alone is the port. The error does not repeat text.
func ParseForward(text string) (Forward, error) {
	fields, err := splitForward(text)
	if err != nil {
		return Forward{}, err
	}
	bind := DefaultHost
	if !digits(fields[0]) {
		bind, fields = fields[0], fields[1:]
	}
	if bind == "*" {
		bind = ""
	}
	if len(fields) == 0 {
		return Forward{}, errors.New("no port")
	}
	port := fields[0]
	if !validPort(port, 0) {
		return Forward{}, fmt.Errorf("%q is no port", port)
	}
	if len(fields) == 1 {
		return Forward{Bind: net.JoinHostPort(bind, port)}, nil
	}
	host, ftpPort := defaultFTPHost, defaultFTPPort
	if fields[1] != "" {
		host = fields[1]
	}
	if len(fields) > 2 {
		ftpPort = fields[2]
	}
	switch {
	case len(fields) > 3:
		return Forward{}, errors.New("too many fields")
	case !validPort(ftpPort, 1):
		return Forward{}, fmt.Errorf("%q is no port", ftpPort)
	case strings.ContainsFunc(host, func(r rune) bool { return r <= ' ' || r == 0x7f }):
		return Forward{}, fmt.Errorf("%q is no host", host)
	case digits(host):
		return Forward{}, fmt.Errorf("%q is no host; for a port write %s:%s:%s", host, port, defaultFTPHost, host)
	}
	return Forward{net.JoinHostPort(bind, port), net.JoinHostPort(host, ftpPort)}, nil
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

// onLoopback tells whether Bind is for this machine alone. It looks a name up.
func (f Forward) onLoopback() (bool, error) {
	addr, err := net.ResolveTCPAddr("tcp", f.Bind)
	if err != nil {
		return false, err
	}
	return addr.IP.IsLoopback(), nil
}

// maybeOnLoopback is onLoopback without looking names up: they may be.
func (f Forward) maybeOnLoopback() (bool, error) {
	host, _, _ := net.SplitHostPort(f.Bind)
	ip, err := netip.ParseAddr(host)
	return host != "" && err != nil || ip.IsLoopback(), nil
}
