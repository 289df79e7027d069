//go:build linux

package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
)

// An ftpd is an FTP server on the far host.
type ftpd struct {
	port           int
	user, password string
}

// daemon is Debian's user and group of that name, for whom the FTP servers work.
const daemon = 1

// startFTPDs starts all FTP servers; without root only the one that bears it.
func (l *lab) startFTPDs(ctx context.Context) error {
	l.ftpds = map[string]ftpd{}
	starters := map[string]func(context.Context, ftpd) error{"pyftpdlib": l.startPyftpdlib}
	if l.emulated() {
		starters = map[string]func(context.Context, ftpd) error{
			"vsftpd": l.startVsftpd, "ProFTPD": l.startProFTPD, "Pure-FTPd": l.startPureFTPd,
		}
	}
	for name, start := range starters {
		d := ftpd{l.port(), "anonymous", "bench@example.com"}
		if name != "vsftpd" && name != "ProFTPD" { // the others' anonymous user would be an account of the system's
			d.user, d.password = "alice", "wonderland"
		}
		if err := start(ctx, d); err != nil {
			return err
		}
		l.ftpds[name] = d
	}
	return nil
}

// unpacked is a program of a server that test/setup.sh unpacks.
func unpacked(name string) string {
	home, _ := os.UserHomeDir()
	cache := cmp.Or(os.Getenv("PASVPORT_TEST_CACHE"), filepath.Join(cmp.Or(os.Getenv("XDG_CACHE_HOME"), filepath.Join(home, ".cache")), "pasvport-test"))
	return filepath.Join(cache, "servers", name)
}

func (l *lab) startVsftpd(ctx context.Context, d ftpd) error {
	config := fmt.Sprintf(`background=NO
listen=YES
listen_port=%d
anonymous_enable=YES
local_enable=NO
ftp_username=daemon
anon_root=%s
secure_chroot_dir=%s
write_enable=YES
anon_upload_enable=YES
anon_other_write_enable=YES
anon_world_readable_only=NO
anon_umask=022
max_per_ip=0
max_clients=0
seccomp_sandbox=NO
isolate=NO
isolate_network=NO
`, d.port, l.path("root"), l.path("empty"))
	if err := os.Mkdir(l.path("empty"), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(l.path("vsftpd.conf"), []byte(config), 0o600); err != nil {
		return err
	}
	return l.startService(ctx, "vsftpd", []int{d.port}, unpacked("usr/sbin/vsftpd"), l.path("vsftpd.conf"))
}

func (l *lab) startProFTPD(ctx context.Context, d ftpd) error {
	config := fmt.Sprintf(`ServerType standalone
DefaultAddress %s
SocketBindTight off
Port %d
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
RequireValidShell off
AllowOverwrite on
Umask 022
<Anonymous %s>
  User daemon
  Group daemon
  UserAlias anonymous daemon
  RequireValidShell off
</Anonymous>
`, l.anywhere(), d.port, l.path("proftpd.pid"), l.path("scoreboard"), l.path("proftpd.system.log"), l.path("root"))
	if err := os.WriteFile(l.path("proftpd.conf"), []byte(config), 0o600); err != nil {
		return err
	}
	return l.startService(ctx, "ProFTPD", []int{d.port}, unpacked("usr/sbin/proftpd"), "--nodaemon", "-c", l.path("proftpd.conf"))
}

func (l *lab) startPureFTPd(ctx context.Context, d ftpd) error {
	// "wonderland" by crypt(3), with few rounds
	const hash = "$6$rounds=1000$pasvport$7osjtdCVUEmjC6Fn/yzAYKfJrFovX0POSYgPVBbXX1PyfYVxN.KO0tZ0c9.eaJW/WCL7I2H/NBEyddj8u/L.S1"
	users := fmt.Sprintf("%s:%s:%d:%d::%s/./::::::::::::\n", d.user, hash, daemon, daemon, l.path("root"))
	if err := os.WriteFile(l.path("passwd"), []byte(users), 0o600); err != nil {
		return err
	}
	if _, err := (host{}).run(ctx, unpacked("usr/bin/pure-pw"), "mkdb", l.path("pdb"), "-f", l.path("passwd")); err != nil {
		return err
	}
	return l.startService(ctx, "Pure-FTPd", []int{d.port}, unpacked("usr/sbin/pure-ftpd"),
		"-S", fmt.Sprint(d.port), "-l", "puredb:"+l.path("pdb"), "-u", "1", "-E", "-H", "-c", "500", "-C", "500", "-g", l.path("pure-ftpd.pid"))
}

func (l *lab) startPyftpdlib(ctx context.Context, d ftpd) error {
	return l.startService(ctx, "pyftpdlib", []int{d.port}, "/usr/bin/python3", "-W", "ignore", "test/testdata/pyftpd.py",
		l.anywhere(), fmt.Sprint(d.port), l.path("root"), d.user, d.password)
}
