//go:build linux

package test

import (
	"fmt"
	"os"
	"strings"
)

// hostKey gives a server one more host key, and returns its option for sshd.
func hostKey(l *lab, s *sshd, name string, args ...string) string {
	l.Helper()
	path := s.path(name)
	mustRun(l.T, keygenCmd(l.T, append([]string{"-q", "-N", "", "-C", "", "-f", path}, args...)...))
	return "HostKey " + path
}

// another is a public key that no server has.
func (l *lab) another(name string) string {
	l.Helper()
	return strings.Join(strings.Fields(readFile(l.T, l.keys.public(name)))[:2], " ")
}

// trustRows are about the host key: whom the user trusts, and how it is known.
func trustRows() []loginRow {
	// with is a server known by the given known_hosts, and a client that has the right key
	with := func(known string, lines ...string) func(l *lab) {
		return func(l *lab) {
			l.serve([]string{l.keys.public("ed25519")})
			known := strings.NewReplacer("$OTHER", l.another("wrong-1"), "$CA", l.another("ca")).Replace(known)
			l.knows(l.ssh, known)
			l.testhost(append(lines, "IdentityFile "+l.keys.path("ed25519"))...)
		}
	}
	// three has keys of three types; known by one
	three := func(known string, more ...string) func(l *lab) {
		return func(l *lab) {
			s := newSSHD(l.T)
			options := append(more,
				hostKey(l, s, "rsa", "-t", "rsa", "-b", "2048"),
				hostKey(l, s, "ecdsa", "-t", "ecdsa"))
			s.start(l.T, options...)
			l.ssh = s
			l.authorize(s, l.keys.public("ed25519"))
			key := strings.Join(strings.Fields(readFile(l.T, s.path(known)+".pub"))[:2], " ")
			l.keep(s.path("known_hosts"), fmt.Sprintf("[127.0.0.1]:%d %s\n", s.port, key))
			l.testhost("IdentityFile " + l.keys.path("ed25519"))
		}
	}
	// certified has a certificate of the authority's for its host key
	certified := func(known string, args ...string) func(l *lab) {
		return func(l *lab) {
			s := newSSHD(l.T)
			cert := l.sign(s.path("host_key.pub"), append([]string{"-h"}, args...)...)
			s.start(l.T, "HostCertificate "+cert)
			l.ssh = s
			l.authorize(s, l.keys.public("ed25519"))
			l.knows(s, strings.NewReplacer("$OTHER", l.another("wrong-1"), "$CA", l.another("ca")).Replace(known))
			l.testhost("IdentityFile " + l.keys.path("ed25519"))
		}
	}
	// revoked has its key in RevokedHostKeys, as write leaves it there
	revoked := func(write func(l *lab, path, key string)) func(l *lab) {
		return func(l *lab) {
			l.serve([]string{l.keys.public("ed25519")})
			write(l, l.path("revoked"), l.ssh.path("host_key.pub"))
			l.testhost("IdentityFile "+l.keys.path("ed25519"), "RevokedHostKeys "+l.path("revoked"))
		}
	}
	const question = `yes/no[^\n]*\? ?`
	return []loginRow{
		{name: "host certificate", want: in, setup: certified("@cert-authority $HOST $CA\n", "-n", "127.0.0.1")},
		{name: "host certificate without names", want: in, setup: certified("@cert-authority * $CA\n")},
		{name: "host certificate of another host", want: refused, says: `host key`, setup: certified("@cert-authority $HOST $CA\n", "-n", "other.example")},
		{name: "host certificate of another authority", want: refused, says: `host key`, setup: certified("@cert-authority $HOST $OTHER\n", "-n", "127.0.0.1")},
		{name: "host certificate of a revoked authority", want: refused, says: `revoked`,
			setup: certified("@cert-authority $HOST $CA\n@revoked * $CA\n", "-n", "127.0.0.1")},
		{name: "expired host certificate", want: refused, says: `host key`, setup: certified("@cert-authority $HOST $CA\n", "-n", "127.0.0.1", "-V", "20200101:20210101")},
		{name: "host certificate and a plain key on file", want: in, setup: certified("$HOST $KEY\n", "-n", "127.0.0.1")},
		{name: "hashed known_hosts", want: in, setup: func(l *lab) {
			with("$HOST $KEY\n")(l)
			path := l.ssh.path("known_hosts")
			mustRun(l.T, keygenCmd(l.T, "-q", "-H", "-f", path))
			hashed := readFile(l.T, path)
			if !strings.HasPrefix(hashed, "|1|") {
				l.Fatalf("not hashed: %q", hashed)
			}
			l.kept[path] = hashed
		}},
		{name: "wildcard in known_hosts", want: in, setup: with("[127.0.0.*]:* $KEY\n")},
		{name: "negated in known_hosts", want: refused, says: `is unknown`, setup: with("[127.0.0.*]:*,!$HOST $KEY\n")},
		{name: "known on another port only", want: refused, says: `is unknown`, setup: with("[127.0.0.1]:1 $KEY\n")},
		{name: "bad lines in known_hosts", want: in, setup: with("# a comment\n\n127.0.0.1 nonsense\n$HOST 1024 35 1234\n$HOST ssh-unheard-of AAAA\n$HOST $KEY a comment\n")},
		{name: "two keys of a type on file", want: in, setup: with("$HOST $OTHER\n$HOST $KEY\n")},
		{name: "HostKeyAlias", want: in, setup: with("alias $KEY\n", "HostKeyAlias alias")},
		{name: "HostKeyAlias of another key", want: refused, says: `known_hosts:1`, setup: with("alias $OTHER\n$HOST $KEY\n", "HostKeyAlias alias")},
		{name: "GlobalKnownHostsFile", want: in, setup: func(l *lab) {
			with("")(l)
			key := strings.Join(strings.Fields(readFile(l.T, l.ssh.path("host_key.pub")))[:2], " ")
			l.config = nil
			l.testhost("IdentityFile "+l.keys.path("ed25519"),
				"GlobalKnownHostsFile "+l.path("none")+" "+l.keep("global", fmt.Sprintf("[127.0.0.1]:%d %s\n", l.ssh.port, key)))
		}},
		{name: "KnownHostsCommand", want: in, setup: func(l *lab) {
			with("")(l)
			key := strings.Join(strings.Fields(readFile(l.T, l.ssh.path("host_key.pub")))[:2], " ")
			l.config = nil
			l.testhost("IdentityFile "+l.keys.path("ed25519"), "KnownHostsCommand /bin/echo %H "+key)
		}},
		{name: "known by its rsa key", want: in, setup: three("rsa")},
		{name: "known by its ecdsa key", want: in, setup: three("ecdsa")},
		{name: "known by its ed25519 key", want: in, setup: three("host_key")},
		{name: "known by a key that it has not", want: refused, says: `host key.*(unknown|not the one)`, setup: func(l *lab) {
			three("rsa", "HostKeyAlgorithms ssh-ed25519")(l)
		}},
		{name: "changed key", want: refused, says: `is not the one in $SSHD/known_hosts:3`, setup: with("# a comment\n\n$HOST $OTHER\n")},
		{name: "changed key on a terminal", want: refused, answers: typed(), never: question,
			says: `is not the one in $SSHD/known_hosts:1`, setup: with("$HOST $OTHER\n")},
		{name: "changed key and accept-new", want: refused, says: `is not the one in`, setup: with("$HOST $OTHER\n", "StrictHostKeyChecking accept-new")},
		// ssh goes on in these two, but forwards no ports then
		{name: "changed key and StrictHostKeyChecking no", want: refused, ssh: in, says: `is not the one in`,
			setup: with("$HOST $OTHER\n", "StrictHostKeyChecking no")},
		{name: "revoked key and StrictHostKeyChecking no", want: refused, ssh: in, says: `is revoked by`, setup: with("@revoked $HOST $KEY\n", "StrictHostKeyChecking no")},
		{name: "revoked key", want: refused, says: `is revoked by $SSHD/known_hosts:2`, setup: with("$HOST $KEY\n@revoked * $KEY\n")},
		{name: "RevokedHostKeys", want: refused, says: `revoked`, setup: revoked(func(l *lab, path, key string) { copyFile(l.T, key, path) })},
		{name: "RevokedHostKeys as a KRL", want: refused, says: `(?i)revoked`, setup: revoked(func(l *lab, path, key string) {
			mustRun(l.T, keygenCmd(l.T, "-q", "-k", "-f", path, key))
		})},
		{name: "RevokedHostKeys of another key", want: in, setup: revoked(func(l *lab, path, key string) { copyFile(l.T, l.keys.public("wrong-1"), path) })},
		{name: "RevokedHostKeys is missing", want: refused, setup: revoked(func(l *lab, path, key string) {})},
		{name: "unknown key without a terminal", want: refused, says: `is unknown`, setup: with(""), after: nothingLearnt},
		{name: "unknown key and StrictHostKeyChecking yes", want: refused, answers: typed(), never: question, says: `is unknown`,
			setup: with("", "StrictHostKeyChecking yes"), after: nothingLearnt},
		{name: "unknown key and BatchMode", want: refused, answers: typed(), never: question, says: `is unknown`,
			setup: with("", "BatchMode yes"), after: nothingLearnt},
		{name: "unknown key, and no", want: refused, answers: typed(question, "no"), setup: with(""), after: nothingLearnt},
		{name: "unknown key, and yes", want: in, answers: typed(question, "yes"), setup: with(""), after: sameLearnt},
		{name: "unknown key, and its fingerprint", want: in, setup: func(l *lab) {
			with("")(l)
			l.askpass(strings.Fields(mustRun(l.T, keygenCmd(l.T, "-l", "-f", l.ssh.path("host_key.pub"))))[1])
		}, after: sameLearnt},
		{name: "unknown key and accept-new", want: in, setup: with("", "StrictHostKeyChecking accept-new"), after: sameLearnt},
		{name: "unknown key and StrictHostKeyChecking no", want: in, setup: with("", "StrictHostKeyChecking no"), after: sameLearnt},
		{name: "unknown key behind a line without its end", want: in, setup: with("other $OTHER", "StrictHostKeyChecking accept-new"), after: func(l *lab) {
			path := l.ssh.path("known_hosts") // OpenSSH 9.2 spoils both lines
			if text := l.left["pasvport"][path]; !strings.HasPrefix(text, l.kept[path]+"\n[127.0.0.1]:") || strings.Count(text, "\n") != 2 {
				l.Errorf("known_hosts is %q", text)
			}
		}},
		{name: "HashKnownHosts", want: in, setup: with("", "StrictHostKeyChecking accept-new", "HashKnownHosts yes"), after: func(l *lab) {
			path := l.ssh.path("known_hosts")
			if text := l.left["pasvport"][path]; !strings.HasPrefix(text, "|1|") || strings.Count(text, "\n") != 1 {
				l.Errorf("known_hosts is %q, want one hashed line", text)
			}
			writeFile(l.T, path, []byte(l.left["pasvport"][path]))
			mustRun(l.T, keygenCmd(l.T, "-F", fmt.Sprintf("[127.0.0.1]:%d", l.ssh.port), "-f", path))
		}},
		{name: "UserKnownHostsFile none", want: refused, says: `is unknown`, setup: func(l *lab) {
			l.serve([]string{l.keys.public("ed25519")})
			l.testhost("IdentityFile "+l.keys.path("ed25519"), "UserKnownHostsFile none")
		}},
		{name: "NoHostAuthenticationForLocalhost", want: in, setup: with("", "NoHostAuthenticationForLocalhost yes")},
	}
}

// nothingLearnt looks that known_hosts is as it was.
func nothingLearnt(l *lab) {
	path := l.ssh.path("known_hosts")
	if left := l.left["pasvport"][path]; left != l.kept[path] {
		l.Errorf("known_hosts is %q, want %q", left, l.kept[path])
	}
}

// sameLearnt looks that pasvport has written into known_hosts what ssh writes.
func sameLearnt(l *lab) {
	path := l.ssh.path("known_hosts")
	theirs, ours := l.left["ssh"][path], l.left["pasvport"][path]
	if ours != theirs || ours == l.kept[path] {
		l.Errorf("known_hosts is %q, ssh has made it %q", ours, theirs)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		l.Errorf("%v, %v", info, err)
	}
}
