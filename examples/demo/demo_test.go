package main

import (
	"bytes"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/pasvport/pasvport/sshconf"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestDemo(t *testing.T) {
	var out bytes.Buffer
	err := run(t.Context(), &out, false)
	if err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	for text, want := range map[string]int{
		" control\n":         3, // a look at the greeting, and two clients
		" data\n":            4, // up and down for each of them
		"dialled ":           5,
		"remote forwarding ": 2, // active mode was not turned into passive mode
		"the client is told": 2,
		"the server is told": 2,
		"warning":            0,
	} {
		if got := strings.Count(out.String(), text); got != want {
			t.Errorf("%q is there %d times, want %d", text, got, want)
		}
	}
	if t.Failed() {
		t.Log(&out)
	}
}

// TestProof has the proof fail over what it must not let pass.
func TestProof(t *testing.T) {
	note := func(r *record, addrs ...string) {
		for _, addr := range addrs {
			r.note("", addr)
		}
	}
	for _, test := range []struct {
		name       string
		ends, peer []string
	}{
		{"a stranger", []string{"a:1"}, []string{"a:2"}},
		{"one more at the FTP server", []string{"a:1"}, []string{"a:1", "b:2"}},
		{"one more at the SSH server", []string{"a:1", "a:2"}, []string{"a:1"}},
	} {
		t.Run(strings.ReplaceAll(test.name, " ", "-"), func(t *testing.T) {
			var sshd sshServer
			var ftpd ftpServer
			note(&sshd.ends, test.ends...)
			note(&ftpd.peers, test.peer...)
			if err := prove(t.Output(), &ftpd, &sshd); err == nil {
				t.Error("got no error")
			}
		})
	}
}

// TestSSHConfig reads the example configuration.
func TestSSHConfig(t *testing.T) {
	resolver := &sshconf.Resolver{File: "../ssh_config", Home: "/home/anna"}
	for alias, want := range map[string]string{
		"ftp-prod":   "ssh.example.com",
		"ftp-inside": "10.0.0.5",
		"ftp-backup": "backup.example.com",
	} {
		host, err := resolver.Resolve(alias)
		if err != nil {
			t.Fatal(err)
		}
		if host.HostName != want {
			t.Errorf("%s is %s, want %s", alias, host.HostName, want)
		}
		if len(host.Notes) > 0 {
			t.Errorf("%s: %q", alias, host.Notes)
		}
	}
}
