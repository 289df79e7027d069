//go:build linux

package tunnel

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/pasvport/pasvport/sshconf"
)

// A trustCase is what both ssh and we are given. In the files HOST stands for the
// name with its port, and words in capitals with a leading "=" for keys.
type trustCase struct {
	name         string
	server       string // of trustServers
	user, global string
	options      []string // Keyword=value
}

// verdicts on a host key
const (
	accepted = "accepted"
	unknown  = "unknown"
	changed  = "changed"
	revoked  = "revoked"
	failed   = "failed" // for another reason
)

// trustLab has keys and servers with them.
type trustLab struct {
	t       *testing.T
	dir     string
	keys    map[string]string // public, as known_hosts has them
	servers map[string]*sshd
}

func newTrustLab(t *testing.T) *trustLab {
	lab := &trustLab{t: t, dir: t.TempDir(), keys: map[string]string{}, servers: map[string]*sshd{}}
	for name, typ := range map[string]string{"CA": "ed25519", "OTHERCA": "ecdsa", "RSACA": "rsa", "RSA": "rsa", "OTHERED": "ed25519", "OTHERRSA": "rsa"} {
		run(t, "ssh-keygen", "-q", "-t", typ, "-N", "", "-C", "", "-f", lab.path(name))
		lab.keys[name] = lab.public(lab.path(name))
	}
	plain := startSSHD(t, "HostKey "+lab.path("RSA"))
	lab.servers["plain"] = plain
	lab.keys["ED"], lab.keys["EC"] = lab.public(plain.path("host")), lab.public(plain.path("host2"))
	for name, args := range map[string][]string{
		"cert":      {"-s", lab.path("CA"), "-h", "-n", "127.0.0.1,localhost,alias"},
		"anybody":   {"-s", lab.path("CA"), "-h"},
		"wrongname": {"-s", lab.path("CA"), "-h", "-n", "elsewhere"},
		"wildname":  {"-s", lab.path("CA"), "-h", "-n", "127.0.0.*,local*"},
		"expired":   {"-s", lab.path("CA"), "-h", "-V", "20200101:20210101"},
		"early":     {"-s", lab.path("CA"), "-h", "-V", "20900101:20910101"},
		"critical":  {"-s", lab.path("CA"), "-h", "-O", "critical:odd=1"},
		"usercert":  {"-s", lab.path("CA"), "-n", "127.0.0.1"},
		"sha1":      {"-s", lab.path("RSACA"), "-h", "-t", "ssh-rsa"},
	} {
		// The same keys at another port, with certificates on two of them.
		s := &sshd{t: t, dir: t.TempDir()}
		options := []string{"HostKey " + lab.path("RSA")}
		for i, key := range []string{plain.path("host"), lab.path("RSA")} {
			copied := filepath.Join(s.dir, fmt.Sprintf("certified%d", i))
			copyFile(t, key+".pub", copied+".pub")
			run(t, "ssh-keygen", append(append([]string{"-q", "-I", name, "-z", strconv.Itoa(40 + i)}, args...), copied+".pub")...)
			options = append(options, "HostCertificate "+copied+"-cert.pub")
		}
		for _, f := range []string{"host", "host.pub", "host2", "host2.pub", "id", "id.pub"} {
			copyFile(t, plain.path(f), s.path(f))
		}
		for i := 0; ; i++ {
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil || i == 5 {
				t.Fatal("no sshd: ", err)
			}
			s.addr = ln.Addr().String()
			ln.Close()
			if s.start(program(t, "sshd"), options) {
				break
			}
		}
		lab.servers[name] = s
	}
	return lab
}

func (l *trustLab) path(name string) string { return filepath.Join(l.dir, name) }

func (l *trustLab) public(path string) string {
	text, err := os.ReadFile(path + ".pub")
	if err != nil {
		l.t.Fatal(err)
	}
	return strings.Join(strings.Fields(string(text))[:2], " ")
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	data, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, data, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// fill puts names and keys in.
func (l *trustLab) fill(text, addr string) string {
	host, port, _ := net.SplitHostPort(addr)
	pairs := []string{"HOST", "[" + host + "]:" + port, "PORT", port}
	for name, key := range l.keys {
		pairs = append(pairs, "="+name+";", key)
	}
	return strings.NewReplacer(pairs...).Replace(text)
}

// ssh returns its verdict, the type of key that it was shown, and the file that
// it leaves behind. What it warns of is its verdict: with StrictHostKeyChecking no
// it goes on all the same with less of authentication, and we do not.
func (l *trustLab) ssh(c trustCase) (verdict, typ, file, log string) {
	l.t.Helper()
	addr := l.servers[c.server].addr
	_, port, _ := net.SplitHostPort(addr)
	user, global := writeFile(l.t, "known_hosts", l.fill(c.user, addr)), writeFile(l.t, "global", l.fill(c.global, addr))
	args := []string{"-F", "none", "-v", "-p", port, "-o", "BatchMode=yes", "-o", "PreferredAuthentications=none", "-o", "UpdateHostKeys=no",
		"-o", "ProxyCommand=none", "-4", quickKex}
	host := "127.0.0.1"
	for _, o := range c.options {
		if value, ok := strings.CutPrefix(o, "HostName="); ok {
			host = value
			continue
		}
		args = append(args, "-o", l.fill(o, addr))
	}
	args = append(args, "-o", "UserKnownHostsFile="+user, "-o", "GlobalKnownHostsFile="+global, host, "true")
	out, _ := exec.Command(program(l.t, "ssh"), args...).CombinedOutput()
	log = string(out)
	for line := range strings.Lines(log) {
		for _, mark := range []string{"debug1: Server host key: ", "debug1: Server host certificate: "} {
			if rest, ok := strings.CutPrefix(line, mark); ok {
				typ = strings.Fields(rest)[0]
			}
		}
	}
	switch {
	case strings.Contains(log, "Bad server host key"), strings.Contains(log, "Error checking host key"),
		strings.Contains(log, "no matching host key type"), strings.Contains(log, "KnownHostsCommand failed"):
		verdict = failed
	case strings.Contains(log, "revoked by file"), strings.LastIndex(log, "REVOKED HOST KEY") > strings.LastIndex(log, "HOST IDENTIFICATION HAS CHANGED"):
		verdict = revoked
	case strings.Contains(log, "HOST IDENTIFICATION HAS CHANGED"):
		verdict = changed
	case strings.Contains(log, "Permission denied"):
		verdict = accepted
	case strings.Contains(log, "Host key verification failed"):
		verdict = unknown
	}
	left, _ := os.ReadFile(user)
	return verdict, typ, string(left), log
}

// we return what ssh does.
func (l *trustLab) we(c trustCase) (verdict, typ, file string, err error) {
	l.t.Helper()
	addr := l.servers[c.server].addr
	user := writeFile(l.t, "known_hosts", l.fill(c.user, addr))
	h := hostAt(l.t, addr)
	h.StrictHostKeyChecking = "ask"
	h.UserKnownHostsFiles, h.GlobalKnownHostsFiles = []string{user}, []string{writeFile(l.t, "global", l.fill(c.global, addr))}
	for _, o := range c.options {
		keyword, value, _ := strings.Cut(l.fill(o, addr), "=")
		setOption(l.t, h, keyword, value)
	}
	check := checkFor(l.t, h)
	raw, err := net.Dial("tcp", addr)
	if err != nil {
		l.t.Fatal(err)
	}
	defer raw.Close()
	_, _, _, err = ssh.NewClientConn(raw, addr, &ssh.ClientConfig{
		User:              "nobody",
		HostKeyAlgorithms: check.algorithms(),
		HostKeyCallback: func(addr string, remote net.Addr, key ssh.PublicKey) error {
			typ = key.Type()
			return check.check(addr, remote, key)
		},
	})
	if check.err != nil {
		err = check.err
	}
	e, _ := errors.AsType[*HostKeyError](err)
	switch {
	case e == nil && check.approved != nil:
		verdict = accepted
	case e == nil, e.Err != nil && e.File == "" && !strings.Contains(e.Err.Error(), "its certificate"):
		verdict = failed
	case e.Revoked:
		verdict = revoked
	case e.File != "":
		verdict = changed
	default:
		verdict = unknown
	}
	left, _ := os.ReadFile(user)
	return verdict, typ, string(left), err
}

func setOption(t *testing.T, h *sshconf.Host, keyword, value string) {
	switch keyword {
	case "HostName":
		h.HostName = value
	case "StrictHostKeyChecking":
		h.StrictHostKeyChecking = value
	case "HostKeyAlias":
		h.HostKeyAlias = value
	case "HostKeyAlgorithms":
		h.HostKeyAlgorithms = sshconf.Algorithms(value)
	case "CASignatureAlgorithms":
		h.CASignatureAlgorithms = sshconf.Algorithms(value)
	case "RequiredRSASize":
		h.RequiredRSASize, _ = strconv.Atoi(value)
	case "RevokedHostKeys":
		h.RevokedHostKeys = value
	case "KnownHostsCommand":
		h.KnownHostsCommand = value
	case "NoHostAuthenticationForLocalhost":
		h.NoHostAuthenticationForLocalhost = value == "yes"
	default:
		t.Fatalf("no option %s", keyword)
	}
}

func (l *trustLab) compare(c trustCase) (verdict string) {
	l.t.Helper()
	verdict, typ, file, log := l.ssh(c)
	v, ty, f, err := l.we(c)
	switch {
	case v == verdict && (ty == typ || verdict == failed) && f == file:
	case v == revoked && verdict == revoked && ty == typ && !strings.Contains(strings.Join(c.options, ""), "yes"):
		// ssh warns that the key is revoked at port 22, and takes it as an unknown one all the same.
		return "listed"
	case v == changed && verdict == accepted && strings.Contains(ty, "cert") && strings.Contains(log, "found matching key w/out port"):
		// What is on file for this port is another key, but ssh has compared the certified
		// one with that of port 22 before.
		return "listed"
	default:
		l.t.Errorf("%s at %s, %q\nuser:\n%sglobal:\n%s\nssh: %s %s, leaves\n%s\nwe:  %s %s %v, leave\n%s\nlog of ssh:\n%s", c.name, c.server, c.options,
			l.fill(c.user, l.servers[c.server].addr), l.fill(c.global, l.servers[c.server].addr), verdict, typ, file, v, ty, err, f, log)
	}
	return verdict
}

// compareAll compares two or more at a time, as most of it is waiting, and counts
// the verdicts.
func (l *trustLab) compareAll(name string, cases []trustCase) {
	var mu sync.Mutex
	counts := make(map[string]int)
	l.t.Run(name, func(t *testing.T) {
		for _, c := range cases {
			t.Run(c.name, func(t *testing.T) {
				t.Parallel()
				here := *l
				here.t = t
				verdict := here.compare(c)
				mu.Lock()
				defer mu.Unlock()
				counts[verdict]++
			})
		}
	})
	l.t.Logf("%s: %v", name, counts)
}

func TestTrustAgainstOpenSSH(t *testing.T) {
	lab := newTrustLab(t)
	hash := func(name string) string { return fillHash(t, name) }
	_, port, _ := net.SplitHostPort(lab.servers["plain"].addr)
	missing := filepath.Join(t.TempDir(), "missing")
	revokes := func(key string) string {
		return "RevokedHostKeys=" + writeFile(t, "revoked", "# gone\n"+lab.keys[key]+"\n")
	}
	prints := func(text string, code int) string {
		file := writeFile(t, "prints.sh", "#!/bin/sh\ncat <<E\n"+lab.fill(text, lab.servers["plain"].addr)+"\nE\nexit "+strconv.Itoa(code)+"\n")
		if err := os.Chmod(file, 0o700); err != nil {
			t.Fatal(err)
		}
		return "KnownHostsCommand=" + file
	}
	krl := func(spec string) string {
		file := filepath.Join(t.TempDir(), "krl")
		run(t, "ssh-keygen", "-q", "-k", "-f", file, "-s", lab.path("CA.pub"), writeFile(t, "spec", spec))
		return "RevokedHostKeys=" + file
	}
	lab.compareAll("table", []trustCase{
		{"nothing", "plain", "", "", nil},
		{"nothing, yes", "plain", "", "", []string{"StrictHostKeyChecking=yes"}},
		{"nothing, accept-new", "plain", "", "", []string{"StrictHostKeyChecking=accept-new"}},
		{"nothing, no", "plain", "", "", []string{"StrictHostKeyChecking=no"}},
		{"ed", "plain", "HOST =ED;\n", "", nil},
		{"ec", "plain", "HOST =EC;\n", "", nil},
		{"rsa", "plain", "HOST =RSA;\n", "", nil},
		{"rsa before ed", "plain", "HOST =RSA;\nHOST =ED;\n", "", nil},
		{"ec and rsa", "plain", "HOST =RSA;\nHOST =EC;\n", "", nil},
		{"rsa, own order", "plain", "HOST =RSA;\n", "", []string{"HostKeyAlgorithms=ssh-ed25519,rsa-sha2-512"}},
		{"rsa, ^", "plain", "HOST =RSA;\n", "", []string{"HostKeyAlgorithms=^ecdsa-sha2-nistp256"}},
		{"rsa, +", "plain", "HOST =RSA;\n", "", []string{"HostKeyAlgorithms=+ssh-rsa"}},
		{"rsa, -", "plain", "HOST =RSA;\n", "", []string{"HostKeyAlgorithms=-ssh-ed25519"}},
		{"none in common", "plain", "HOST =RSA;\n", "", []string{"HostKeyAlgorithms=ecdsa-sha2-nistp521"}},
		{"rsa 256", "plain", "HOST =RSA;\n", "", []string{"HostKeyAlgorithms=rsa-sha2-256"}},
		{"global", "plain", "", "HOST =RSA;\n", nil},
		{"user changed, global known", "plain", "HOST =OTHERED;\n", "HOST =ED;\n", nil},
		{"changed", "plain", "HOST =OTHERED;\n", "", nil},
		{"changed, accept-new", "plain", "HOST =OTHERED;\n", "", []string{"StrictHostKeyChecking=accept-new"}},
		{"changed, no", "plain", "HOST =OTHERED;\n", "", []string{"StrictHostKeyChecking=no"}},
		{"other type", "plain", "HOST =OTHERRSA;\n", "", []string{"StrictHostKeyChecking=accept-new"}},
		{"other type, own order", "plain", "HOST =EC;\n", "", []string{"HostKeyAlgorithms=ssh-ed25519"}},
		{"bare", "plain", "127.0.0.1 =ED;\n", "", nil},
		{"bare, other type", "plain", "127.0.0.1 =RSA;\n", "", nil},
		{"bare changed", "plain", "127.0.0.1 =OTHERED;\n", "", []string{"StrictHostKeyChecking=accept-new"}},
		{"hashed", "plain", hash("[127.0.0.1]:"+port) + " =RSA;\n", "", nil},
		{"hashed bare", "plain", hash("127.0.0.1") + " =ED;\n", "", nil},
		{"hash in a list", "plain", "x," + hash("[127.0.0.1]:"+port) + " =ED;\n", "", nil},
		{"hash and more", "plain", hash("[127.0.0.1]:"+port) + ",* =ED;\n", "", nil},
		{"wildcards", "plain", "[127.*]:* =RSA;\n", "", nil},
		{"star", "plain", "* =RSA;\n", "", nil},
		{"negated", "plain", "*,!HOST =ED;\n", "", nil},
		{"negated bare", "plain", "*,!127.0.0.1 =ED;\n", "", nil},
		{"name", "plain", "[localhost]:PORT =EC;\n", "", []string{"HostName=localhost"}},
		{"name in capitals", "plain", "[LOCALHOST]:PORT =EC;\n", "", []string{"HostName=LocalHost"}},
		{"new name in capitals", "plain", "", "", []string{"HostName=LocalHost", "StrictHostKeyChecking=accept-new"}},
		{"address is not the name", "plain", "HOST =ED;\n", "", []string{"HostName=localhost"}},
		{"alias", "plain", "alias =RSA;\n", "", []string{"HostKeyAlias=alias"}},
		{"alias has no port", "plain", "[alias]:PORT =ED;\n", "", []string{"HostKeyAlias=alias"}},
		{"alias, address known", "plain", "HOST =ED;\n", "", []string{"HostKeyAlias=alias"}},
		{"alias in capitals", "plain", "alias =RSA;\n", "", []string{"HostKeyAlias=Alias"}},
		{"alias, new", "plain", "", "", []string{"HostKeyAlias=Alias", "StrictHostKeyChecking=accept-new"}},
		{"revoked", "plain", "@revoked * =ED;\n", "", nil},
		{"revoked and known", "plain", "HOST =ED;\n@revoked HOST =ED;\n", "", nil},
		{"revoked behind a tab", "plain", "HOST =ED;\n@revoked\tHOST =ED;\n", "", nil},
		{"cert, authority behind a tab", "cert", "@cert-authority\t* =CA;\n", "", nil},
		{"vertical tab", "plain", "\vHOST =ED;\n", "", nil},
		{"another type of two revoked", "plain", "HOST =ED;\nHOST =RSA;\n", "@revoked * =ED;\n", nil},
		{"revoked, no", "plain", "HOST =ED;\n@revoked HOST =ED;\n", "", []string{"StrictHostKeyChecking=no"}},
		{"bad lines", "plain", "junk\nHOST\nHOST ssh-ed25519\nHOST ssh-ed25519 AAAA\n@odd HOST =ED;\n@revoked @revoked HOST =ED;\nHOST 1024 35 9999\nHOST =RSA;\n", "", nil},
		{"CRLF", "plain", "# x\r\nHOST =RSA;\r\nHOST =EC; comment\r\n", "", nil},
		{"tabs", "plain", "  \tHOST\t=RSA;\tcomment\n", "", nil},
		{"zero bytes", "plain", "\x00HOST =ED;\nHOST =RSA;\x00junk\n", "", nil},
		{"wrong type in words", "plain", strings.Replace("HOST =ED;", "=ED;", strings.Replace(lab.keys["ED"], "ssh-ed25519", "ssh-rsa", 1), 1) + "\n", "", nil},
		{"huge line", "plain", strings.Repeat("x,", 200000) + "HOST =RSA;\n" + strings.Repeat("y", 1<<20) + "\nHOST =EC;\n", "", nil},
		{"no localhost", "plain", "HOST =OTHERED;\n", "", []string{"NoHostAuthenticationForLocalhost=yes"}},
		{"no localhost, revoked by line", "plain", "@revoked * =ED;\n", "", []string{"NoHostAuthenticationForLocalhost=yes"}},
		{"no localhost, alias", "plain", "HOST =ED;\n", "", []string{"NoHostAuthenticationForLocalhost=yes", "HostKeyAlias=alias"}},
		{"no localhost, alias changed", "plain", "alias =OTHERED;\n", "", []string{"NoHostAuthenticationForLocalhost=yes", "HostKeyAlias=alias"}},
		{"no localhost, revoked by file", "plain", "", "", []string{"NoHostAuthenticationForLocalhost=yes", revokes("ED")}},
		{"revoked by file", "plain", "HOST =ED;\n", "", []string{revokes("ED")}},
		{"revoked by file, no", "plain", "HOST =ED;\n", "", []string{revokes("ED"), "StrictHostKeyChecking=no"}},
		{"not revoked by file", "plain", "HOST =ED;\n", "", []string{revokes("RSA")}},
		{"file of revoked missing", "plain", "HOST =ED;\n", "", []string{"RevokedHostKeys=" + missing}},
		{"file of revoked is a directory", "plain", "HOST =ED;\n", "", []string{"RevokedHostKeys=" + filepath.Dir(missing)}},
		{"file of revoked empty", "plain", "HOST =ED;\n", "", []string{"RevokedHostKeys=" + writeFile(t, "revoked", "")}},
		{"file of revoked is junk", "plain", "HOST =ED;\n", "", []string{"RevokedHostKeys=" + writeFile(t, "revoked", "junk\n")}},
		{"file of revoked has options", "plain", "HOST =ED;\n", "", []string{"RevokedHostKeys=" + writeFile(t, "revoked", "restrict "+lab.keys["ED"]+"\n")}},
		{"rsa too short", "plain", "HOST =RSA;\n", "", []string{"RequiredRSASize=4096"}},
		{"rsa long enough", "plain", "HOST =RSA;\n", "", []string{"RequiredRSASize=3072"}},

		{"command", "plain", "", "", []string{prints("HOST =ED;", 0)}},
		{"command, bare", "plain", "", "", []string{prints("127.0.0.1 =ED;", 0)}},
		{"command, star", "plain", "", "", []string{prints("* =RSA;", 0)}},
		{"command says nothing", "plain", "HOST =RSA;\n", "", []string{prints("", 0)}},
		{"command says junk", "plain", "HOST =RSA;\n", "", []string{prints("junk", 0)}},
		{"command, changed", "plain", "HOST =ED;\n", "", []string{prints("HOST =OTHERED;", 0)}},
		{"command, changed alone", "plain", "", "", []string{prints("HOST =OTHERED;", 0)}},
		{"command, revoked", "plain", "HOST =ED;\n", "", []string{prints("@revoked * =ED;", 0)}},
		{"command, accept-new", "plain", "", "", []string{prints("HOST =ED;", 0), "StrictHostKeyChecking=accept-new"}},
		{"command fails", "plain", "HOST =ED;\n", "", []string{prints("HOST =ED;", 3)}},
		{"command fails, own order", "plain", "HOST =ED;\n", "", []string{prints("HOST =ED;", 3), "HostKeyAlgorithms=ssh-ed25519"}},
		{"command missing", "plain", "HOST =ED;\n", "", []string{"KnownHostsCommand=" + missing}},
		{"command is relative", "plain", "HOST =ED;\n", "", []string{"KnownHostsCommand=true"}},
		{"command is no program", "plain", "HOST =ED;\n", "", []string{"KnownHostsCommand=/etc/passwd"}},

		{"cert", "cert", "@cert-authority HOST =CA;\n", "", nil},
		{"cert, star", "cert", "@cert-authority * =CA;\n", "", nil},
		{"cert, bare", "cert", "@cert-authority 127.0.0.1 =CA;\n", "", nil},
		{"cert, other CA", "cert", "@cert-authority * =OTHERCA;\n", "", nil},
		{"cert, other CA, key known", "cert", "@cert-authority * =OTHERCA;\nHOST =EC;\n", "", nil},
		{"cert, CA and plain", "cert", "@cert-authority * =CA;\nHOST =EC;\n", "", nil},
		{"cert, CA and changed", "cert", "@cert-authority * =CA;\nHOST =OTHERED;\n", "", nil},
		{"cert, no CA, key known", "cert", "HOST =ED;\n", "", nil},
		{"cert, no CA, rsa known", "cert", "HOST =RSA;\n", "", nil},
		{"cert, no CA, new", "cert", "", "", []string{"StrictHostKeyChecking=accept-new"}},
		{"cert, CA as a host key", "cert", "HOST =CA;\n", "", nil},
		{"cert, alias", "cert", "@cert-authority alias =CA;\n", "", []string{"HostKeyAlias=alias"}},
		{"cert, other alias", "cert", "@cert-authority other =CA;\n", "", []string{"HostKeyAlias=other"}},
		{"cert, alias in capitals", "cert", "@cert-authority alias =CA;\n", "", []string{"HostKeyAlias=Alias"}},
		{"cert, name", "cert", "@cert-authority * =CA;\n", "", []string{"HostName=localhost"}},
		{"cert, CA revoked", "cert", "@cert-authority * =CA;\n@revoked * =CA;\n", "", nil},
		{"cert, key revoked", "cert", "@cert-authority * =CA;\n@revoked * =ED;\n", "", nil},
		{"cert, CA revoked, key known", "cert", "HOST =ED;\n@revoked * =CA;\n", "", nil},
		{"cert, rsa only", "cert", "@cert-authority * =CA;\n", "", []string{"HostKeyAlgorithms=rsa-sha2-512-cert-v01@openssh.com"}},
		{"cert, too short", "cert", "@cert-authority * =CA;\n", "", []string{"HostKeyAlgorithms=rsa-sha2-512-cert-v01@openssh.com", "RequiredRSASize=8192"}},
		{"cert, CA algorithm", "cert", "@cert-authority * =CA;\n", "", []string{"CASignatureAlgorithms=rsa-sha2-512"}},
		{"cert, CA algorithm, key known", "cert", "@cert-authority * =CA;\nHOST =ED;\n", "", []string{"CASignatureAlgorithms=-ssh-ed25519"}},
		{"cert, for anybody", "anybody", "@cert-authority * =CA;\n", "", nil},
		{"cert, wrong name", "wrongname", "@cert-authority * =CA;\n", "", nil},
		{"cert, wrong name, key known", "wrongname", "@cert-authority * =CA;\nHOST =ED;\n", "", nil},
		{"cert, wrong name, accept-new", "wrongname", "@cert-authority * =CA;\n", "", []string{"StrictHostKeyChecking=accept-new"}},
		{"cert, wildcard", "wildname", "@cert-authority * =CA;\n", "", nil},
		{"cert, wildcard, name", "wildname", "@cert-authority * =CA;\n", "", []string{"HostName=localhost"}},
		{"cert, expired", "expired", "@cert-authority * =CA;\n", "", nil},
		{"cert, expired, key known", "expired", "@cert-authority * =CA;\nHOST =ED;\n", "", nil},
		{"cert, early", "early", "@cert-authority * =CA;\n", "", nil},
		{"cert, critical", "critical", "@cert-authority * =CA;\n", "", nil},
		{"cert, for a user", "usercert", "@cert-authority * =CA;\n", "", nil},
		{"cert, SHA-1", "sha1", "@cert-authority * =RSACA;\n", "", nil},
		{"cert, SHA-1 allowed", "sha1", "@cert-authority * =RSACA;\n", "", []string{"CASignatureAlgorithms=+ssh-rsa"}},
		{"cert revoked by file", "cert", "@cert-authority * =CA;\n", "", []string{revokes("ED")}},
		{"CA revoked by file", "cert", "@cert-authority * =CA;\n", "", []string{revokes("CA")}},
		{"cert revoked by serial", "cert", "@cert-authority * =CA;\n", "", []string{krl("serial: 40\n")}},
		{"cert revoked by another serial", "cert", "@cert-authority * =CA;\n", "", []string{krl("serial: 41\n")}},
		{"cert revoked by serial, key known", "cert", "HOST =ED;\n", "", []string{krl("serial: 40-41\n")}},
		{"cert revoked by id", "cert", "@cert-authority * =CA;\n", "", []string{krl("id: cert\n")}},
		{"cert revoked by another id", "cert", "@cert-authority * =CA;\n", "", []string{krl("id: certs\n")}},
	})

	rng := rand.New(rand.NewPCG(3, 14))
	pick := func(list ...string) string { return list[rng.IntN(len(list))] }
	generate := func() string {
		var text strings.Builder
		for range rng.IntN(4) {
			marker := pick("", "", "", "@cert-authority ", "@revoked ")
			pattern := pick("HOST", "HOST", "127.0.0.1", "[*]:PORT", "*", "*,!HOST", "alias", "other")
			key := pick("ED", "EC", "RSA", "CA", "OTHERED", "OTHERRSA")
			fmt.Fprintf(&text, "%s%s =%s;\n", marker, pattern, key)
		}
		return text.String()
	}
	var generated []trustCase
	for i := range 100 {
		c := trustCase{name: fmt.Sprint("generated ", i), user: generate(), global: generate()}
		c.server = pick("plain", "plain", "cert", "cert", "wrongname")
		c.options = []string{"StrictHostKeyChecking=" + pick("yes", "ask", "accept-new", "no")}
		if rng.IntN(4) == 0 {
			c.options = append(c.options, "HostKeyAlias=alias")
		}
		if rng.IntN(3) == 0 {
			c.options = append(c.options, "HostKeyAlgorithms="+pick("-ssh-ed25519", "-ssh-ed25519*", "+ssh-rsa", "^rsa-sha2-256", "rsa-sha2-512,ssh-ed25519", "^ssh-ed25519-cert-v01@openssh.com"))
		}
		generated = append(generated, c)
	}
	lab.compareAll("generated", generated)
}

func fillHash(t *testing.T, name string) string {
	file := writeFile(t, "known_hosts", name+" ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGPKdi1SMHyvzAJvsF8L3c4VOi9gfPWY1sRTBaPiMEqk\n")
	run(t, "ssh-keygen", "-q", "-H", "-f", file)
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Fields(string(text))[0]
}
