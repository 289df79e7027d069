//go:build linux

package test

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pasvport/pasvport/ftpmux"
	"github.com/pasvport/pasvport/sshconf"
	"github.com/pasvport/pasvport/tunnel"
)

// TestSharedMaster goes through a connection that ssh shares. Nothing can be asked
// to listen there: an active client gets a passive server, unless that is forbidden.
func TestSharedMaster(t *testing.T) {
	t.Parallel()
	ssh := startSSHD(t)
	dir, err := os.MkdirTemp("", "m") // short, as a socket's name must be
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	socket := filepath.Join(dir, "s")
	// LocalCommand is run when the socket is there.
	master := startProcess(t, exec.Command(program(t, "ssh"), "-F", ssh.config, "-M", "-S", socket, "-N",
		"-o", "PermitLocalCommand=yes", "-o", "LocalCommand=echo up", "testhost"))
	master.waitFor(t, master.stdout, "up")
	check := func() {
		t.Helper()
		if out, err := exec.Command("ssh", "-F", "none", "-S", socket, "-O", "check", "x").CombinedOutput(); err != nil {
			t.Fatalf("the master is gone: %v: %s", err, out)
		}
	}
	for _, start := range []func(*testing.T, string) *ftpServer{startPyftpdlib, startVsftpd} {
		server := start(t, "127.0.0.1")
		content := noise(300_000)
		serveFile(t, filepath.Join(server.root, "down.bin"), content)
		// With the socket alone it goes nowhere else: nothing listens at port 1.
		remote := tunnel.New(&sshconf.Host{Alias: "testhost", HostName: "127.0.0.1", Port: 1, ControlPath: socket}, tunnel.Options{})
		for _, data := range []ftpmux.DataMode{ftpmux.Auto, ftpmux.Active} {
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			ctx, stop := context.WithCancel(t.Context())
			served := make(chan error, 1)
			mux := &ftpmux.Mux{Remote: remote, Server: server.addr(), Data: data}
			go func() { served <- mux.Serve(ctx, ln) }()
			c := newCell(t, server, ln.Addr().String(), string(data), false)
			get := func(more ...string) *exec.Cmd {
				return c.command("curl", slices.Concat([]string{"-sSv", "-u", c.user + ":" + c.password, "-o", "got.bin"}, more, []string{"ftp://" + ln.Addr().String() + "/down.bin"})...)
			}
			switch data {
			case ftpmux.Auto:
				c.must(get())
				c.checkLocal("got.bin", content)
				c.must(get("-P", "-"))
				c.checkLocal("got.bin", content)
			case ftpmux.Active:
				out, err := get("-P", "-").CombinedOutput()
				if want := "425 Cannot listen at the far side: sshd cannot listen on 127.0.0.1:0 for us"; err == nil || !strings.Contains(string(out), want) {
					t.Errorf("%v, no %q in %s", err, want, out)
				}
			}
			stop()
			if err := <-served; err != nil {
				t.Error(err)
			}
		}
		remote.Close()
		check()
	}
}
