//go:build linux

package test

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const upNow = `pasvport: ftp://(\S+) is \S+ at testhost\s`

// onScreen starts a command of the home's with a terminal.
func (h *home) onScreen(args ...string) *screen {
	h.Helper()
	return onTerminal(h.T, h.command(args...))
}

// done waits for the command's end.
func (s *screen) done(t *testing.T, code int) {
	t.Helper()
	got := s.wait(t)
	<-s.shown
	if got != code {
		t.Errorf("%v ended with %d, want %d", s.cmd.Args, got, code)
	}
}

// secretNowhere looks through all that pasvport has written.
func (h *home) secretNowhere(secret string) {
	h.Helper()
	filepath.WalkDir(h.dir, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() {
			if text, err := os.ReadFile(path); err == nil && bytes.Contains(text, []byte(secret)) {
				h.Errorf("%q is in %s", secret, path)
			}
		}
		return nil
	})
}

// gone waits until the agent knows no tunnel.
func (h *home) gone() {
	h.Helper()
	eventually(h.T, "the tunnel is gone", func() bool { return len(h.status().Tunnels) == 0 })
}

// TestPasswordRelayed types a password for the agent, which keeps it in memory for the
// next connection and nowhere else.
func TestPasswordRelayed(t *testing.T) {
	for _, test := range []struct{ name, option, asked string }{
		{"password", "PasswordAuthentication yes", askedPassword},
		{"keyboard-interactive", "KbdInteractiveAuthentication yes", askedByPAM},
	} {
		t.Run(test.name, func(t *testing.T) {
			ssh := startWithAccount(t, pamOnce, test.option, "UsePAM "+yesNo(test.name != "password"))
			server, h := startVsftpd(t, elsewhere), newHome(t)
			up := []string{"up", "-F", ssh.config, "-l", visitor, "-o", "PubkeyAuthentication=no", "-L", "0:" + server.addr(), "-vv", "testhost"}

			s := h.onScreen(up...)
			s.see(t, test.asked)
			s.enter(t, "mistyped")
			s.see(t, `(?s)`+test.asked+`.*`+test.asked)
			s.enter(t, ftpPassword)
			s.done(t, 0)
			addr := s.see(t, upNow)[1]
			if shown := s.stdout.String(); strings.Contains(shown, ftpPassword) || strings.Contains(shown, "mistyped") {
				t.Errorf("what was typed is on the screen:\n%s", shown)
			}
			report(t, server)
			h.get(server, addr, "report.txt")

			loseSSH(t, ssh)
			eventually(t, "the tunnel is up again", func() bool {
				all := h.status().Tunnels
				return len(all) == 1 && all[0].State == "up" && all[0].Totals.Reconnections == 1
			})
			h.get(server, addr, "report.txt")
			h.secretNowhere(ftpPassword)
			h.secretNowhere("mistyped")
		})
	}
}

// TestQuestionsRelayed is about an unknown host key and a locked key, and about those
// who give no answer.
func TestQuestionsRelayed(t *testing.T) {
	ssh, server, h := startSSHD(t), startVsftpd(t, elsewhere), newHome(t)
	const secret = "open sesame"
	key := filepath.Join(t.TempDir(), "locked")
	keygen(t, key, secret)
	writeFile(t, ssh.path("authorized_keys"), []byte(readFile(t, key+".pub")))
	known := filepath.Join(t.TempDir(), "known_hosts")
	up := []string{"up", "-F", ssh.config, "-i", key, "-o", "UserKnownHostsFile=" + known, "-L", "0:" + server.addr(), "testhost"}

	no := h.onScreen(up...)
	no.see(t, `yes/no`)
	no.enter(t, "no")
	no.done(t, 255)
	h.gone()
	checkGone(t, known)

	interrupted := h.onScreen(up...)
	interrupted.see(t, `yes/no`)
	interrupted.press(t, "\x03")
	interrupted.done(t, 255)
	interrupted.see(t, "error: stopped before the tunnel was up")
	h.gone()

	secretly := h.onScreen(append(slices.Clone(up), "-o", "StrictHostKeyChecking=no")...)
	secretly.see(t, `(?is)passphrase.*': ?$`)
	secretly.press(t, "\x03") // no signal, with the echo off
	secretly.done(t, 255)
	secretly.see(t, "error: stopped before the tunnel was up")
	h.gone()
	os.Remove(known)

	closed := h.onScreen(up...)
	closed.see(t, `yes/no`)
	mustRun(t, h.command("down", "testhost"))
	closed.done(t, 1) // nobody has to answer first
	closed.see(t, "was closed or restarted by another command")
	h.gone()

	killed := h.onScreen(up...)
	killed.see(t, `yes/no`)
	killed.kill()
	h.gone()

	nobody := run(t, h.command(up...))
	if nobody.code != 255 || !strings.Contains(nobody.stderr, "terminal") {
		t.Errorf("without a terminal: %v", nobody)
	}

	s := h.onScreen(up...)
	s.see(t, `yes/no`)
	s.enter(t, "yes")
	s.see(t, `(?is)passphrase.*': ?$`)
	s.enter(t, secret)
	s.done(t, 0)
	s.see(t, upNow)
	if strings.Contains(s.stdout.String(), secret) {
		t.Error("the passphrase is on the screen")
	}
	h.secretNowhere(secret)
}

// TestAskpassOfTheAgent has a program answer where nobody attends.
func TestAskpassOfTheAgent(t *testing.T) {
	ssh := startWithAccount(t, pamOnce, "PasswordAuthentication yes", "UsePAM no")
	server, h := startVsftpd(t, elsewhere), newHome(t)
	script := h.path("askpass")
	writeFile(t, script, []byte("#!/bin/sh\necho '"+ftpPassword+"'\n"))
	if err := os.Chmod(script, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(h.path("config/pasvport"), 0o700); err != nil {
		t.Fatal(err)
	}
	writeFile(t, h.path("config/pasvport/config.toml"), []byte(`[tunnel.testhost]
host = "testhost"
ssh_config = "`+ssh.config+`"
login = "`+visitor+`"
option = ["PubkeyAuthentication=no"]
listen = ["0:`+server.addr()+`"]
autostart = true
`))
	h.env = append(h.env, "SSH_ASKPASS="+script, "SSH_ASKPASS_REQUIRE=force")
	mustRun(t, h.command("up", "testhost"))
	h.tunnel("testhost", "up")
}
