//go:build linux

package test

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestKinds looks that servers bear, without a tunnel, what is done ahead with their
// kind: the end of the client's half of a data connection as a download begins, and EPSV
// ahead of a transfer's final reply, which it is answered behind.
func TestKinds(t *testing.T) {
	for _, kind := range []struct {
		name  string
		start func(*testing.T, string) *ftpServer
		ahead bool // EPSV right behind the transfer command; else behind the end of its data
	}{
		{"vsftpd", startVsftpd, true},
		{"ProFTPD", startProFTPD, false},
	} {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			server := kind.start(t, elsewhere)
			makeDir(t, server.root, "kind")
			files := map[string][]byte{"empty": nil, "small": []byte("four"), "large": fileContent()}
			for name, content := range files {
				serveFile(t, filepath.Join(server.root, "kind", name), content)
			}
			c := startRawClient(t, server.addr(), server.user, server.password, "kind", false)
			next := c.passive()
			for round := range 10 {
				for _, command := range []string{"RETR empty", "RETR small", "RETR large", "RETR missing", "LIST", "NLST", "STOR new"} {
					t.Logf("round %d: %s", round, command)
					c.connect(next)
					verb, name, _ := strings.Cut(command, " ")
					upload := verb == "STOR"
					if !upload {
						c.data.CloseWrite()
					}
					c.say(command)
					if kind.ahead {
						c.say("EPSV")
					}
					if name == "missing" {
						c.want(550)
						if !kind.ahead {
							c.say("EPSV")
						}
						next = c.portIn(c.want(229))
						continue
					}
					c.want(150)
					if upload {
						c.send([]byte("four"))
						c.data.CloseWrite()
					}
					data, err := io.ReadAll(c.data)
					if want, known := files[name]; err != nil || known && !bytes.Equal(data, want) {
						t.Fatalf("%d bytes, %v", len(data), err)
					}
					if !kind.ahead {
						c.say("EPSV")
					}
					c.want(226)
					next = c.portIn(c.want(229))
				}
			}
			if got, err := os.ReadFile(filepath.Join(server.root, "kind", "new")); err != nil || string(got) != "four" {
				t.Errorf("uploaded %q, %v", got, err)
			}
		})
	}
}

// TestAhead looks what goes to a server before it is asked for by the client.
func TestAhead(t *testing.T) {
	ssh := startSSHD(t)
	for _, ftpd := range ftpds {
		t.Run(ftpd.name, func(t *testing.T) {
			t.Parallel()
			server := ftpd.start(t, elsewhere)
			makeDir(t, server.root, "ahead")
			serveFile(t, filepath.Join(server.root, "ahead", "file"), []byte("four"))
			tunnel := startPasvport(t, ssh, "-v", "-L", "0:"+server.addr())
			c := startRawClient(t, tunnel.addrs[0], server.user, server.password, "ahead", false)
			const rounds, anyNumber = 10, -1
			for range rounds {
				c.begin("RETR file")
				if data, err := io.ReadAll(c.data); err != nil || string(data) != "four" {
					t.Fatalf("got %q, %v", data, err)
				}
				c.want(226)
				c.say("TYPE I")
				c.want(200)
			}
			for what, want := range map[string]int{
				`msg=answered .* for=EPSV`:   rounds - 1, // all but the first
				`msg=answered .* for="TYPE`:  rounds,
				`msg=m->S .*line="RETR file`: rounds,
				// To ProFTPD it goes when the data has ended, of which we may hear before the 150.
				`msg=m->S .*line="RETR file"\n.*msg=m->S .*line=EPSV`: map[string]int{"vsftpd": rounds, "ProFTPD": anyNumber}[ftpd.name],
			} {
				pattern := regexp.MustCompile(what)
				eventually(t, fmt.Sprintf("the log has %s %d times", what, want), func() bool {
					return len(pattern.FindAllString(tunnel.stderr.String(), -1)) == want || want == anyNumber
				})
			}
			if strings.Contains(tunnel.stderr.String(), "level=WARN") {
				t.Error("there are warnings")
			}
		})
	}
}
