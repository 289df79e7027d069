//go:build linux

package test

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// modes are the ways of the data connections: who connects to whom on the
// client's side, and on the FTP server's.
var modes = []struct {
	name   string
	active bool // the client's mode
	ip     string
	sshd   string // an option of it
	flags  []string
	ftpd   string // alone; "" is all
}{
	{name: "passive", ip: elsewhere},
	{name: "active-to-passive", active: true, ip: elsewhere, sshd: "PermitListen none"},
	{name: "active", active: true, ip: "127.0.0.1"}, // the FTP server connects to sshd
	{name: "passive-to-active", ip: "127.0.0.1", flags: []string{"--data", "active"}},
	{name: "without-prefetch", ip: elsewhere, flags: []string{"--prefetch=false"}, ftpd: "vsftpd"},
}

// mirrored is how many files a mirror has.
const mirrored = 100

// odd are file names that something on the way might trip over.
var odd = []string{
	"two words.bin",
	"žluťoučký 日本.bin",
	`it's "quoted".bin`,
	"-dash.bin",
	"100%41 #1.bin",
}

// A cell is one client against one server in one mode, with folders of its own
// on both sides.
type cell struct {
	*testing.T
	host, port     string // where the client connects to
	user, password string
	active         bool
	path           string // of its folder, as the FTP server names it
	remote, local  string // its folder on the server's disk, and the client's
	listing        string // what the client showed of the folder "tree"

	files map[string][]byte // content of what both sides hold at first, by name
}

// An op is one thing that clients do.
type op struct {
	name    string
	prepare func(c *cell) // on both disks, before the client runs
	check   func(c *cell) // what it has done
}

// ops are all that a client does in a cell. Its script does them under the
// names of files that stand here.
var ops = []op{
	{"list", nil, func(c *cell) {
		for _, name := range treeNames() {
			if !strings.Contains(c.listing, name) {
				c.Errorf("%s is not in the listing:\n%s", name, tail(c.listing))
				break
			}
		}
	}},
	{"download", func(c *cell) {
		c.serve("down.bin", noise(700_001))
	}, func(c *cell) {
		c.checkLocal("down.bin", c.files["down.bin"])
	}},
	// The first half that is there already differs from the server's, so that a
	// client which fetches it all again is noticed.
	{"resume", func(c *cell) {
		c.serve("again.bin", noise(600_000))
		c.hold("again.bin", make([]byte, 300_000))
	}, func(c *cell) {
		c.checkLocal("again.bin", append(make([]byte, 300_000), c.files["again.bin"][300_000:]...))
	}},
	{"ascii-download", func(c *cell) {
		c.serve("text.txt", text())
	}, func(c *cell) {
		got, err := os.ReadFile(filepath.Join(c.local, "text.txt"))
		// some clients leave the line ends as they crossed the wire
		if got = bytes.ReplaceAll(got, []byte("\r\n"), []byte("\n")); err != nil || !bytes.Equal(got, text()) {
			c.Errorf("text.txt: %d bytes of text are not the %d that the server has (%v)", len(got), len(text()), err)
		}
	}},
	{"upload", func(c *cell) {
		c.files["up.bin"] = noise(700_001)
		c.hold("up.bin", c.files["up.bin"])
	}, func(c *cell) {
		c.checkRemote("up.bin", c.files["up.bin"])
	}},
	{"upload-resume", func(c *cell) {
		c.files["part.bin"] = noise(600_000)
		c.hold("part.bin", c.files["part.bin"])
		serveFile(c.T, filepath.Join(c.remote, "part.bin"), make([]byte, 300_000))
	}, func(c *cell) {
		c.checkRemote("part.bin", append(make([]byte, 300_000), c.files["part.bin"][300_000:]...))
	}},
	{"append", func(c *cell) {
		c.serve("grow.bin", noise(100_000))
		c.files["tail.bin"] = noise(50_000)
		c.hold("tail.bin", c.files["tail.bin"])
	}, func(c *cell) {
		c.checkRemote("grow.bin", append(bytes.Clone(c.files["grow.bin"]), c.files["tail.bin"]...))
	}},
	{"ascii-upload", func(c *cell) {
		c.hold("uptext.txt", text())
	}, func(c *cell) {
		c.checkRemote("uptext.txt", text())
	}},
	{"rename", func(c *cell) {
		c.serve("old.bin", noise(100))
	}, func(c *cell) {
		c.checkRemote("new.bin", c.files["old.bin"])
		checkGone(c.T, filepath.Join(c.remote, "old.bin"))
	}},
	{"mkdir", nil, func(c *cell) {
		checkDir(c.T, filepath.Join(c.remote, "made.d"))
	}},
	{"delete", func(c *cell) {
		c.serve("doomed.bin", noise(100))
	}, func(c *cell) {
		checkGone(c.T, filepath.Join(c.remote, "doomed.bin"))
	}},
	{"rmdir", func(c *cell) {
		makeDir(c.T, c.remote, "doomed.d")
	}, func(c *cell) {
		checkGone(c.T, filepath.Join(c.remote, "doomed.d"))
	}},
	{"mirror", func(c *cell) {
		makeDir(c.T, c.remote, "tree")
		makeDir(c.T, c.local, "tree")
		for i, name := range treeNames() {
			c.serve("tree/"+name, noise(i*50)) // the first is empty
		}
	}, func(c *cell) {
		for _, name := range treeNames() {
			c.checkLocal("tree/"+name, c.files["tree/"+name])
		}
	}},
	{"mirror-upload", func(c *cell) {
		makeDir(c.T, c.local, "copy")
		makeDir(c.T, c.remote, "copy")
		for _, name := range copyNames() {
			c.files["copy/"+name] = noise(1000)
			c.hold("copy/"+name, c.files["copy/"+name])
		}
	}, func(c *cell) {
		for _, name := range copyNames() {
			c.checkRemote("copy/"+name, c.files["copy/"+name])
		}
	}},
	{"odd-download", func(c *cell) {
		makeDir(c.T, c.remote, "odd")
		makeDir(c.T, c.local, "odd")
		for _, name := range odd {
			c.serve("odd/"+name, noise(1000))
		}
	}, func(c *cell) {
		for _, name := range odd {
			c.checkLocal("odd/"+name, c.files["odd/"+name])
		}
	}},
	{"odd-upload", func(c *cell) {
		makeDir(c.T, c.remote, "oddup")
		makeDir(c.T, c.local, "oddup")
		for _, name := range odd {
			c.files["oddup/"+name] = noise(1000)
			c.hold("oddup/"+name, c.files["oddup/"+name])
		}
	}, func(c *cell) {
		for _, name := range odd {
			c.checkRemote("oddup/"+name, c.files["oddup/"+name])
		}
	}},
}

// treeNames are the names of the files in the folder "tree".
func treeNames() []string {
	var names []string
	for i := range mirrored {
		names = append(names, fmt.Sprintf("file-%03d.bin", i))
	}
	return names
}

// copyNames are the names of the files in the folder "copy".
func copyNames() []string { return treeNames()[:20] }

// text is a text whose lines end as they do on this machine.
func text() []byte {
	return []byte(strings.Repeat("The quick brown fox jumps over the lazy dog\n\n", 3000))
}

// serve puts a file into the server's folder.
func (c *cell) serve(name string, data []byte) {
	c.Helper()
	c.files[name] = data
	serveFile(c.T, filepath.Join(c.remote, name), data)
}

// hold puts a file into the client's folder.
func (c *cell) hold(name string, data []byte) {
	c.Helper()
	writeFile(c.T, filepath.Join(c.local, name), data)
}

func (c *cell) checkLocal(name string, want []byte) {
	c.Helper()
	checkFile(c.T, filepath.Join(c.local, name), want)
}

func (c *cell) checkRemote(name string, want []byte) {
	c.Helper()
	checkFile(c.T, filepath.Join(c.remote, name), want)
}

// newCell makes a cell for a client that gets to server at host and port. The
// name is that of its folder, and nobody else's on that server.
func newCell(t *testing.T, server *ftpServer, addr, name string, active bool) *cell {
	t.Helper()
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	return &cell{
		T: t, host: host, port: port,
		user: server.user, password: server.password,
		active: active,
		path:   "/" + name,
		remote: makeDir(t, server.root, name),
		local:  t.TempDir(),
		files:  make(map[string][]byte),
	}
}

// TestMatrix lets every client do everything with every server in every mode.
func TestMatrix(t *testing.T) {
	type site struct{ ftpd, ip string }
	servers := make(map[site]*ftpServer)
	for _, ftpd := range ftpds {
		for _, ip := range []string{elsewhere, "127.0.0.1"} {
			servers[site{ftpd.name, ip}] = ftpd.start(t, ip)
		}
	}
	sshds := make(map[string]*sshd)
	for _, mode := range modes {
		if sshds[mode.sshd] == nil && !*direct {
			sshds[mode.sshd] = startSSHD(t, mode.sshd)
		}
	}
	for _, ftpd := range ftpds {
		for _, client := range clients {
			for _, mode := range modes {
				if mode.ftpd != "" && mode.ftpd != ftpd.name {
					continue
				}
				server := servers[site{ftpd.name, mode.ip}]
				t.Run(ftpd.name+"/"+client.name+"/"+mode.name, func(t *testing.T) {
					t.Parallel()
					addr := server.addr()
					if !*direct {
						addr = startPasvport(t, sshds[mode.sshd], append(mode.flags, "-L", "0:"+addr)...).addrs[0]
					}
					name := strings.Join([]string{ftpd.name, client.name, mode.name}, "-")
					newCell(t, server, addr, name, mode.active).run(client)
				})
			}
		}
	}
}

// run lets the client do all that it can do, and checks each thing.
func (c *cell) run(client *client) {
	c.Helper()
	for _, op := range ops {
		if op.prepare != nil {
			op.prepare(c)
		}
	}
	output := client.run(c)
	t := c.T
	for _, op := range ops {
		if client.cannot[op.name] != "" {
			continue
		}
		t.Run(op.name, func(t *testing.T) {
			c.T = t
			op.check(c)
		})
	}
	if t.Failed() {
		t.Logf("%s: %s", client.name, output)
	}
}
