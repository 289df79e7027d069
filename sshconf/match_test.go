package sshconf

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestNewerMatch has what the ssh that the rest is compared with does not know.
func TestNewerMatch(t *testing.T) {
	for _, c := range []struct {
		match string
		want  bool
	}{
		{"localnetwork 192.0.2.0/24", true},
		{"localnetwork 198.51.100.0/24,192.0.2.7", true},
		{"localnetwork=192.0.2.8", false},
		{"!localnetwork 198.51.100.0/24 host foo", true},
		{"localnetwork 2001:db8::/32", true},
		{"localnetwork fe80::/10", true},
		{"localnetwork 0.0.0.0/0", true},
		{"localnetwork 203.0.113.0/24 exec true", false},
		{"tagged work", true},
		{"tagged w*,!work", false},
		{"!tagged x", true},
		{"tagged=work user root all", false}, // an error, see below
		{"sessiontype none", true},
		{"sessiontype shell", false},
		{"command *", true},
		{"command ls", false},
		{"version OpenSSH_1*", true},
		{"version OpenSSH_9.*", false},
	} {
		r := &Resolver{File: filepath.Join(t.TempDir(), "config"), outside: outside{
			networks: func() ([]string, error) {
				return []string{"127.0.0.1", "192.0.2.7", "2001:db8::1", "fe80::1%eth0"}, nil
			},
		}}
		write(t, r.File, "Tag work\nTag home\nMatch "+c.match+"\nPort 1\n")
		h, err := r.Resolve("foo")
		if strings.Contains(c.match, " all") {
			if err == nil {
				t.Errorf("%s: no error", c.match)
			}
			continue
		}
		if err != nil || (h.Port == 1) != c.want || h.Tag != "work" {
			t.Errorf("%s: got %+v, %v", c.match, h, err)
		}
	}
	for _, list := range []string{"192.0.2.1/24", "x", "192.0.2.0/33", "192.0.2.0/24,", "!192.0.2.0/24"} {
		if _, err := resolve(t, "Match localnetwork "+list+"\n", "foo"); err == nil || !strings.Contains(err.Error(), "bad network") {
			t.Errorf("localnetwork %s: got %v", list, err)
		}
	}
	if _, err := resolve(t, "Match localnetwork 127.0.0.0/8\n", "foo"); err != nil {
		t.Errorf("this machine's networks: %v", err)
	}
}

// TestExec: only what has to be run is run, once a pass, and its output goes
// where it should.
func TestExec(t *testing.T) {
	var ran []string
	r := &Resolver{File: filepath.Join(t.TempDir(), "config"), outside: outside{
		run: func(command string) (bool, error) { ran = append(ran, command); return true, nil },
	}}
	write(t, r.File+".inc", "Match exec never\nMatch final exec late\n")
	write(t, r.File, "Match host foo exec 1 exec 2\nMatch host bar exec 3\nMatch !exec 4 exec 5\nHost bar\nInclude "+
		r.File+".inc\nMatch exec \"%n %j\" # 6\n")
	if _, err := r.Resolve("foo"); err != nil {
		t.Fatal(err)
	}
	if want := []string{"1", "2", "4", "foo ", "1", "2", "4", "foo "}; !slices.Equal(ran, want) {
		t.Errorf("ran %q, want %q", ran, want)
	}
	if hosts, err := r.Hosts(); err != nil || len(ran) != 8 || !slices.Equal(hosts, []string{"bar"}) {
		t.Errorf("Hosts: got %q, %v; ran %q", hosts, err, ran[8:])
	}

	var stderr bytes.Buffer
	t.Setenv("SHELL", "/bin/sh")
	r = &Resolver{File: r.File, Stderr: &stderr}
	write(t, r.File, `Match exec "echo out; echo err >&2; cat; test $0 = /bin/sh"`+"\nUser u\n")
	if h, err := r.Resolve("foo"); err != nil || h.User != "u" || stderr.String() != "err\n" {
		t.Errorf("got %+v, %v, stderr %q", h, err, &stderr)
	}
	t.Setenv("SHELL", "/no/such/shell")
	if _, err := r.Resolve("foo"); !os.IsNotExist(unwrapAll(err)) {
		t.Errorf("without a shell: got %v", err)
	}
}

func unwrapAll(err error) error {
	for {
		inner, ok := err.(interface{ Unwrap() error })
		if !ok {
			return err
		}
		if _, ok := err.(*os.PathError); ok {
			return err
		}
		err = inner.Unwrap()
	}
}

// TestIncludeExpands tokens and variables, which ssh does since 9.9.
func TestIncludeExpands(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("WHERE", dir)
	write(t, dir+"/config", "User joe\nInclude ${WHERE}/%h-%r.conf\n")
	write(t, dir+"/foo-joe.conf", "Port 7\n")
	r := &Resolver{File: dir + "/config"}
	if h, err := r.Resolve("foo"); err != nil || h.Port != 7 {
		t.Errorf("got %+v, %v", h, err)
	}
	write(t, dir+"/config", "Include %z\n")
	if _, err := r.Resolve("foo"); err == nil || !strings.Contains(err.Error(), "config:1: include: \"%z\": unknown token %z") {
		t.Errorf("got %v", err)
	}
}
