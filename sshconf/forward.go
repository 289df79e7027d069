package sshconf

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

var errForward = errors.New("bad forwarding: expected [address:]port host:port, or the name of a socket for either")

// forwardings are the keywords that ClearAllForwardings takes back.
var forwardings = names("DynamicForward LocalForward RemoteForward")

// forward checks a DynamicForward, LocalForward or RemoteForward and keeps it
// as ssh -G prints it. A remote one without a target is a dynamic one.
func forward(o options, name string, l *line) error {
	listen, err := l.next()
	if err != nil {
		return err
	}
	spec, dynamic := listen, name == "dynamicforward"
	switch {
	case dynamic:
	case len(l.args) > 0 && l.args[0] != "":
		spec += ":" + l.args[0]
		l.args = l.args[1:]
	case name == "localforward":
		return errors.New("missing target")
	default:
		dynamic = true
		l.args = l.args[min(1, len(l.args)):]
	}
	shown, err := parseForward(spec, dynamic, name == "remoteforward")
	if err != nil || !l.active {
		return err
	}
	const limit = 10000 // lest comparing them take long; ssh has none
	v := o[name]
	if len(v.words) == limit {
		return fmt.Errorf("more than %d", limit)
	}
	if !slices.Contains(v.words, shown) {
		v.words = append(v.words, shown)
	}
	if v.place == "" {
		v.place, v.text = l.place(), l.text()
	}
	o[name] = v
	return nil
}

// end is one end of a forwarding.
type end struct {
	host, port string
	named      bool   // there is a host, if an empty one
	path       string // of a socket, instead
}

func (e end) String() string {
	switch {
	case e.path != "":
		return e.path
	case !e.named:
		return e.port
	}
	return "[" + e.host + "]:" + e.port
}

// parseForward takes a forwarding whose parts are joined by colons.
func parseForward(spec string, dynamic, remote bool) (string, error) {
	spec, err := expand(spec, nil, onlyEnv)
	if err != nil {
		return "", err
	}
	if len(spec) > maxExpanded {
		return "", errForward
	}
	var parts []string
	for rest := strings.TrimLeft(spec, blanks+"\v\f"); rest != ""; {
		var part string
		if part, rest, err = cutForward(rest); err != nil || len(parts) == 4 {
			return "", errForward
		}
		parts = append(parts, part)
	}
	isPath := func(i int) bool { return i < len(parts) && strings.Contains(parts[i], "/") }
	var listen, target end
	switch n := len(parts); {
	case n == 1 && isPath(0), n == 2 && isPath(0) && isPath(1), n == 3 && isPath(0):
		listen.path, parts = parts[0], parts[1:]
	case n == 1, n == 2 && isPath(1), n == 3 && !isPath(2):
		listen.port, parts = parts[0], parts[1:]
	case n > 1:
		listen, parts = end{host: parts[0], port: parts[1], named: true}, parts[2:]
	}
	switch len(parts) {
	case 1:
		target.path = parts[0]
	case 2:
		target = end{host: parts[0], port: parts[1], named: true}
	}
	if dynamic != (len(parts) == 0) || listen == (end{}) ||
		!okPort(&listen, remote) || !dynamic && !okPort(&target, false) ||
		len(listen.host) >= maxHost || len(target.host) >= maxHost || len(listen.path) >= maxSocket || len(target.path) >= maxSocket {
		return "", errForward
	}
	switch {
	case dynamic && remote:
		return listen.String() + " [socks]:0", nil
	case dynamic:
		return listen.String(), nil
	}
	return listen.String() + " " + target.String(), nil
}

const maxSocket = 108 // sizeof(sockaddr_un.sun_path)

// okPort makes the port a number; 0 is for the server to choose.
func okPort(e *end, zero bool) bool {
	if e.path != "" {
		return true
	}
	if n, err := parseInt(e.port, 0); zero && err == nil && n == 0 {
		e.port = "0"
		return true
	}
	s, err := port(e.port)
	e.port = s
	return err == nil
}

// cutForward cuts s at the first colon that no backslash and no brackets hide.
func cutForward(s string) (part, rest string, err error) {
	if s[0] == '[' {
		part, rest, ok := strings.Cut(s[1:], "]")
		if !ok || rest != "" && rest[0] != ':' {
			return "", "", errForward
		}
		return part, strings.TrimPrefix(rest, ":"), nil
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == ':':
			return b.String(), s[i+1:], nil
		case s[i] == '\\' && i+1 == len(s):
			return "", "", errForward
		case s[i] == '\\':
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String(), "", nil
}
