//go:build linux

package test

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// startVsftpd starts vsftpd with an anonymous user who may do everything: its
// other users would need a PAM service below /etc.
func startVsftpd(t *testing.T, ip string) *ftpServer {
	t.Helper()
	return startVsftpdWith(t, newFTPServer(t, ip), nil)
}

// startVsftpdWith has a command start the server, and more in its configuration.
func startVsftpdWith(t *testing.T, s *ftpServer, launcher []string, more ...string) *ftpServer {
	t.Helper()
	s.user, s.password = "anonymous", "alice@example.com"
	if err := os.Mkdir(s.path("empty"), 0o755); err != nil {
		t.Fatal(err)
	}
	writeFile(t, s.path("vsftpd.conf"), fmt.Appendf(nil, `background=NO
listen=YES
listen_address=%s
listen_port=%d
anonymous_enable=YES
local_enable=NO
ftp_username=daemon
anon_root=%s
secure_chroot_dir=%s
write_enable=YES
anon_upload_enable=YES
anon_mkdir_write_enable=YES
anon_other_write_enable=YES
anon_world_readable_only=NO
anon_umask=022
ascii_upload_enable=YES
ascii_download_enable=YES
xferlog_enable=YES
log_ftp_protocol=YES
vsftpd_log_file=%s
seccomp_sandbox=NO
isolate=NO
isolate_network=NO
%s
`, s.ip, s.port, s.root, s.path("empty"), s.path("log"), strings.Join(more, "\n")))
	command := append(slices.Clone(launcher), unpacked(t, "usr/sbin/vsftpd"), s.path("vsftpd.conf"))
	s.process = startProcess(t, exec.Command(command[0], command[1:]...))
	s.waitListening(t, s.addr())
	return s
}
