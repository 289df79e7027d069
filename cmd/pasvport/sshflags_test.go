package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"github.com/pasvport/pasvport/cmd/pasvport/internal/config"
)

// TestFlagsAreTakenLiterally looks that file names of any kind arrive.
func TestFlagsAreTakenLiterally(t *testing.T) {
	const name, user = `/keys/of "A" #1 \x'`, "domain user"
	o := &options{config.Tunnel{SSHConfig: "none", Identity: []string{name}, Login: user}}
	host, err := o.resolver().Resolve("prod")
	if err != nil || len(host.IdentityFiles) != 1 || host.IdentityFiles[0] != name || host.User != user {
		t.Errorf("got %+v, %v", host, err)
	}
}

// TestSSHArgs gives flags to ssh as they are given to pasvport.
func TestSSHArgs(t *testing.T) {
	for _, test := range []struct {
		args string // of pasvport
		want string // of ssh
	}{
		{"prod", "-- prod"},
		{"-p 2222 prod", "-p 2222 -- prod"},
		{"prod -l anna -F none", "-F none -l anna -- prod"},
		{"-J a,b -i one -i two anna@prod", "-J a,b -i one -i two -- anna@prod"},
		{"-4 -o Tag=x -o User=y ssh://prod:22", "-4 -o Tag=x -o User=y -- ssh://prod:22"},
		{"-6 -v prod", "-6 -v -- prod"},
		{"-vvvvv prod", "-vvv -- prod"},
		{"-NTCA -L 2121 -g --data passive --grace 1s prod", "-- prod"},
	} {
		var o options
		set := pflag.NewFlagSet("pasvport", pflag.ContinueOnError)
		o.addTo(set)
		if err := set.Parse(strings.Fields(test.args)); err != nil {
			t.Fatalf("%s: %v", test.args, err)
		}
		if got := strings.Join(o.sshArgs(set.Arg(0)), " "); got != test.want {
			t.Errorf("%s: got %q, want %q", test.args, got, test.want)
		}
	}
}

// TestSSHReadsThem has the installed ssh read what sshArgs makes.
func TestSSHReadsThem(t *testing.T) {
	key := filepath.Join(t.TempDir(), "my key") // ssh leaves out what is not there
	if err := os.WriteFile(key, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	o := options{config.Tunnel{SSHConfig: "none", Port: "2222", Login: "anna", Jump: "hop", IPv4: true, Identity: []string{key}, Option: []string{"BatchMode=yes", "Port=1"}}}
	out, err := exec.Command("ssh", append([]string{"-G"}, o.sshArgs("prod")...)...).Output()
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(out), "\n")
	for _, want := range []string{"hostname prod", "port 2222", "user anna", "proxyjump hop", "addressfamily inet", "identityfile " + key, "batchmode yes"} {
		if !slices.Contains(lines, want) {
			t.Errorf("no line %q from ssh -G", want)
		}
	}
}
