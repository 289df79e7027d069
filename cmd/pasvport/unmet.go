package main

import (
	"errors"
	"log/slog"
	"slices"
	"sync"

	"github.com/pasvport/pasvport/sshconf"
	"github.com/pasvport/pasvport/tunnel"
)

// unmet is what the configuration asks for and is not honoured, by host: the
// destination and the hops before it.
type unmet struct {
	log *slog.Logger

	mu    sync.Mutex
	notes map[string][]sshconf.Note
}

func newUnmet(log *slog.Logger) *unmet {
	return &unmet{log: log, notes: make(map[string][]sshconf.Note)}
}

// add keeps h's notes and logs them, once a host.
func (u *unmet) add(h *sshconf.Host) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if _, ok := u.notes[h.Alias]; ok {
		return
	}
	u.notes[h.Alias] = h.Notes
	for _, note := range h.Notes {
		u.log.Info("ssh configuration", "host", h.Alias, "note", note.Text)
	}
}

// reasons are the options that may be why ssh gets in where pasvport does not.
var reasons = []struct {
	keyword  string
	explains func(error) (host string, ok bool)
}{
	{"gssapiauthentication", serverTakes("gssapi-with-mic")},
	{"hostbasedauthentication", serverTakes("hostbased")},
	{"pkcs11provider", serverTakes("publickey")},
	{"securitykeyprovider", serverTakes("publickey")},
	{"verifyhostkeydns", unknownKey},
}

// serverTakes is for a login that failed where the server would have taken method.
func serverTakes(method string) func(error) (string, bool) {
	return func(err error) (string, bool) {
		e, ok := errors.AsType[*tunnel.AuthError](err)
		if !ok {
			return "", false
		}
		return e.Host, slices.Contains(e.Allowed, method)
	}
}

func unknownKey(err error) (string, bool) {
	e, ok := errors.AsType[*tunnel.HostKeyError](err)
	if !ok {
		return "", false
	}
	return e.Host, e.File == "" && !e.Revoked
}

// hints names the options that may be behind err.
func (u *unmet) hints(err error) []string {
	u.mu.Lock()
	defer u.mu.Unlock()
	var hints []string
	for _, r := range reasons {
		host, ok := r.explains(err)
		if !ok {
			continue
		}
		for _, note := range u.notes[host] {
			if note.Keyword == r.keyword {
				hints = append(hints, note.Text+"; --via-ssh lets the system's ssh log in")
			}
		}
	}
	return hints
}
