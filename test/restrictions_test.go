//go:build linux

package test

import (
	"fmt"
	"net"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestRestrictions has sshd forbid what a tunnel wants. What is still allowed has
// to work, and what is refused has to name the setting to look at: at the start,
// or to the FTP client and in the log.
func TestRestrictions(t *testing.T) {
	t.Parallel()
	far, near := startPyftpd(t, elsewhere), startPyftpd(t, "127.0.0.1")
	content := noise(100_000)
	for _, server := range []*ftpServer{far, near} {
		serveFile(t, filepath.Join(server.root, "file.bin"), content)
	}
	const opens = `AllowTcpForwarding.*PermitOpen.*DisableForwarding.*restrict`
	const listed = `PermitOpen.*permitopen=`
	const listens = `AllowTcpForwarding.*PermitListen.*restrict`

	for _, test := range []struct {
		name    string
		sshd    string // options; $ADDR is the FTP server's host:port, $PORT its port
		key     string // options before the key in authorized_keys
		near    bool   // the FTP server is on sshd's loopback
		data    string // pasvport's --data
		start   string // the error at the start, a pattern; "": it starts
		passive string // the refusal of a passive client, a pattern; "": it gets its file
		active  string
	}{
		{name: "AllowTcpForwarding no", sshd: "AllowTcpForwarding no", start: opens},
		{name: "AllowTcpForwarding remote", sshd: "AllowTcpForwarding remote", start: opens},
		{name: "AllowTcpForwarding local", sshd: "AllowTcpForwarding local", near: true},
		{name: "AllowTcpForwarding local and active", sshd: "AllowTcpForwarding local", near: true, data: "active", passive: listens, active: listens},
		{name: "DisableForwarding", sshd: "DisableForwarding yes", start: opens},
		{name: "PermitOpen of another host", sshd: "PermitOpen 192.0.2.1:21", start: opens},
		{name: "PermitOpen none", sshd: "PermitOpen none", start: opens},
		{name: "PermitOpen of another name for it", sshd: "PermitOpen localhost:$PORT", near: true, start: opens},
		{name: "PermitOpen of the control port", sshd: "PermitOpen $ADDR", passive: listed},
		{name: "PermitOpen of the control port, on loopback", sshd: "PermitOpen $ADDR", near: true, passive: listed},
		{name: "PermitOpen of the control port and active", sshd: "PermitOpen $ADDR", near: true, data: "active"},
		{name: "PermitOpen of all ports", sshd: "PermitOpen 127.0.0.9:*"},
		{name: "PermitListen none", sshd: "PermitListen none", near: true},
		{name: "PermitListen none and active", sshd: "PermitListen none", near: true, data: "active", passive: listens, active: listens},
		{name: "PermitListen of another port and active", sshd: "PermitListen localhost:1", near: true, data: "active", passive: listens, active: listens},
		{name: "GatewayPorts yes", sshd: "GatewayPorts yes", near: true, data: "active"},
		{name: "GatewayPorts clientspecified", sshd: "GatewayPorts clientspecified", near: true, data: "active"},
		{name: "restrict", key: "restrict", start: opens},
		{name: "no-port-forwarding", key: "no-port-forwarding", start: opens},
		{name: "restrict,port-forwarding", key: "restrict,port-forwarding", near: true},
		{name: "permitopen of the control port", key: `permitopen="$ADDR"`, passive: listed},
		{name: "permitopen of another host", key: `permitopen="192.0.2.1:21"`, start: opens},
		{name: "permitopen of all ports", key: `restrict,port-forwarding,permitopen="127.0.0.9:*"`},
		{name: "permitlisten and active", key: `permitlisten="localhost:1"`, near: true, data: "active", passive: listens, active: listens},
		{name: "ForceCommand", sshd: "ForceCommand /bin/false"},
		{name: "ForceCommand that talks on and on", sshd: "ForceCommand exec yes"},
		{name: "ForceCommand that stays", sshd: "ForceCommand exec cat"},
		{name: "command= in authorized_keys", key: `command="/bin/false"`},
		{name: "MaxSessions 0", sshd: "MaxSessions 0", near: true},
		{name: "MaxSessions 1", sshd: "MaxSessions 1", near: true},
		{name: "PermitTTY no", sshd: "PermitTTY no"},
	} {
		t.Run(strings.ReplaceAll(test.name, " ", "-"), func(t *testing.T) {
			t.Parallel()
			server := far
			if test.near {
				server = near
			}
			fill := strings.NewReplacer("$ADDR", server.addr(), "$PORT", server.portText()).Replace
			ssh := startSSHD(t, fill(test.sshd))
			if test.key != "" {
				writeFile(t, ssh.path("authorized_keys"), []byte(fill(test.key)+" "+readFile(t, ssh.path("id.pub"))))
			}
			args := []string{"-L", "0:" + server.addr()}
			if test.data != "" {
				args = append(args, "--data", test.data)
			}
			if test.start != "" {
				r := run(t, pasvportCmd(t, ssh, append(args, "testhost")...))
				if r.code != 1 || !errorLine(r.stderr, test.start) {
					t.Errorf("want exit code 1 and an error with %q, got %v", test.start, r)
				}
				return
			}
			p := startPasvport(t, ssh, args...)
			for _, mode := range []struct {
				name, refusal string
				flags         []string
			}{{"passive", test.passive, nil}, {"active", test.active, []string{"-P", "-"}}} {
				c := newCell(t, server, p.addrs[0], mode.name, mode.name == "active")
				// --disable-epsv and -eprt tell the refusal at once, without another try
				r := run(t, c.command("curl", append(mode.flags, "-sSv", "--disable-epsv", "--disable-eprt",
					"-u", c.user+":"+c.password, "-o", "file.bin", "ftp://"+p.addrs[0]+"/file.bin")...))
				switch said := regexp.MustCompile(`(?m)^< 425 .*` + mode.refusal); {
				case mode.refusal == "" && r.code != 0:
					t.Errorf("%s: curl ended with %v", mode.name, r)
				case mode.refusal == "":
					c.checkLocal("file.bin", content)
				case r.code == 0 || !said.MatchString(r.stderr):
					t.Errorf("%s: want a 425 with %q, got %v", mode.name, mode.refusal, r)
				default:
					p.waitFor(t, p.stderr, `level=WARN msg="no data connection.*`+mode.refusal)
				}
			}
		})
	}
}

// errorLine tells whether stderr has one error, and a pattern in it.
func errorLine(stderr, pattern string) bool {
	var lines []string
	for line := range strings.Lines(stderr) {
		if strings.HasPrefix(line, "pasvport: error: ") {
			lines = append(lines, line)
		}
	}
	return len(lines) == 1 && regexp.MustCompile(pattern).MatchString(lines[0])
}

// TestMaxStartups has somebody else take the only place that sshd has for those
// who have not logged in yet.
func TestMaxStartups(t *testing.T) {
	t.Parallel()
	ssh := startSSHD(t, "MaxStartups 1:100:1")
	server := startPyftpd(t, elsewhere)
	addr := fmt.Sprintf("127.0.0.1:%d", ssh.port)
	other, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if _, err := other.Read(make([]byte, 1)); err != nil { // its banner: sshd counts it
		t.Fatal(err)
	}
	r := run(t, pasvportCmd(t, ssh, "-L", "0:"+server.addr(), "testhost"))
	if r.code != 255 || !errorLine(r.stderr, "testhost") || !strings.Contains(r.stderr, "MaxStartups") {
		t.Errorf("want exit code 255 and a word of MaxStartups, got %v", r)
	}
	other.Close()
	ssh.waitFor(t, ssh.stderr, `Connection (closed|reset) by 127\.0\.0\.1`)
	startPasvport(t, ssh, "-L", "0:"+server.addr())
}
