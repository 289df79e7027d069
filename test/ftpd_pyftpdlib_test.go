//go:build linux

package test

import (
	"encoding/json"
	"os/exec"
	"strings"
	"testing"
)

// startPyftpdlib starts a pyftpdlib server, a process per session, with a user
// and anonymous logins.
func startPyftpdlib(t *testing.T, ip string) *ftpServer {
	t.Helper()
	return startPyftpd(t, ip)
}

// startPyftpd starts testdata/pyftpd.py with further arguments.
func startPyftpd(t *testing.T, ip string, more ...string) *ftpServer {
	t.Helper()
	s := newFTPServer(t, ip)
	args := append([]string{"-u", "-W", "ignore", "testdata/pyftpd.py", s.ip, s.portText(), s.root, ftpUser, ftpPassword}, more...)
	s.process = startProcess(t, exec.Command(program(t, "python3"), args...))
	s.waitListening(t, s.addr())
	return s
}

// A peer is the other end of one connection of a pyftpdlib server.
type peer struct {
	Kind    string // "control" or "data"
	Addr    string // its address
	PID     int    // the process that owns it, 0 if that could not be told
	Program string // the name of that process
}

// peers returns the other end of all connections that a server had which was
// started with the argument "report".
func peers(t *testing.T, s *ftpServer) []peer {
	t.Helper()
	var all []peer
	for line := range strings.Lines(s.stdout.String()) {
		var p peer
		if err := json.Unmarshal([]byte(line), &p); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		all = append(all, p)
	}
	return all
}
