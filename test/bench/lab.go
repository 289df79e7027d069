//go:build linux

package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/user"
	"path/filepath"
	"strings"
)

// A lab is two hosts with a link between them, sshd and FTP servers on the far one.
type lab struct {
	dir       string // of all files: programs, configurations, logs, what is transferred
	near, far host
	sshPort   int    // where SSH clients connect to
	sshdPort  int    // where sshd listens: the same, unless there is a relay between
	user      string // to log in as
	ftpds     map[string]ftpd
	services  []*service
	remove    func()
	numbers   int // the last number that was given away
}

// Sizes of what is transferred.
const (
	smallSize  = 4 << 10
	mediumSize = 512 << 10
	bigSize    = 48 << 20
	largeSize  = 256 << 20
)

const mediumFiles = 20

// newLab sets all up but the link. With root there are two network namespaces, and
// without both hosts are this machine.
func newLab(ctx context.Context, files int) (*lab, error) {
	dir, err := os.MkdirTemp("", "pasvport-bench")
	if err != nil {
		return nil, err
	}
	l := &lab{dir: dir, remove: func() {}, numbers: 3000}
	if err := l.setUp(ctx, files); err != nil {
		l.close()
		return nil, err
	}
	return l, nil
}

func (l *lab) setUp(ctx context.Context, files int) (err error) {
	if err := os.Chmod(l.dir, 0o755); err != nil { // the servers give up root's rights
		return err
	}
	if _, err := (host{}).run(ctx, "go", "build", "-o", l.dir, "./cmd/pasvport", "./test/bench/wan"); err != nil {
		return err
	}
	loopback := netip.MustParseAddr("127.0.0.1")
	l.near, l.far = host{addr: loopback}, host{addr: loopback}
	if l.emulated() {
		name := filepath.Base(l.dir)
		l.near = host{name + "-near", netip.MustParseAddr("10.9.0.1")}
		l.far = host{name + "-far", netip.MustParseAddr("10.9.0.2")}
		if l.remove, err = l.addNamespaces(ctx); err != nil {
			return err
		}
	}
	if err := l.makeFiles(files); err != nil {
		return err
	}
	if err := l.startSSHD(ctx); err != nil {
		return err
	}
	return l.startFTPDs(ctx)
}

// emulated tells whether there is a link between two namespaces.
func (l *lab) emulated() bool { return os.Geteuid() == 0 }

// anywhere is where the servers listen. The link's address comes after them.
func (l *lab) anywhere() string {
	if l.emulated() {
		return "0.0.0.0"
	}
	return "127.0.0.1"
}

func (l *lab) close() {
	for _, s := range l.services {
		s.stop()
	}
	l.remove()
	os.RemoveAll(l.dir)
}

// port is one that nobody else has.
func (l *lab) port() int {
	if !l.emulated() {
		if ln, err := net.Listen("tcp", "127.0.0.1:0"); err == nil {
			defer ln.Close()
			return ln.Addr().(*net.TCPAddr).Port
		}
	}
	return l.number()
}

// number is one that the lab has not given away before.
func (l *lab) number() int {
	l.numbers++
	return l.numbers
}

// makeFiles makes what is transferred: root/small/0 and so on, root/medium/0 and so on,
// root/large; uploads go to root/up.
func (l *lab) makeFiles(files int) error {
	for dir, content := range map[string]struct{ number, size int }{
		"small": {files, smallSize}, "few": {few, smallSize}, "medium": {mediumFiles, mediumSize}, "large": {1, largeSize}, "big": {1, bigSize},
	} {
		if err := os.MkdirAll(l.path("root/"+dir), 0o755); err != nil {
			return err
		}
		for i := range content.number {
			data := make([]byte, content.size)
			rand.Read(data)
			if err := os.WriteFile(l.path(fmt.Sprintf("root/%s/%d", dir, i)), data, 0o644); err != nil {
				return err
			}
		}
	}
	if err := os.Mkdir(l.path("root/up"), 0o755); err != nil {
		return err
	}
	if !l.emulated() {
		return nil
	}
	return os.Chown(l.path("root/up"), daemon, daemon)
}

// startSSHD starts the SSH server and writes the client's configuration, in which it is
// called "far".
func (l *lab) startSSHD(ctx context.Context) error {
	for _, key := range []string{"host_key", "id"} {
		if _, err := (host{}).run(ctx, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", l.path(key)); err != nil {
			return err
		}
	}
	hostKey, err := os.ReadFile(l.path("host_key.pub"))
	if err != nil {
		return err
	}
	me, err := user.Current()
	if err != nil {
		return err
	}
	l.user, l.sshdPort = me.Username, l.port()
	l.sshPort = l.sshdPort
	if !l.emulated() {
		l.sshPort = l.port()
	}
	server := fmt.Sprintf(`Port %d
ListenAddress %s
HostKey %s
AuthorizedKeysFile %s
PidFile none
UsePAM no
StrictModes no
PermitRootLogin yes
MaxStartups 1000
Subsystem sftp internal-sftp
SetEnv HOME=%s
`, l.sshdPort, l.anywhere(), l.path("host_key"), l.path("id.pub"), l.dir)
	client := fmt.Sprintf(`Host far
  HostName %s
  Port %d
  User %s
  IdentityFile %s
  IdentitiesOnly yes
  IdentityAgent none
  HostKeyAlias far
  UserKnownHostsFile %s
  GlobalKnownHostsFile /dev/null
`, l.far.addr, l.sshPort, l.user, l.path("id"), l.path("known_hosts"))
	for name, text := range map[string]string{
		"sshd_config": server, "ssh_config": client, "known_hosts": "far " + string(bytes.TrimSpace(hostKey)) + "\n",
	} {
		if err := os.WriteFile(l.path(name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	if l.emulated() {
		os.MkdirAll("/run/sshd", 0o755) // sshd tells if it is not there
	}
	// a descriptor for each of a thousand sessions
	return l.startService(ctx, "sshd", []int{l.sshdPort},
		"sh", "-c", "ulimit -n 8192; exec /usr/sbin/sshd -D -e -f "+l.path("sshd_config"))
}

// startService starts a server on the far host that runs as long as the lab.
func (l *lab) startService(ctx context.Context, name string, ports []int, args ...string) error {
	s, err := l.far.start(ctx, l.path(name+".log"), ports, args...)
	if err != nil {
		return fmt.Errorf("%s: %w", strings.ToLower(name), err)
	}
	l.services = append(l.services, s)
	return nil
}
