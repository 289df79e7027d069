//go:build linux

package test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// aborters are the clients that have a way to end a transfer and not the session.
// BSD's two end an upload by ending its data, without a word, as without a tunnel.
// Each is a program on a terminal, with the commands of a session: to get there, to
// begin the transfer that Ctrl-C ends, to fetch a file afterwards, and to leave.
var aborters = []struct {
	name     string
	args     func(c *cell) []string
	login    func(c *cell) []string
	prompt   string
	get, put string
	then     string
	bye      string
	silent   bool // in an upload
	again    bool // it may log in again
}{
	{
		name:   "tnftp",
		args:   func(c *cell) []string { return []string{"-n", "-i", "-p", c.host, c.port} },
		login:  func(c *cell) []string { return []string{"user " + c.user + " " + c.password, "binary", "cd " + c.path} },
		prompt: `ftp> `, get: "get big.bin", put: "put mine.bin sent.bin", then: "get small.bin", bye: "quit", silent: true,
	},
	{
		name:   "inetutils-ftp",
		args:   func(c *cell) []string { return []string{"-n", "-i", "-p", c.host, c.port} },
		login:  func(c *cell) []string { return []string{"user " + c.user + " " + c.password, "binary", "cd " + c.path} },
		prompt: `ftp> `, get: "get big.bin", put: "put mine.bin sent.bin", then: "get small.bin", bye: "quit", silent: true,
	},
	{
		name:   "ncftp",
		args:   func(c *cell) []string { return []string{"-u", c.user, "-p", c.password, "-P", c.port, c.host} },
		login:  func(c *cell) []string { return []string{"set passive on", "cd " + c.path} },
		prompt: `ncftp [^>]*> `, get: "get -z big.bin big.bin", put: "put -z mine.bin sent.bin", then: "get -z small.bin small.bin", bye: "quit",
	},
	{
		name: "lftp",
		args: func(c *cell) []string {
			return []string{"--norc", "-u", c.user + "," + c.password, "-p", c.port, c.host}
		},
		login:  func(c *cell) []string { return []string{"cd " + c.path} },
		prompt: `lftp [^>]*> `, get: "get big.bin", put: "put mine.bin -o sent.bin", then: "get small.bin", bye: "quit",
		again: true, // with pyftpdlib it loses count of the replies now and then, without a tunnel too
	},
}

// plainABOR is how the log shows an ABOR that goes to the server.
var plainABOR = regexp.MustCompile(`msg=m->S session=\d+ line=ABOR\n`)

// TestAbort is about a transfer that its user interrupts: whatever the client sends
// with its ABOR, the server gets the plain command, and the session goes on.
func TestAbort(t *testing.T) {
	ssh := startSSHD(t)
	for _, ftpd := range ftpds {
		server := ftpd.start(t, elsewhere)
		for _, way := range []string{"get", "put"} {
			for _, client := range aborters {
				name := strings.Join([]string{ftpd.name, client.name, way}, "-")
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					p := startPasvport(t, ssh, "-v", "-L", "0:"+server.addr())
					c := newCell(t, server, p.addrs[0], name, false)
					arrived := c.prepareAbort(way)
					s := onTerminal(t, c.command(client.name, client.args(c)...))
					prompt := s.prompts(t, client.prompt)
					prompt()
					for _, line := range client.login(c) {
						s.enter(t, line)
						prompt()
					}
					s.enter(t, map[string]string{"get": client.get, "put": client.put}[way])
					eventually(t, "a part of the file arrives", arrived)
					s.press(t, "\x03")
					prompt()
					s.enter(t, client.then)
					prompt()
					s.enter(t, client.bye)
					s.wait(t)
					c.checkLocal("small.bin", c.files["small.bin"])
					checkABOR(t, p, client.silent && way == "put", client.again)
				})
			}
			name := strings.Join([]string{ftpd.name, "ftplib", way}, "-")
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				p := startPasvport(t, ssh, "-v", "-L", "0:"+server.addr())
				c := newCell(t, server, p.addrs[0], name, false)
				c.prepareAbort(way)
				script, err := filepath.Abs("testdata/abort.py")
				if err != nil {
					t.Fatal(err)
				}
				t.Log(c.must(c.command("python3", script, c.host, c.port, c.user, c.password, c.path, way)))
				c.checkLocal("small.bin", c.files["small.bin"])
				checkABOR(t, p, false, false)
			})
		}
	}
}

// prompts returns what waits for the next prompt of the program on a screen.
func (s *screen) prompts(t *testing.T, pattern string) (next func()) {
	re, seen := regexp.MustCompile(pattern), 0
	return func() {
		t.Helper()
		eventually(t, "a prompt", func() bool {
			at := re.FindStringIndex(s.stdout.String()[seen:])
			if at == nil {
				select {
				case <-s.ended:
					t.Fatalf("%v ended", s.cmd.Args)
				default:
				}
				return false
			}
			seen += at[1]
			return true
		})
	}
}

// prepareAbort makes the files, the large one too large to be across before the
// user has pressed a key, and returns what tells that a part of it is.
func (c *cell) prepareAbort(way string) (arrived func() bool) {
	c.Helper()
	c.serve("small.bin", noise(100_000))
	large, part := filepath.Join(c.remote, "big.bin"), filepath.Join(c.local, "big.bin")
	if way == "put" {
		large, part = filepath.Join(c.local, "mine.bin"), filepath.Join(c.remote, "sent.bin")
	}
	serveFile(c.T, large, nil)
	if err := os.Truncate(large, 8<<30); err != nil {
		c.Fatal(err)
	}
	c.Cleanup(func() { os.Remove(part) })
	return func() bool { return sizeOf(part) > 0 }
}

// checkABOR looks for what the server got, when the session is over.
func checkABOR(t *testing.T, p *pasvport, silent, again bool) {
	t.Helper()
	p.waitFor(t, p.stderr, "session ends")
	log := p.stderr.String()
	if n := len(plainABOR.FindAllString(log, -1)); (n == 0) != silent {
		t.Errorf("the server got %d plain ABORs", n)
	}
	if n := strings.Count(log, "session begins"); n != 1 && !again {
		t.Errorf("the client needed %d sessions", n)
	}
}
