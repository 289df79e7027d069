package main

import (
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/pasvport/pasvport/sshconf"
	"github.com/pasvport/pasvport/tunnel"
)

// TestUnmetIsTheReason looks which of the notes become hints.
func TestUnmetIsTheReason(t *testing.T) {
	var log strings.Builder
	u := newUnmet(slog.New(slog.NewTextHandler(&log, nil)))
	prod := &sshconf.Host{Alias: "prod", Notes: []sshconf.Note{
		{Keyword: "gssapiauthentication", Text: "config:1: Kerberos"},
		{Keyword: "pkcs11provider", Text: "config:2: a card"},
		{Keyword: "hostbasedauthentication", Text: "config:3: the host"},
		{Keyword: "verifyhostkeydns", Text: "config:4: SSHFP"},
		{Keyword: "compression", Text: "config:5: yes"},
	}}
	u.add(prod)
	u.add(&sshconf.Host{Alias: "bastion"})
	u.add(prod)
	if got := strings.Count(log.String(), "level=INFO"); got != len(prod.Notes) || strings.Contains(log.String(), "level=WARN") {
		t.Errorf("the log is\n%s", &log)
	}
	login := func(host string, allowed ...string) error {
		return &sshError{err: &tunnel.AuthError{Host: host, Allowed: allowed, Err: errors.New("no")}}
	}
	for _, test := range []struct {
		name string
		err  error
		want string // lines that are named
	}{
		{"Kerberos", login("prod", "gssapi-with-mic", "password"), "config:1"},
		{"a card", login("prod", "publickey"), "config:2"},
		{"several", login("prod", "publickey", "gssapi-with-mic", "hostbased"), "config:1 config:3 config:2"},
		{"none of them", login("prod", "password"), ""},
		{"another host", login("bastion", "publickey"), ""},
		{"unknown key", &tunnel.HostKeyError{Host: "prod"}, "config:4"},
		{"changed key", &tunnel.HostKeyError{Host: "prod", File: "known_hosts"}, ""},
		{"no connection", &tunnel.ConnectError{Host: "prod", Err: errors.New("no")}, ""},
	} {
		var got []string
		for _, hint := range u.hints(test.err) {
			place, _, _ := strings.Cut(hint, ": ")
			if strings.Contains(hint, "--via-ssh") {
				got = append(got, place)
			}
		}
		if strings.Join(got, " ") != test.want {
			t.Errorf("%s: hints on %q, want %q", test.name, got, test.want)
		}
	}
}

// TestUnasked looks who is told that nobody was asked.
func TestUnasked(t *testing.T) {
	batch, plain := &sshconf.Host{BatchMode: true}, &sshconf.Host{}
	login := &tunnel.AuthError{Err: errors.New("no")}
	for _, test := range []struct {
		name   string
		err    error
		host   *sshconf.Host
		canAsk bool
		want   string
	}{
		{"login, terminal", login, plain, true, ""},
		{"login, BatchMode", login, batch, false, "BatchMode"},
		{"login, no terminal", login, plain, false, "SSH_ASKPASS"},
		{"unknown key, BatchMode", &tunnel.HostKeyError{}, batch, false, "BatchMode"},
		{"changed key", &tunnel.HostKeyError{File: "known_hosts"}, batch, false, ""},
		{"no connection", &tunnel.ConnectError{Err: errors.New("no")}, batch, false, ""},
	} {
		got := strings.Join(unaskedHints(test.err, test.host, test.canAsk), "\n")
		if (got == "") != (test.want == "") || !strings.Contains(got, test.want) {
			t.Errorf("%s: got %q, want %q in it", test.name, got, test.want)
		}
	}
}
