//go:build linux

package test

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/creack/pty"
)

// A screen is a program, most often pasvport, with a terminal of its own.
type screen struct {
	*pasvport
	keyboard *os.File
	shown    chan struct{} // closed when all is in stdout that it printed
}

// startOnTerminal starts a tunnel and leaves the test to answer its questions.
func startOnTerminal(t *testing.T, s *sshd, args ...string) *screen {
	t.Helper()
	return onTerminal(t, pasvportCmd(t, s, append(args, "testhost")...))
}

// onTerminal starts any program with a terminal of its own.
func onTerminal(t *testing.T, cmd *exec.Cmd) *screen {
	t.Helper()
	keyboard, tty, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = tty, tty, tty
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	p := startProcess(t, cmd)
	tty.Close()
	shown := make(chan struct{})
	go func() {
		defer close(shown)
		io.Copy(p.stdout, keyboard) // ends with EIO when the program has
	}()
	t.Cleanup(func() {
		p.kill()
		<-shown
		keyboard.Close()
	})
	return &screen{&pasvport{process: p}, keyboard, shown}
}

// see waits for a text on the screen.
func (s *screen) see(t *testing.T, pattern string) []string {
	t.Helper()
	return s.waitFor(t, s.stdout, pattern)
}

// enter types text and Return.
func (s *screen) enter(t *testing.T, text string) {
	t.Helper()
	s.press(t, text+"\n")
}

// press types keys.
func (s *screen) press(t *testing.T, keys string) {
	t.Helper()
	if _, err := s.keyboard.WriteString(keys); err != nil {
		t.Fatal(err)
	}
}

// interrupt types Ctrl-C, on which the program has to end with code 0.
func (s *screen) interrupt(t *testing.T) {
	t.Helper()
	if _, err := s.keyboard.WriteString("\x03"); err != nil {
		t.Fatal(err)
	}
	if code := s.wait(t); code != 0 {
		t.Errorf("exit code %d on Ctrl-C, want 0", code)
	}
}

const ready = `pasvport: ftp://(\S+) is \S+ at testhost; stop with Ctrl-C`

func TestHostKeyQuestion(t *testing.T) {
	ssh := startSSHD(t)
	server := startVsftpd(t, elsewhere)
	known := filepath.Join(t.TempDir(), "known_hosts")
	start := func() *screen {
		return startOnTerminal(t, ssh, "-o", "UserKnownHostsFile="+known, "-L", "0:"+server.addr())
	}
	fingerprint := strings.Fields(mustRun(t, keygenCmd(t, "-l", "-f", ssh.path("host_key.pub"))))[1]

	t.Run("no", func(t *testing.T) {
		s := start()
		s.see(t, `yes/no`)
		s.enter(t, "no")
		if code := s.wait(t); code != 255 {
			t.Errorf("exit code %d, want 255", code)
		}
		checkGone(t, known)
	})
	t.Run("Ctrl-C", func(t *testing.T) {
		s := start()
		s.see(t, `yes/no`)
		if _, err := s.keyboard.WriteString("\x03"); err != nil {
			t.Fatal(err)
		}
		if code := s.wait(t); code != 255 {
			t.Errorf("exit code %d, want 255", code)
		}
		checkGone(t, known)
	})
	t.Run("yes", func(t *testing.T) {
		s := start()
		s.see(t, `yes/no`)
		if !strings.Contains(s.stdout.String(), fingerprint) {
			t.Errorf("the question does not show %s", fingerprint)
		}
		s.enter(t, "yes")
		s.see(t, ready)
		s.interrupt(t)
	})
	t.Run("known-now", func(t *testing.T) {
		s := start()
		s.see(t, ready)
		if strings.Contains(s.stdout.String(), "yes/no") {
			t.Error("the question is asked again")
		}
		s.interrupt(t)
	})
}

func TestPassphrase(t *testing.T) {
	ssh := startSSHD(t)
	server := startVsftpd(t, elsewhere)
	const passphrase = "open sesame"
	key := filepath.Join(t.TempDir(), "locked")
	keygen(t, key, passphrase)
	writeFile(t, ssh.path("authorized_keys"), []byte(readFile(t, key+".pub")))
	s := startOnTerminal(t, ssh, "-i", key, "-L", "0:"+server.addr())
	s.see(t, `(?i)passphrase[^\n]*locked[^\n]*: ?$`)
	s.enter(t, passphrase)
	addr := s.see(t, ready)[1]
	if strings.Contains(s.stdout.String(), passphrase) {
		t.Error("the passphrase is on the screen")
	}
	conn := login(t, server, addr)
	expect(t, conn, "PWD", 257)
	s.interrupt(t)
}

// TestCtrlC is about those who are connected meanwhile: an idle session is told
// at once, and a transfer has its time of grace.
func TestCtrlC(t *testing.T) {
	ssh := startSSHD(t)
	server := startVsftpd(t, elsewhere)
	t.Run("idle", func(t *testing.T) {
		s := startOnTerminal(t, ssh, "-L", "0:"+server.addr())
		conn := login(t, server, s.see(t, ready)[1])
		s.interrupt(t)
		expect(t, conn, "", 421)
	})
	for _, test := range []struct {
		name, grace string
		size        int // the sockets on the way hold some 20 MiB, so the cut file is large
		complete    bool
	}{
		{"within-grace", "1h", 8 << 20, true},
		{"after-grace", "1ms", 64 << 20, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := startOnTerminal(t, ssh, "--grace", test.grace, "-L", "0:"+server.addr())
			c := newCell(t, server, s.see(t, ready)[1], test.name, false)
			big := noise(test.size)
			c.serve("big.bin", big)
			local := filepath.Join(c.local, "big.bin")
			curl := startProcess(t, c.command("curl", "-sS", "--limit-rate", "4M", "-u", c.user+":"+c.password,
				"-O", c.url("big.bin")))
			eventually(t, "a part of the file arrives", func() bool { return sizeOf(local) > 1<<20 })
			s.interrupt(t)
			if code := curl.wait(t); (code == 0) != test.complete {
				t.Errorf("curl ended with %d", code)
			}
			if test.complete {
				c.checkLocal("big.bin", big)
			}
		})
	}
}
