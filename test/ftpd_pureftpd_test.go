//go:build linux

package test

import (
	"fmt"
	"os/exec"
	"slices"
	"testing"
)

// startPureFTPd starts Pure-FTPd with a virtual user.
func startPureFTPd(t *testing.T, ip string) *ftpServer {
	t.Helper()
	return startPureFTPdWith(t, newFTPServer(t, ip), nil)
}

// startPureFTPdWith has a command start the server, with more arguments.
func startPureFTPdWith(t *testing.T, s *ftpServer, launcher []string, more ...string) *ftpServer {
	t.Helper()
	writeFile(t, s.path("passwd"), fmt.Appendf(nil, "%s:%s:%d:%d::%s/./::::::::::::\n", ftpUser, ftpHash, ftpUID, ftpUID, s.root))
	mustRun(t, exec.Command(unpacked(t, "usr/bin/pure-pw"), "mkdb", s.path("pdb"), "-f", s.path("passwd")))
	command := append(slices.Clone(launcher), unpacked(t, "usr/sbin/pure-ftpd"),
		"-S", fmt.Sprintf("%s,%d", s.ip, s.port),
		"-l", "puredb:"+s.path("pdb"),
		"-u", "1", // the lowest user id
		"-E",        // no anonymous users: that takes a system account
		"-H",        // no name look-ups
		"-c", "500", // clients
		"-C", "500", // clients of one address, which are all of them
		"-g", s.path("pid"), // not below /run
	)
	command = append(command, more...)
	s.process = startProcess(t, exec.Command(command[0], command[1:]...))
	s.waitListening(t, s.addr())
	return s
}
