package config

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/pasvport/pasvport/ftpmux"
)

// What becomes of TLS with the FTP server.
const (
	TLSRefuse   = "refuse"   // the client's, and there is none
	TLSUpstream = "upstream" // pasvport speaks it to the server
)

// A Key is the name of a setting in config.toml.
type Key string

// Words are a sentence of strings and Keys. A Key in it is told as where it stands: as
// itself in a file, as a flag on the command line.
type Words []any

// Say puts the words together; name says how keys are told.
func (w Words) Say(name func(Key) string) string {
	var b strings.Builder
	for _, part := range w {
		if key, ok := part.(Key); ok {
			part = name(key)
		}
		fmt.Fprint(&b, part)
	}
	return b.String()
}

// A SettingError is a setting that cannot be.
type SettingError struct {
	Key  Key // of those that it is about the one to look at
	Text Words
	Hint Words // may be empty
}

// Error is for files.
func (e *SettingError) Error() string {
	return e.Text.Say(func(k Key) string { return string(k) })
}

// Check tells the first that cannot be of the settings but Listen and Server, as a
// *SettingError. Forwards tells of these.
func (t *Tunnel) Check() error {
	if broken := t.broken(); len(broken) > 0 {
		return broken[0]
	}
	return nil
}

// broken lists what Check looks for.
func (t *Tunnel) broken() (all []*SettingError) {
	refuse := func(is bool, key Key, words ...any) {
		if is {
			all = append(all, &SettingError{Key: key, Text: words})
		}
	}
	modes := []ftpmux.DataMode{"", ftpmux.Auto, ftpmux.Passive, ftpmux.Active}
	refuse(!slices.Contains(modes, ftpmux.DataMode(t.Data)), "data", Key("data"), fmt.Sprintf(" %q is none of auto, passive and active", t.Data))
	refuse(!slices.Contains([]string{"", TLSRefuse, TLSUpstream}, t.TLS), "tls", Key("tls"), fmt.Sprintf(" %q is none of refuse and upstream", t.TLS))
	noTLS := t.TLS == "" || t.TLS == TLSRefuse
	refuse(noTLS && t.TLSCA != "", "tls_ca", Key("tls_ca"), " is for ", Key("tls"), " upstream")
	refuse(noTLS && t.TLSServerName != "", "tls_server_name", Key("tls_server_name"), " is for ", Key("tls"), " upstream")
	refuse(noTLS && t.TLSInsecure, "tls_insecure", Key("tls_insecure"), " is for ", Key("tls"), " upstream")
	refuse(t.TLSInsecure && t.TLSCA != "", "tls_insecure", Key("tls_insecure"), " and ", Key("tls_ca"), " exclude each other")
	refuse(t.Grace != nil && *t.Grace < 0, "grace", Key("grace"), fmt.Sprintf(" %v is negative", time.Duration(deref(t.Grace))))
	refuse(t.IPv4 && t.IPv6, "ipv6", Key("ipv4"), " and ", Key("ipv6"), " exclude each other")
	refuse(t.Connections < 0 || t.Connections > MaxConnections, "connections", Key("connections"), fmt.Sprintf(" %d is not from 1 to %d", t.Connections, MaxConnections))
	refuse(t.Verbose < 0, "verbose", Key("verbose"), fmt.Sprintf(" %d is negative", t.Verbose))
	numeric := t.Port != "" && strings.Trim(t.Port, "+-0123456789") == "" // else it may be a service's name
	refuse(numeric && !validPort(t.Port, 1), "port", Key("port"), fmt.Sprintf(": bad port %q", t.Port))
	return all
}

func deref(d *Duration) (zero Duration) {
	if d == nil {
		return zero
	}
	return *d
}

// Forwards are where to listen, and for which servers; the one on bind, host:port, if
// Listen is empty. It looks up names of this machine. The error is a *SettingError.
func (t *Tunnel) Forwards(bind string) ([]Forward, error) {
	forwards, broken := t.forwards(bind, Forward.onLoopback)
	if len(broken) > 0 {
		return nil, broken[0]
	}
	return forwards, nil
}

// forwards lists them and all that is wrong with them.
func (t *Tunnel) forwards(bind string, onLoopback func(Forward) (bool, error)) (all []Forward, broken []*SettingError) {
	server, e := t.server()
	if e != nil {
		return nil, []*SettingError{e}
	}
	if len(t.Listen) == 0 {
		all = append(all, Forward{bind, server})
	}
	for _, text := range t.Listen {
		f, e := t.forward(text, onLoopback)
		if e != nil {
			broken = append(broken, e)
			continue
		}
		if f.Server == "" {
			f.Server = server
		}
		all = append(all, f)
	}
	for _, f := range all {
		if ftpmux.DataMode(t.Data) == ftpmux.Active && !ftpmux.OnLoopback(f.Server) {
			broken = append(broken, &SettingError{
				Key:  "data",
				Text: Words{Key("data"), " active cannot work with " + f.Server},
				Hint: Words{"sshd listens for the FTP server on its loopback only; the server must be reached at 127.0.0.1, ::1 or localhost"},
			})
		}
	}
	return all, broken
}

// forward reads one of Listen.
func (t *Tunnel) forward(text string, onLoopback func(Forward) (bool, error)) (Forward, *SettingError) {
	f, err := ParseForward(text)
	if err != nil {
		return f, &SettingError{
			Key:  "listen",
			Text: Words{Key("listen"), fmt.Sprintf(" %s: %v", text, err)},
			Hint: Words{Key("listen"), " takes [bind:]port[:ftphost[:ftpport]], for example 2121:10.0.0.5:21"},
		}
	}
	if t.Gateway {
		return f, nil
	}
	near, err := onLoopback(f)
	switch {
	case err != nil:
		return f, &SettingError{Key: "listen", Text: Words{Key("listen"), fmt.Sprintf(" %s: %v", text, err)}}
	case !near:
		return f, &SettingError{
			Key:  "listen",
			Text: Words{Key("listen"), fmt.Sprintf(" %s listens beyond this machine", text)},
			Hint: Words{Key("gateway"), " allows that; FTP passwords then cross that network in plain"},
		}
	}
	return f, nil
}

// server is the FTP server where Listen does not name one.
func (t *Tunnel) server() (string, *SettingError) {
	if t.Server == "" {
		return net.JoinHostPort(defaultFTPHost, defaultFTPPort), nil
	}
	f, err := ParseForward("0:" + t.Server)
	if err != nil {
		return "", &SettingError{
			Key:  "server",
			Text: Words{Key("server"), fmt.Sprintf(" %q is no host[:port]", t.Server)},
			Hint: Words{"IPv6 addresses stand in brackets: [2001:db8::5]:21"},
		}
	}
	return f.Server, nil
}
