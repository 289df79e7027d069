//go:build linux

package test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// The account of every sshd that takes passwords. It has root's rights, so that
// it can read what the tests hold in their folders, and the password ftpPassword.
const visitor = "visitor"

// pamOnce asks for the password; pamTwice for something else before it, in a round
// of its own.
const (
	pamOnce  = "auth required pam_unix.so nodelay\naccount required pam_permit.so\nsession required pam_permit.so\n"
	pamTwice = "auth required pam_ftp.so users=" + visitor + "\n" + pamOnce
)

// startWithAccount starts an sshd that sees one account more than there is: the
// files of accounts are its own, in a mount namespace that ends with it. Nothing
// of the machine is changed, whatever happens to the tests.
func startWithAccount(t *testing.T, pam string, options ...string) *sshd {
	t.Helper()
	s := newSSHD(t)
	s.launcher = withAccount(t, s.dir, visitor, "0:0::/:/bin/sh", pam)
	s.start(t, options...)
	return s
}

// withAccount returns what starts a program that sees an account of this name, with
// the password ftpPassword, and sshd's PAM service as given. The files are in dir.
func withAccount(t *testing.T, dir, name, account, pam string) (launcher []string) {
	t.Helper()
	script := ""
	for path, text := range map[string]string{
		"/etc/passwd":     readFile(t, "/etc/passwd") + name + ":x:" + account + "\n",
		"/etc/shadow":     readFile(t, "/etc/shadow") + fmt.Sprintf("%s:%s:19000:0:99999:7:::\n", name, ftpHash),
		"/etc/pam.d/sshd": pam,
	} {
		own := filepath.Join(dir, "own-"+filepath.Base(path))
		writeFile(t, own, []byte(text))
		if err := os.Chmod(own, 0o644); err != nil {
			t.Fatal(err)
		}
		script += fmt.Sprintf("mount --bind '%s' %s && ", own, path)
	}
	return []string{program(t, "unshare"), "--mount", "sh", "-c", script + `exec "$@"`, "sh"}
}

// askpass has a lab's programs ask a script, which knows one answer.
func (l *lab) askpass(text string) {
	l.Helper()
	script := l.path("askpass")
	writeFile(l.T, script, fmt.Appendf(nil, "#!/bin/sh\necho '%s'\n", text))
	l.chmod(script, 0o700)
	l.env = append(l.env, "SSH_ASKPASS="+script, "SSH_ASKPASS_REQUIRE=force")
}

func (l *lab) chmod(path string, mode os.FileMode) {
	l.Helper()
	if err := os.Chmod(path, mode); err != nil {
		l.Fatal(err)
	}
}

const (
	askedPassword = `visitor@127\.0\.0\.1's password: ?`
	askedAddress  = `\(visitor@127\.0\.0\.1\) Guest login ok[^\n]*`
	askedByPAM    = `\(visitor@127\.0\.0\.1\) Password: ?`
)

// promptRows log in by what a person types.
func promptRows() []loginRow {
	// serve starts testhost for the visitor, with options of sshd's
	serve := func(l *lab, pam string, options ...string) {
		usePAM := "UsePAM " + yesNo(pam != "")
		if pam == "" {
			pam = pamOnce
		}
		l.ssh = startWithAccount(l.T, pam, append(options, usePAM)...)
		l.authorize(l.ssh, l.keys.public("ed25519"))
	}
	byPassword := func(l *lab) { serve(l, "", "PasswordAuthentication yes") }
	byPAM := func(l *lab) { serve(l, pamOnce, "KbdInteractiveAuthentication yes") }
	both := func(l *lab) { serve(l, pamOnce, "PasswordAuthentication yes", "KbdInteractiveAuthentication yes") }
	client := func(start func(*lab), lines ...string) func(*lab) {
		return func(l *lab) {
			start(l)
			l.testhost(append(lines, "User "+visitor)...)
		}
	}
	return []loginRow{
		{name: "password", want: in, answers: typed(askedPassword, ftpPassword), never: ftpPassword, setup: client(byPassword)},
		{name: "password at the second try", want: in, answers: typed(askedPassword, "mistyped", askedPassword, ftpPassword), setup: client(byPassword)},
		{name: "wrong passwords", want: refused, answers: typed(askedPassword, "one", askedPassword, "two", askedPassword, "three"),
			says: `logging in.*password`, setup: client(byPassword)},
		{name: "NumberOfPasswordPrompts", want: refused, answers: typed(askedPassword, "one"), setup: client(byPassword, "NumberOfPasswordPrompts 1")},
		{name: "password without a terminal", want: refused, says: `logging in.*password`, setup: client(byPassword)},
		{name: "BatchMode asks for no password", want: refused, answers: typed(), never: askedPassword, setup: client(byPassword, "BatchMode yes")},
		{name: "PasswordAuthentication no", want: refused, answers: typed(), never: askedPassword, setup: client(byPassword, "PasswordAuthentication no")},
		{name: "password after a wrong key", want: in, answers: typed(askedPassword, ftpPassword), setup: func(l *lab) {
			byPassword(l)
			l.testhost("User "+visitor, "IdentityFile "+l.key("wrong-1", "", ""))
		}},
		{name: "SSH_ASKPASS password", want: in, setup: func(l *lab) {
			byPassword(l)
			l.askpass(ftpPassword)
			l.testhost("User " + visitor)
		}},
		{name: "keyboard-interactive", want: in, answers: typed(askedByPAM, ftpPassword), never: ftpPassword, setup: client(byPAM)},
		{name: "keyboard-interactive in two rounds", want: in, answers: typed(askedAddress, "a@b", askedByPAM, ftpPassword), setup: client(func(l *lab) {
			serve(l, pamTwice, "KbdInteractiveAuthentication yes")
		})},
		{name: "keyboard-interactive at the second try", want: in, answers: typed(askedByPAM, "mistyped", askedByPAM, ftpPassword), setup: client(byPAM)},
		{name: "keyboard-interactive before password", want: in, answers: typed(askedByPAM, ftpPassword), never: askedPassword, setup: client(both)},
		{name: "PreferredAuthentications", want: in, answers: typed(askedPassword, ftpPassword), never: askedByPAM, setup: func(l *lab) {
			both(l)
			l.testhost("User "+visitor, "IdentityFile "+l.key("ed25519", "", ""), "PreferredAuthentications password,publickey")
		}},
		{name: "PreferredAuthentications of what is not there", want: refused, setup: func(l *lab) {
			both(l)
			l.testhost("User "+visitor, "IdentityFile "+l.key("ed25519", "", ""), "PreferredAuthentications hostbased")
		}},
		{name: "publickey and password", want: in, answers: typed(askedPassword, ftpPassword), setup: func(l *lab) {
			serve(l, "", "PasswordAuthentication yes", "AuthenticationMethods publickey,password")
			l.testhost("User "+visitor, "IdentityFile "+l.key("ed25519", "", ""))
		}},
		{name: "publickey and password with an encrypted key", want: in, answers: typed(askedPassphrase, passphrase, askedPassword, ftpPassword), setup: func(l *lab) {
			serve(l, "", "PasswordAuthentication yes", "AuthenticationMethods publickey,password")
			l.testhost("User "+visitor, "IdentityFile "+l.key("ed25519", "", passphrase))
		}},
		{name: "publickey and keyboard-interactive", want: in, answers: typed(askedByPAM, ftpPassword), setup: func(l *lab) {
			serve(l, pamOnce, "KbdInteractiveAuthentication yes", "AuthenticationMethods publickey,keyboard-interactive")
			l.testhost("User "+visitor, "IdentityFile "+l.key("ed25519", "", ""))
		}},
		{name: "password and publickey in that order", want: in, answers: typed(askedPassword, ftpPassword), setup: func(l *lab) {
			serve(l, "", "PasswordAuthentication yes", "AuthenticationMethods password,publickey")
			l.testhost("User "+visitor, "IdentityFile "+l.key("ed25519", "", ""))
		}},
		{name: "publickey and password without a terminal", want: refused, says: `password`, setup: func(l *lab) {
			serve(l, "", "PasswordAuthentication yes", "AuthenticationMethods publickey,password")
			l.testhost("User "+visitor, "IdentityFile "+l.key("ed25519", "", ""))
		}},
		{name: "via-ssh with a password", want: in, answers: typed(askedPassword, ftpPassword), never: ftpPassword, setup: func(l *lab) {
			serve(l, "", "PasswordAuthentication yes", "LogLevel DEBUG1")
			l.testhost("User " + visitor)
			l.flags = []string{"--via-ssh"}
		}, after: onlySSH},
	}
}
