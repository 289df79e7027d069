//go:build linux

package test

import (
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// startProFTPD starts ProFTPD with a user from a file, and with anonymous
// logins to the same folder.
func startProFTPD(t *testing.T, ip string) *ftpServer {
	t.Helper()
	return startProFTPDWith(t, newFTPServer(t, ip), nil)
}

// startProFTPDWith has a command start the server, and more in its configuration.
func startProFTPDWith(t *testing.T, s *ftpServer, launcher []string, more ...string) *ftpServer {
	t.Helper()
	// mod_auth_file refuses a file that others can write, and so the folder
	writeFile(t, s.path("passwd"), fmt.Appendf(nil, "%s:%s:%d:%d::%s:/bin/false\n", ftpUser, ftpHash, ftpUID, ftpUID, s.root))
	writeFile(t, s.path("proftpd.conf"), fmt.Appendf(nil, `ServerType standalone
DefaultAddress %s
Port %d
SocketBindTight on
UseIPv6 off
UseReverseDNS off
User daemon
Group daemon
PidFile %s
ScoreboardFile %s
SystemLog %s
TransferLog none
WtmpLog off
<IfModule mod_auth_pam.c>
  AuthPAM off
</IfModule>
<IfModule mod_delay.c>
  DelayEngine off
</IfModule>
<IfModule mod_ctrls.c>
  ControlsEngine off
</IfModule>
AuthOrder mod_auth_file.c mod_auth_unix.c
AuthUserFile %s
RequireValidShell off
DefaultRoot ~
AllowOverwrite on
AllowStoreRestart on
AllowRetrieveRestart on
Umask 022
<Anonymous %s>
  User daemon
  Group daemon
  UserAlias anonymous daemon
  RequireValidShell off
</Anonymous>
%s
`, s.ip, s.port, s.path("pid"), s.path("scoreboard"), s.path("log"), s.path("passwd"), s.root, strings.Join(more, "\n")))
	command := append(slices.Clone(launcher), unpacked(t, "usr/sbin/proftpd"), "--nodaemon", "-c", s.path("proftpd.conf"))
	s.process = startProcess(t, exec.Command(command[0], command[1:]...))
	s.waitListening(t, s.addr())
	return s
}
