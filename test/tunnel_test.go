//go:build linux

package test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/textproto"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/goleak"

	"github.com/pasvport/pasvport/ftpmux"
	"github.com/pasvport/pasvport/sshconf"
	"github.com/pasvport/pasvport/tunnel"
)

// ownAddress returns an IPv4 address of this machine besides loopback.
func ownAddress(t *testing.T) string {
	t.Helper()
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, addr := range addrs {
		if ip := addr.(*net.IPNet).IP.To4(); ip != nil && ip.IsGlobalUnicast() {
			return ip.String()
		}
	}
	t.Fatal("this test takes a machine with an IPv4 address besides loopback, for an FTP server that sshd does not share it with")
	return ""
}

// TestNothingBypasses asks an FTP server, for each of its connections, which
// process is at the other end: it has to be sshd, always.
func TestNothingBypasses(t *testing.T) {
	ssh := startSSHD(t)
	for _, test := range []struct{ name, ip, data string }{
		{"loopback", "127.0.0.1", "auto"},
		{"loopback-to-passive", "127.0.0.1", "passive"},
		{"loopback-to-active", "127.0.0.1", "active"},
		{"elsewhere", ownAddress(t), "auto"}, // where active mode cannot be forwarded
	} {
		t.Run(test.name, func(t *testing.T) {
			server := startPyftpd(t, test.ip, "report")
			server.waitFor(t, server.stdout, `control.*\n`) // startPyftpd's own look
			before := len(peers(t, server))

			p := startPasvport(t, ssh, "--data", test.data, "-L", "0:"+server.addr())
			content := noise(300_000)
			serveFile(t, filepath.Join(server.root, "down.bin"), content)
			var wanted int
			for _, active := range []bool{false, true} {
				// ncftp connects to whatever address a 227 reply names
				for _, name := range []string{"curl", "ncftpget", "lftp"} {
					c := newCell(t, server, p.addrs[0], fmt.Sprintf("%s-%v", name, active), active)
					switch name {
					case "curl":
						c.must(c.command("curl", slices.Concat([]string{"-sS", "-u", c.user + ":" + c.password, "-O"},
							map[bool][]string{true: {"-P", "-"}}[active], []string{"ftp://" + p.addrs[0] + "/down.bin"})...))
					case "ncftpget":
						c.must(c.command("ncftpget", "-u", c.user, "-p", c.password, "-P", c.port, c.mode("-F", "-E"), c.host, ".", "/down.bin"))
					case "lftp":
						c.must(c.command("lftp", "--norc", "-c", "set ftp:passive-mode "+c.mode("yes", "no")+
							"; open -u "+c.user+","+c.password+" -p "+c.port+" "+c.host+"; get down.bin; put down.bin -o up.bin"))
						wanted++
					}
					wanted++
					c.checkLocal("down.bin", content)
				}
			}

			allowed := descendants(ssh.cmd.Process.Pid)
			var data int
			for _, peer := range peers(t, server)[before:] {
				if !strings.HasPrefix(peer.Program, "sshd") || !slices.Contains(allowed, peer.PID) {
					t.Errorf("%s connection from %s is of %q, process %d, and not of sshd %v", peer.Kind, peer.Addr, peer.Program, peer.PID, allowed)
				}
				if peer.Kind == "data" {
					data++
				}
			}
			if data < wanted {
				t.Errorf("the server has seen %d data connections, want %d or more", data, wanted)
			}
		})
	}
}

// TestServerHalf looks which commands reach the FTP server, in each combination
// of what the client asks for and what --data and sshd make of it.
func TestServerHalf(t *testing.T) {
	for _, test := range []struct {
		name, sshd, data string
		active           bool // the client's mode
		want, never      []string
	}{
		{"passive", "", "auto", false, []string{"EPSV", "PASV"}, []string{"EPRT", "PORT"}},
		{"passive-to-active", "", "active", false, []string{"EPRT", "PORT"}, []string{"EPSV", "PASV"}},
		{"active", "", "auto", true, []string{"EPRT", "PORT"}, []string{"EPSV", "PASV"}},
		{"active-to-passive", "", "passive", true, []string{"EPSV", "PASV"}, []string{"EPRT", "PORT"}},
		{"PermitListen-none", "PermitListen none", "auto", true, []string{"EPSV", "PASV"}, nil},
		{"AllowTcpForwarding-local", "AllowTcpForwarding local", "auto", true, []string{"EPSV", "PASV"}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			ssh := startSSHD(t, test.sshd)
			server := startVsftpd(t, "127.0.0.1")
			p := startPasvport(t, ssh, "--data", test.data, "-L", "0:"+server.addr())
			newCell(t, server, p.addrs[0], "cell", test.active).run(clientNamed(t, "curl"))

			log, err := os.ReadFile(server.path("log"))
			if err != nil {
				t.Fatal(err)
			}
			sent := func(verb string) bool { return bytes.Contains(log, []byte(`"`+verb)) }
			if !slices.ContainsFunc(test.want, sent) {
				t.Errorf("the server has seen none of %q", test.want)
			}
			if slices.ContainsFunc(test.never, sent) {
				t.Errorf("the server has seen one of %q", test.never)
			}
			if t.Failed() {
				t.Log(tail(string(log)))
			}
		})
	}
}

// TestIPv6 is for clients that come over IPv6, where there is no PASV and no PORT.
func TestIPv6(t *testing.T) {
	if ln, err := net.Listen("tcp", "[::1]:0"); err != nil {
		t.Fatalf("this test takes a machine with IPv6, if only on loopback: %v", err)
	} else {
		ln.Close()
	}
	ssh := startSSHD(t)
	server := startProFTPD(t, elsewhere)
	p := startPasvport(t, ssh, "-L", "[::1]:0:"+server.addr())
	if host, _, _ := net.SplitHostPort(p.addrs[0]); host != "::1" {
		t.Fatalf("pasvport listens on %s, want ::1", p.addrs[0])
	}
	for _, active := range []bool{false, true} {
		for _, name := range []string{"curl", "tnftp"} {
			t.Run(fmt.Sprintf("%s/active=%v", name, active), func(t *testing.T) {
				newCell(t, server, p.addrs[0], fmt.Sprintf("%s-%v", name, active), active).run(clientNamed(t, name))
			})
		}
	}
}

// TestAnonymous logs in as clients do that are given no user.
func TestAnonymous(t *testing.T) {
	ssh := startSSHD(t)
	for _, ftpd := range ftpds {
		if ftpd.name == "Pure-FTPd" {
			continue // its anonymous user is a system account, which the tests do not make
		}
		t.Run(ftpd.name, func(t *testing.T) {
			t.Parallel()
			server := ftpd.start(t, elsewhere)
			content := noise(1000)
			serveFile(t, filepath.Join(server.root, "pub.bin"), content)
			p := startPasvport(t, ssh, "-L", "0:"+server.addr())
			c := newCell(t, server, p.addrs[0], "cell", false)
			url := "ftp://" + p.addrs[0] + "/pub.bin"
			for _, args := range [][]string{
				{"curl", "-sS", "-O", url},
				{"wget", "--no-config", "-nv", url},
				{"tnftp", "-a", url},
				{"ncftpget", url},
				{"lftp", "--norc", "-c", "get " + url},
			} {
				os.Remove(filepath.Join(c.local, "pub.bin"))
				c.must(c.command(args[0], args[1:]...))
				c.checkLocal("pub.bin", content)
			}
		})
	}
}

// login opens an FTP session by hand.
func login(t *testing.T, server *ftpServer, addr string) *textproto.Conn {
	t.Helper()
	conn, err := textproto.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	expect(t, conn, "", 220)
	expect(t, conn, "USER "+server.user, 331)
	expect(t, conn, "PASS "+server.password, 230)
	return conn
}

// expect sends a command, unless it is empty, and wants a reply with this code.
func expect(t *testing.T, conn *textproto.Conn, command string, code int) string {
	t.Helper()
	if command != "" {
		if err := conn.PrintfLine("%s", command); err != nil {
			t.Fatalf("%s: %v", command, err)
		}
	}
	_, text, err := conn.ReadResponse(code)
	if err != nil {
		t.Fatalf("%s: %v", command, err)
	}
	return text
}

// signalSSH sends a signal to sshd's side of all SSH connections.
func signalSSH(t *testing.T, ssh *sshd, signal syscall.Signal) {
	t.Helper()
	sessions := ssh.sessions()
	if len(sessions) == 0 {
		t.Fatal("sshd has no session")
	}
	for _, pid := range sessions {
		for _, child := range descendants(pid) {
			syscall.Kill(child, signal)
		}
		syscall.Kill(pid, signal)
	}
}

// loseSSH kills sshd's side of all SSH connections.
func loseSSH(t *testing.T, ssh *sshd) {
	t.Helper()
	signalSSH(t, ssh, syscall.SIGKILL)
}

// TestSSHLost loses the SSH connection of an idle client; TestFaults is about transfers.
func TestSSHLost(t *testing.T) {
	ssh := startSSHD(t)
	server := startVsftpd(t, elsewhere)
	p := startPasvport(t, ssh, "-L", "0:"+server.addr())
	conn := login(t, server, p.addrs[0])
	expect(t, conn, "PWD", 257)
	loseSSH(t, ssh)
	expect(t, conn, "", 421)
	if line, err := conn.ReadLine(); err == nil {
		t.Errorf("after the 421 came %q, want the end", line)
	}
	conn = login(t, server, p.addrs[0])
	expect(t, conn, "PWD", 257)
	expect(t, conn, "QUIT", 221)
}

// sizeOf returns a file's size, 0 when there is none.
func sizeOf(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return info.Size()
}

// descriptors returns how many files and sockets a process has open, 0 for one
// that has just ended.
func descriptors(t *testing.T, pid int) int {
	t.Helper()
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ESRCH) {
		t.Fatal(err)
	}
	return len(entries)
}

// transfers has lftp fetch a file of server's n times in each mode, through addr.
func transfers(t *testing.T, server *ftpServer, addr string, n int) {
	t.Helper()
	c := newCell(t, server, addr, "cell", false)
	serveFile(t, filepath.Join(server.root, "file.bin"), noise(1000))
	script := strings.Repeat("get -O . file.bin -o file.bin\n", n)
	for _, passive := range []string{"yes", "no"} {
		c.hold(passive, []byte("set xfer:clobber yes\nset cmd:fail-exit yes\nset ftp:passive-mode "+passive+"\n"+
			"open -u "+c.user+","+c.password+" -p "+c.port+" "+c.host+"\n"+script))
		if out := c.must(c.command("lftp", "--norc", "-f", passive)); t.Failed() {
			t.Fatal(tail(out))
		}
	}
}

// TestNothingLeft runs 500 transfers in each mode through one pasvport, and
// counts what it and sshd have open afterwards.
func TestNothingLeft(t *testing.T) {
	ssh := startSSHD(t)
	server := startVsftpd(t, "127.0.0.1")
	p := startPasvport(t, ssh, "-L", "0:"+server.addr())
	open := func() (ours, theirs int) {
		for _, pid := range descendants(ssh.cmd.Process.Pid) {
			theirs += descriptors(t, pid)
		}
		return descriptors(t, p.cmd.Process.Pid), theirs
	}
	transfers(t, server, p.addrs[0], 5)
	var ours, theirs int
	ours, theirs = open()
	transfers(t, server, p.addrs[0], 500)
	eventually(t, fmt.Sprintf("pasvport has %d descriptors again, and sshd %d", ours, theirs), func() bool {
		oursNow, theirsNow := open()
		return oursNow <= ours && theirsNow <= theirs
	})
}

// TestNoGoroutineLeft does the same inside of this process, whose goroutines and
// descriptors can be named.
func TestNoGoroutineLeft(t *testing.T) {
	ssh := startSSHD(t)
	server := startVsftpd(t, "127.0.0.1")
	host, err := (&sshconf.Resolver{File: ssh.config}).Resolve("testhost")
	if err != nil {
		t.Fatal(err)
	}
	before := goleak.IgnoreCurrent()
	remote := tunnel.New(host, tunnel.Options{})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	mux := &ftpmux.Mux{Remote: remote, Server: server.addr()}
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- mux.Serve(ctx, ln) }()

	transfers(t, server, ln.Addr().String(), 5)
	idle, open := goleak.IgnoreCurrent(), descriptors(t, os.Getpid())
	transfers(t, server, ln.Addr().String(), 500)
	goleak.VerifyNone(t, idle)
	if now := descriptors(t, os.Getpid()); now > open {
		t.Errorf("%d descriptors are open, %d before", now, open)
	}

	stop()
	if err := <-served; err != nil {
		t.Error(err)
	}
	remote.Close()
	goleak.VerifyNone(t, before)
}

// TestSeveralServers serves two FTP servers with one pasvport.
func TestSeveralServers(t *testing.T) {
	t.Parallel()
	ssh := startSSHD(t)
	servers := []*ftpServer{startVsftpd(t, elsewhere), startPyftpdlib(t, "127.0.0.1")}
	p := startPasvport(t, ssh, "-L", "0:"+servers[0].addr(), "-L", "0:"+servers[1].addr())
	for i, server := range servers {
		content := noise(1000 + i)
		serveFile(t, filepath.Join(server.root, "which.bin"), content)
		c := newCell(t, server, p.addrs[i], "cell", false)
		c.must(c.command("curl", "-sS", "-u", c.user+":"+c.password, "-O", "ftp://"+p.addrs[i]+"/which.bin"))
		c.checkLocal("which.bin", content)
	}
}
