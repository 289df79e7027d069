//go:build linux

package test

import (
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"
)

// ftpUID is Debian's user and group "daemon", whose rights the FTP servers take
// for their sessions: vsftpd wants a user with a home that exists.
const ftpUID = 1

// elsewhere is a loopback address that nobody listens on but the FTP servers,
// and the other end of no tunnel. What goes to 127.0.0.1 by mistake ends there.
const elsewhere = "127.0.0.9"

// The one account of every FTP server that has accounts.
const (
	ftpUser     = "alice"
	ftpPassword = "wonderland"
	// crypt(3), with few rounds since several servers log in at once on few cores
	ftpHash = "$6$rounds=1000$pasvport$7osjtdCVUEmjC6Fn/yzAYKfJrFovX0POSYgPVBbXX1PyfYVxN.KO0tZ0c9.eaJW/WCL7I2H/NBEyddj8u/L.S1"
)

// An ftpServer runs beside the test.
type ftpServer struct {
	*process
	ip   string
	port int
	dir  string // its configuration and logs
	root string // what its users see as /

	user, password string

	stub *stub // in place of the process, or nil
}

func (s *ftpServer) addr() string { return net.JoinHostPort(s.ip, strconv.Itoa(s.port)) }

func (s *ftpServer) portText() string { return strconv.Itoa(s.port) }

// newFTPServer prepares folders and a port for a server on ip. Whoever calls it
// starts the process.
func newFTPServer(t *testing.T, ip string) *ftpServer {
	t.Helper()
	s := &ftpServer{ip: ip, port: freePort(t, ip), dir: publicDir(t), user: ftpUser, password: ftpPassword}
	s.root = filepath.Join(s.dir, "root") // root's own: vsftpd refuses one that its user can write
	if err := os.Mkdir(s.root, 0o755); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *ftpServer) path(name string) string { return filepath.Join(s.dir, name) }

// ftpds are the FTP servers of the tests.
var ftpds = []struct {
	name  string
	start func(t *testing.T, ip string) *ftpServer
}{
	{"vsftpd", startVsftpd},
	{"ProFTPD", startProFTPD},
	{"Pure-FTPd", startPureFTPd},
	{"pyftpdlib", startPyftpdlib},
}
