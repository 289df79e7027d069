//go:build linux

package test

import (
	"bytes"
	"io"
	"path/filepath"
	"syscall"
	"testing"
)

// TestConnections has transfers at the same time go by several SSH connections. One of
// them is killed: what it carried is broken, also to a control connection that lives on,
// and everything else is whole.
func TestConnections(t *testing.T) {
	for _, ftpd := range ftpds {
		t.Run(ftpd.name, func(t *testing.T) {
			t.Parallel()
			ssh := startSSHD(t)
			server := ftpd.start(t, elsewhere)
			makeDir(t, server.root, "many")
			content := noise(24 << 20) // more than is under way anywhere
			serveFile(t, filepath.Join(server.root, "many", "file"), content)
			tunnel := startPasvport(t, ssh, "--connections", "3", "-L", "0:"+server.addr())
			var clients []*rawClient
			for range 4 {
				c := startRawClient(t, tunnel.addrs[0], server.user, server.password, "many", false)
				c.begin("RETR file")
				clients = append(clients, c)
			}
			eventually(t, "there are three SSH connections", func() bool { return len(ssh.sessions()) == 3 })
			further := ssh.sessions()[1:]
			for _, pid := range descendants(further[0]) {
				syscall.Kill(pid, syscall.SIGKILL)
			}
			syscall.Kill(further[0], syscall.SIGKILL)
			broken := 0
			for i, c := range clients {
				data, err := io.ReadAll(c.data)
				code, line, _ := c.reply()
				for code == 150 { // again: with Pure-FTPd's rate, in front of its final reply
					code, line, _ = c.reply()
				}
				switch {
				case err == nil && code == 226 && bytes.Equal(data, content):
				case err != nil && code >= 400:
					broken++
				default:
					t.Errorf("client %d: %d bytes, %v, %q", i, len(data), err, line)
				}
				c.data.Close()
				c.begin("RETR file") // by what is left
				if data, err := io.ReadAll(c.data); err != nil || !bytes.Equal(data, content) {
					t.Errorf("client %d: then %d bytes, %v", i, len(data), err)
				}
				c.want(226)
			}
			if broken == 0 || broken == len(clients) {
				t.Errorf("%d of %d transfers were broken", broken, len(clients))
			}
		})
	}
}
