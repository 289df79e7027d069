//go:build linux

package test

import (
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// TestStartErrors looks what a user is told when a tunnel cannot be opened.
func TestStartErrors(t *testing.T) {
	ssh := startSSHD(t)
	server := startProFTPD(t, elsewhere)
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { busy.Close() })

	// another host key under the server's name
	dir := t.TempDir()
	keygen(t, filepath.Join(dir, "other"), "")
	known := filepath.Join(dir, "known_hosts")
	sshPort := strconv.Itoa(ssh.port)
	other := strings.Fields(readFile(t, filepath.Join(dir, "other.pub")))
	writeFile(t, known, []byte("[127.0.0.1]:"+sshPort+" "+other[0]+" "+other[1]+"\n"))
	free := func() string { return strconv.Itoa(freePort(t, "127.0.0.1")) }

	for _, test := range []struct {
		name  string
		args  []string
		code  int
		error string // a part of the error line
	}{
		{"unknown host", []string{"nosuch.invalid"}, 255, "nosuch.invalid"},
		{"no SSH server", []string{"-p", free(), "testhost"}, 255, "refused"},
		{"not an SSH server", []string{"-p", server.portText(), "-o", "HostName=" + server.ip, "testhost"}, 255, "testhost"},
		{"no such user", []string{"-l", "nosuchuser", "testhost"}, 255, "nosuchuser"},
		{"unknown host key", []string{"-o", "UserKnownHostsFile=" + filepath.Join(dir, "none"), "testhost"}, 255, "unknown"},
		{"changed host key", []string{"-o", "UserKnownHostsFile=" + known, "testhost"}, 255, known + ":1"},
		{"busy local port", []string{"-L", busy.Addr().String() + ":" + server.addr(), "testhost"}, 1, "in use"},
		{"FTP server down", []string{"-L", "0:" + elsewhere + ":" + free(), "testhost"}, 1, "refused"},
		{"no FTP server", []string{"-L", "0:127.0.0.1:" + sshPort, "testhost"}, 1, "127.0.0.1:" + sshPort},
		{"open to the network", []string{"-L", "0.0.0.0:0:" + server.addr(), "testhost"}, 2, "0.0.0.0"},
		{"bad -L", []string{"-L", "x:y:z", "testhost"}, 2, "x:y:z"},
		{"bad flag", []string{"--nonsense", "testhost"}, 2, "nonsense"},
		{"no host", nil, 2, "host"},
		{"remote forwarding", []string{"-R", "1:2:3", "testhost"}, 2, "-R"},
		{"exec without command", []string{"exec", "testhost"}, 2, "command"},
	} {
		t.Run(strings.ReplaceAll(test.name, " ", "-"), func(t *testing.T) {
			t.Parallel()
			r := run(t, pasvportCmd(t, ssh, test.args...))
			var problem, hints string
			for line := range strings.Lines(r.stderr) {
				if text, ok := strings.CutPrefix(line, "pasvport: error: "); ok {
					problem += text
				} else if text, ok := strings.CutPrefix(line, "pasvport: hint: "); ok {
					hints += text
				}
			}
			switch {
			case r.code != test.code:
				t.Errorf("exit code %d, want %d", r.code, test.code)
			case strings.Count(problem, "\n") != 1 || !strings.Contains(problem, test.error):
				t.Errorf("the error is %q, want one line with %q", problem, test.error)
			case hints == "":
				t.Error("no hint is given")
			case r.stdout != "":
				t.Errorf("standard output is not empty")
			}
			if t.Failed() {
				t.Log(r)
			}
		})
	}
}
