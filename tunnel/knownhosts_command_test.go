//go:build linux

package tunnel

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

func writeScript(t testing.TB, text string) string {
	t.Helper()
	file := writeFile(t, "script", "#!/bin/sh\n"+text)
	if err := os.Chmod(file, 0o700); err != nil {
		t.Fatal(err)
	}
	return file
}

// ssh and we call the command with the same words.
func TestKnownHostsCommandArguments(t *testing.T) {
	s := startSSHD(t)
	_, port, _ := net.SplitHostPort(s.addr)
	log := filepath.Join(t.TempDir(), "log")
	script := writeScript(t, `for a; do printf '<%s>' "$a" >>`+log+`; done; echo >>`+log+"\n")
	said := func() string {
		text, _ := os.ReadFile(log)
		os.Remove(log)
		return string(text)
	}
	for _, words := range []string{
		"", "%I", "%I %H %t %f %K", `'%I x' "%H y" a\ b c\d`, `"a'b" 'a"b' a\"b\'c x"y z"`, "  %%h\t%p ", `"" '' end`, `"a\ b" '\\'`,
	} {
		for _, alias := range []string{"", "alias"} {
			args := []string{"-F", "none", "-p", port, "-o", "BatchMode=yes", "-o", "PreferredAuthentications=none",
				"-o", "GlobalKnownHostsFile=none", "-o", "UserKnownHostsFile=none", "-o", "KnownHostsCommand=" + script + " " + words}
			if alias != "" {
				args = append(args, "-o", "HostKeyAlias="+alias)
			}
			out, _ := exec.Command(program(t, "ssh"), append(args, "127.0.0.1")...).CombinedOutput()
			want := said()
			if strings.Count(want, "\n") != 2 {
				t.Fatalf("ssh did not run %s twice: %q %s", words, want, out)
			}
			h := s.host()
			h.HostKeyAlias, h.KnownHostsCommand, h.UserKnownHostsFiles = alias, script+" "+words, nil
			wantAs[*HostKeyError](t, newTunnel(t, h, Options{}).Connect(t.Context()))
			if got := said(); got != want {
				t.Errorf("%q: got\n%swant\n%s", words, got, want)
			}
		}
	}
}

func TestKnownHostsCommand(t *testing.T) {
	s := newServer(t)
	known := knownhosts.Line([]string{s.addr}, s.hostKey)
	other := knownhosts.Line([]string{s.addr}, newSigner(t).PublicKey())
	for _, tt := range []struct {
		name, script, file string
		ok                 bool
		want               string // in the error
	}{
		{"knows", "echo " + known, "", true, ""},
		{"knows another", "echo " + other, "", false, "is not the one in KnownHostsCommand-HOSTNAME:1"},
		{"the file knows", "echo '# nothing'", known, true, ""},
		{"fails", "echo " + known + "; echo oh no >&2; exit 3", known, false, "ORDER: exit status 3: oh no"},
		{"fails the second time", "test $1 = ORDER", known, false, "HOSTNAME: exit status 1"},
		{"says too much", "yes; true", known, false, "it prints more than"},
		{"leaves somebody behind", "sleep 60 & echo " + known, known, false, "WaitDelay"},
	} {
		h := s.host()
		h.KnownHostsCommand = writeScript(t, tt.script) + " %I"
		h.UserKnownHostsFiles = []string{writeFile(t, "known_hosts", tt.file)}
		err := newTunnel(t, h, Options{}).Connect(t.Context())
		if tt.ok != (err == nil) || err != nil && !strings.Contains(wantAs[*HostKeyError](t, err).Error(), tt.want) {
			t.Errorf("%s: got %v", tt.name, err)
		}
	}

	// What the command knows is not written to the file, and its order counts.
	h := s.host()
	file := writeFile(t, "known_hosts", "")
	h.UserKnownHostsFiles, h.StrictHostKeyChecking = []string{file}, "accept-new"
	h.KnownHostsCommand = writeScript(t, "echo "+known)
	if err := newTunnel(t, h, Options{}).Connect(t.Context()); err != nil {
		t.Error(err)
	}
	if text, _ := os.ReadFile(file); len(text) > 0 {
		t.Errorf("added %q", text)
	}
	rsa := knownhosts.Line([]string{s.addr}, rsaSigner(t).PublicKey())
	h.KnownHostsCommand = writeScript(t, "echo "+rsa)
	if algos := checkFor(t, h).algorithms(); !slices.Contains(algos[:4], ssh.KeyAlgoRSASHA256) {
		t.Errorf("got %q", algos)
	}
}

// A command that takes too long is ended with the attempt.
func TestKnownHostsCommandEnds(t *testing.T) {
	s := newServer(t)
	h := s.host()
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	h.KnownHostsCommand, h.ConnectTimeout = writeScript(t, "exec cat "+fifo), 100*time.Millisecond
	err := newTunnel(t, h, Options{}).Connect(t.Context())
	if err == nil || !strings.Contains(err.Error(), "no answer within 100ms") {
		t.Errorf("got %v", err)
	}
}

func TestBounded(t *testing.T) {
	b := &bounded{max: 5}
	for i, want := range []error{nil, nil, errTooLong} {
		if _, err := fmt.Fprint(b, "ab"); !errors.Is(err, want) {
			t.Errorf("write %d: %v", i, err)
		}
	}
	d := &bounded{max: 3, drop: true}
	if n, err := fmt.Fprint(d, "abcd"); n != 4 || err != nil || d.buf.String() != "abc" || b.buf.String() != "ababa" {
		t.Errorf("%d, %v, %q, %q", n, err, d.buf.String(), b.buf.String())
	}
}
