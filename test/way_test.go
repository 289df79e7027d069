//go:build linux

package test

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// proxyWord as first argument makes the test binary a ProxyCommand.
const proxyWord = "proxy"

// proxy connects its input and output with an address, as nc does. Before that it
// writes its process id into a file, and a word for whoever reads its errors.
func proxy(args []string) {
	host, port, pidFile := args[0], args[1], args[2]
	conn, err := net.Dial("tcp", net.JoinHostPort(host, port))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if err := os.WriteFile(pidFile, []byte(strconv.Itoa(os.Getpid())), 0o600); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Fprintln(os.Stderr, "the proxy speaks")
	go io.Copy(conn, os.Stdin)
	io.Copy(os.Stdout, conn)
}

// proxyCommand has the test binary carry the connection.
func (l *lab) proxyCommand() string {
	self, err := os.Executable()
	if err != nil {
		l.Fatal(err)
	}
	return fmt.Sprintf("'%s' %s %%h %%p '%s'", self, proxyWord, l.path("proxy-of-%n"))
}

// proxyIsGone looks that the last ProxyCommand has ended with its connection.
func proxyIsGone(l *lab) {
	pid, err := strconv.Atoi(readFile(l.T, l.path("proxy-of-testhost")))
	if err != nil {
		l.Fatal(err)
	}
	eventually(l.T, "the ProxyCommand has ended", func() bool { return syscall.Kill(pid, 0) == syscall.ESRCH })
}

// logins counts those that a server has let in, by what its log says.
func logins(s *sshd) int {
	return len(regexp.MustCompile(`Accepted \S+ for `).FindAllString(s.stderr.String(), -1))
}

// waitLogins waits for a server to log that it has let so many in: the log may be
// behind what it does.
func waitLogins(t *testing.T, s *sshd, n int) {
	t.Helper()
	eventually(t, fmt.Sprintf("sshd logs %d logins", n), func() bool { return logins(s) >= n })
}

// onlySSH looks that it was always ssh that spoke to testhost, which logs at
// level DEBUG1.
func onlySSH(l *lab) {
	waitLogins(l.T, l.ssh, 2)
	log := l.ssh.stderr.String()
	ours := strings.Count(log, "remote software version pasvport")
	if all := logins(l.ssh); ours != 0 || all != 2 {
		l.Errorf("sshd has let %d in, %d of them not ssh; want ssh twice", all, ours)
	}
}

// hop starts an sshd to pass on the way, which one key alone gets into.
func (l *lab) hop(alias, key string, lines ...string) *sshd {
	l.Helper()
	s := startSSHD(l.T)
	l.authorize(s, l.keys.public(key))
	l.host(alias, s, append(lines, "IdentityFile "+l.keys.path(key))...)
	l.hops = append(l.hops, s)
	return s
}

// hopsPassed looks that each hop was logged in to by both programs, and once.
func hopsPassed(l *lab) {
	for i, s := range l.hops {
		waitLogins(l.T, s, 2)
		if n := logins(s); n != 2 {
			l.Errorf("hop %d has let %d in, want 2", i+1, n)
		}
	}
}

// hopsUntouched looks that nobody has logged in to a hop.
func hopsUntouched(l *lab) {
	for i, s := range l.hops {
		if n := logins(s); n != 0 {
			l.Errorf("hop %d has let %d in, want none", i+1, n)
		}
	}
}

// master starts a master of ssh's, and a command that runs in it and waits for a
// line. It returns the master's socket, and leaves the user without a key.
func (l *lab) master() (socket string) {
	l.Helper()
	l.serve([]string{l.keys.public("ed25519")})
	l.testhost("IdentityFile " + l.keys.path("ed25519"))
	config := l.path("master_config")
	writeFile(l.T, config, []byte(strings.Join(l.config, "")))
	l.config = nil
	ssh := func(args ...string) *exec.Cmd {
		return l.command(program(l.T, "ssh"), append([]string{"-F", config, "-S", socket}, args...)...)
	}

	socket = socketPath(l.T)
	master := startProcess(l.T, ssh("-M", "-N", "testhost"))
	eventually(l.T, "the master listens", func() bool {
		select {
		case <-master.ended:
			l.Fatalf("the master ended: %s", master.stderr)
		default:
		}
		return run(l.T, ssh("-O", "check", "testhost")).code == 0
	})

	input, keyboard, err := os.Pipe()
	if err != nil {
		l.Fatal(err)
	}
	l.Cleanup(func() { keyboard.Close() })
	cmd := ssh("testhost", "echo running; read line; echo got $line")
	cmd.Stdin = input
	l.shell, l.keyboard = startProcess(l.T, cmd), keyboard
	input.Close()
	l.shell.waitFor(l.T, l.shell.stdout, "running")
	return socket
}

// masterLives looks that the master and its command have outlived both programs,
// and that these have not logged in by themselves.
func masterLives(l *lab) {
	waitLogins(l.T, l.ssh, 1)
	if n := logins(l.ssh); n != 1 {
		l.Errorf("sshd has let %d in, want the master alone", n)
	}
	if _, err := l.keyboard.WriteString("a line\n"); err != nil {
		l.Fatal(err)
	}
	l.shell.waitFor(l.T, l.shell.stdout, "got a line")
	if code := l.shell.wait(l.T); code != 0 {
		l.Errorf("the command in the master ended with %d", code)
	}
}

// wayRows are about what lies before the server: jumps, proxies, masters.
func wayRows() []loginRow {
	direct := func(l *lab, lines ...string) {
		l.serve([]string{l.keys.public("ed25519")})
		l.testhost(append(lines, "IdentityFile "+l.keys.path("ed25519"))...)
	}
	return []loginRow{
		{name: "jump", want: in, after: hopsPassed, setup: func(l *lab) {
			l.hop("hop1", "rsa")
			direct(l, "ProxyJump hop1")
		}},
		{name: "two jumps", want: in, after: hopsPassed, setup: func(l *lab) {
			l.hop("hop1", "rsa")
			l.hop("hop2", "ecdsa-256")
			direct(l, "ProxyJump hop1,hop2")
		}},
		{name: "jump of a jump", want: in, after: hopsPassed, setup: func(l *lab) {
			l.hop("hop1", "rsa")
			l.hop("hop2", "ecdsa-256", "ProxyJump hop1")
			direct(l, "ProxyJump hop2")
		}},
		{name: "jump with user and port", want: in, after: hopsPassed, setup: func(l *lab) {
			s := l.hop("127.0.0.1", "rsa", "User nobody-there", "Port 1")
			direct(l, fmt.Sprintf("ProxyJump %s@127.0.0.1:%d", currentUser(l.T), s.port), "HostKeyAlias testhost")
			l.knows(l.ssh, "testhost $KEY\n")
			// the hop's block is for testhost's address as well, and comes second here
			l.config[0], l.config[1] = l.config[1], l.config[0]
		}},
		{name: "jump by an encrypted key to a password", want: in,
			answers: typed(askedPassphrase, passphrase, askedPassword, ftpPassword), setup: func(l *lab) {
				s := startSSHD(l.T)
				l.authorize(s, l.keys.public("rsa"))
				l.host("hop1", s, "IdentityFile "+l.key("rsa", "", passphrase))
				l.ssh = startWithAccount(l.T, pamOnce, "UsePAM no", "PasswordAuthentication yes")
				l.testhost("User "+visitor, "ProxyJump hop1")
			}},
		{name: "ProxyJump none", want: in, after: hopsUntouched, setup: func(l *lab) {
			l.hop("hop1", "rsa")
			direct(l, "ProxyJump none")
			l.config = append(l.config, "Host *\n  ProxyJump hop1\n")
		}},
		{name: "jump with a wrong key", want: refused, says: `logging in to hop1`, setup: func(l *lab) {
			s := l.hop("hop1", "rsa")
			l.authorize(s, l.keys.public("wrong-1"))
			direct(l, "ProxyJump hop1")
		}},
		{name: "jump with a changed host key", want: refused, says: `is not the one in`, setup: func(l *lab) {
			s := l.hop("hop1", "rsa")
			l.knows(s, "$HOST "+l.another("wrong-1")+"\n")
			direct(l, "ProxyJump hop1")
		}},
		{name: "jump that forwards nothing", want: refused, says: `AllowTcpForwarding`, setup: func(l *lab) {
			s := startSSHD(l.T, "AllowTcpForwarding no")
			l.authorize(s, l.keys.public("rsa"))
			l.host("hop1", s, "IdentityFile "+l.keys.path("rsa"))
			direct(l, "ProxyJump hop1")
		}},
		{name: "changed host key behind a jump", want: refused, says: `is not the one in $SSHD/known_hosts:1`, setup: func(l *lab) {
			l.hop("hop1", "rsa")
			direct(l, "ProxyJump hop1")
			l.knows(l.ssh, "$HOST "+l.another("wrong-1")+"\n")
		}},
		{name: "ProxyCommand", want: in, says: `the proxy speaks`, after: proxyIsGone, setup: func(l *lab) {
			direct(l, "ProxyCommand "+l.proxyCommand())
		}},
		{name: "ProxyCommand of ssh -W", want: in, after: hopsPassed, setup: func(l *lab) {
			l.hop("hop1", "rsa")
			direct(l, "ProxyCommand "+program(l.T, "ssh")+" -F "+l.path("ssh_config")+" -W %h:%p hop1")
		}},
		{name: "jump through a ProxyCommand", want: in, after: hopsPassed, says: `the proxy speaks`, setup: func(l *lab) {
			l.hop("hop1", "rsa", "ProxyCommand "+l.proxyCommand())
			direct(l, "ProxyJump hop1")
		}},
		{name: "ProxyCommand that fails", want: refused, says: `no way there`, setup: func(l *lab) {
			direct(l, "ProxyCommand echo no way there >&2; exit 3")
		}},
		{name: "ProxyCommand to a changed host key", want: refused, says: `is not the one in`, after: proxyIsGone, setup: func(l *lab) {
			direct(l, "ProxyCommand "+l.proxyCommand())
			l.knows(l.ssh, "$HOST "+l.another("wrong-1")+"\n")
		}},
		{name: "BindAddress", want: in, setup: func(l *lab) { direct(l, "BindAddress 127.0.0.7") }, after: func(l *lab) {
			waitLogins(l.T, l.ssh, 2)
			if n := strings.Count(l.ssh.stderr.String(), "Connection from 127.0.0.7 "); n != 2 {
				l.Errorf("%d connections came from the address, want 2", n)
			}
		}},
		{name: "AddressFamily of which there is no address", want: refused, setup: func(l *lab) { direct(l, "AddressFamily inet6") }},
		{name: "cipher of the configuration", want: in, setup: func(l *lab) {
			l.serve([]string{l.keys.public("ed25519")}, "Ciphers aes128-cbc", "MACs hmac-sha2-512", "KexAlgorithms diffie-hellman-group14-sha256")
			l.testhost("IdentityFile "+l.keys.path("ed25519"), "Ciphers aes128-cbc", "MACs hmac-sha2-512", "KexAlgorithms diffie-hellman-group14-sha256")
		}},
		{name: "no cipher in common", want: refused, says: `(?i)cipher`, setup: func(l *lab) {
			l.serve([]string{l.keys.public("ed25519")}, "Ciphers aes128-ctr")
			l.testhost("IdentityFile "+l.keys.path("ed25519"), "Ciphers aes256-ctr")
		}},
		{name: "RekeyLimit", want: in, setup: func(l *lab) { direct(l, "RekeyLimit 64K") }},
		{name: "ControlMaster", want: in, after: masterLives, setup: func(l *lab) {
			socket := l.master()
			l.testhost("ControlPath " + socket)
		}},
		{name: "ControlMaster with an active client", want: in, after: masterLives, setup: func(l *lab) {
			socket := l.master()
			l.testhost("ControlPath " + socket)
			l.curl = []string{"-P", "-"}
		}},
		{name: "ControlPath none", want: refused, setup: func(l *lab) {
			l.master()
			l.testhost("ControlPath none")
		}},
		{name: "ControlPath of nobody", want: in, setup: func(l *lab) { direct(l, "ControlPath "+socketPath(l.T)) }},
		{name: "ControlPath of a dead master", want: in, setup: func(l *lab) {
			socket := socketPath(l.T)
			ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket, Net: "unix"})
			if err != nil {
				l.Fatal(err)
			}
			ln.SetUnlinkOnClose(false)
			ln.Close()
			direct(l, "ControlPath "+socket)
		}},
		{name: "via-ssh", want: in, after: onlySSH, setup: func(l *lab) {
			l.serve([]string{l.keys.public("ed25519")}, "LogLevel DEBUG1")
			l.testhost("IdentityFile " + l.keys.path("ed25519"))
			l.flags = []string{"--via-ssh"}
		}},
		{name: "via-ssh with an active client", want: in, after: onlySSH, setup: func(l *lab) {
			l.serve([]string{l.keys.public("ed25519")}, "LogLevel DEBUG1")
			l.testhost("IdentityFile " + l.keys.path("ed25519"))
			l.flags, l.curl = []string{"--via-ssh"}, []string{"-P", "-"}
		}},
		{name: "via-ssh through a jump", want: in, after: hopsPassed, setup: func(l *lab) {
			l.hop("hop1", "rsa")
			direct(l, "ProxyJump hop1")
			l.flags = []string{"--via-ssh"}
		}},
		{name: "via-ssh with a wrong key", want: refused, says: `Permission denied`, setup: func(l *lab) {
			l.serve([]string{l.keys.public("ed25519")})
			l.testhost("IdentityFile " + l.keys.path("wrong-1"))
			l.flags = []string{"--via-ssh"}
		}},
	}
}
