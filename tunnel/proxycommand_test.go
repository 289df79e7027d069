//go:build linux

package tunnel

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"go.uber.org/goleak"

	"github.com/pasvport/pasvport/sshconf"
)

// A logbook is a Logger's text.
type logbook struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logbook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logbook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func (l *logbook) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// inetd is a ProxyCommand that is an SSH server, which logs to its standard error.
func (s *sshd) inetd() string {
	return fmt.Sprintf("%s -i -e -f %s", program(s.t, "sshd"), s.path("config"))
}

// descriptors are those open in this process.
func descriptors(t *testing.T) (list []string) {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		to, err := os.Readlink("/proc/self/fd/" + e.Name())
		if err == nil {
			list = append(list, e.Name()+" "+to)
		}
	}
	return list
}

// noneLeft checks that nothing of f is left: goroutines, children, descriptors.
func noneLeft(t *testing.T, f func()) {
	t.Helper()
	f() // has the runtime open what it keeps
	goroutines, before := goleak.IgnoreCurrent(), descriptors(t)
	f()
	goleak.VerifyNone(t, goroutines)
	children, err := filepath.Glob("/proc/self/task/*/children")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range children {
		pids, _ := os.ReadFile(file)
		for _, pid := range strings.Fields(string(pids)) {
			name, _ := os.ReadFile("/proc/" + pid + "/comm")
			if bytes.HasPrefix(name, []byte("sh")) && !bytes.HasPrefix(name, []byte("sshd")) {
				t.Errorf("process %s (%s) is left", pid, name)
			}
		}
	}
	for _, fd := range descriptors(t) {
		if strings.Contains(fd, " pipe:") && !slices.Contains(before, fd) {
			t.Errorf("descriptor %s is left", fd)
		}
	}
}

func TestProxyCommand(t *testing.T) {
	s, hop := startSSHD(t), startSSHD(t)
	addr, conns := farServer(t)
	host, port, _ := net.SplitHostPort(hop.addr)
	for name, command := range map[string]string{
		"inetd": s.inetd(),
		"ssh": fmt.Sprintf("%s -F none -i %s -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -W %s -p %s %s",
			program(t, "ssh"), hop.path("id"), s.addr, port, host),
	} {
		t.Run(name, func(t *testing.T) {
			noneLeft(t, func() {
				var log logbook
				h := s.host()
				h.ProxyCommand = command
				var stages []Stage
				tun := New(h, Options{Logger: log.logger(), Trace: func(s Stage) { stages = append(stages, s) }})
				defer tun.Close()
				c := mustDial(t, tun, addr)
				far := <-conns
				defer far.Close()
				go func() {
					c.Write(make([]byte, 1<<20))
					c.CloseWrite()
				}()
				if n, err := io.Copy(io.Discard, far); n != 1<<20 || err != nil {
					t.Errorf("%d bytes arrived, %v", n, err)
				}
				c.Close()
				if got := stages[0]; got.Name != "proxy" || got.Detail != command || len(stages) != 3 {
					t.Errorf("stages %q", stages)
				}
				if !strings.Contains(log.String(), `level=WARN msg="ProxyCommand says" host=prod text=`) {
					t.Errorf("its words are not in the log:\n%s", log.String())
				}
			})
		})
	}
}

func TestProxyCommandFails(t *testing.T) {
	for _, tt := range []struct {
		name, command string
		want          string // after "connecting to prod (127.0.0.1:1): "
		code          int
		edit          func(*sshconf.Host)
	}{
		{"says why", `sh -c 'echo; for i in 1 2 3 4 5 6 7; do printf "no \033way $i\n" >&2; done; exit 3'`,
			"ended with exit status 3; it says: no way 3 / no way 4 / no way 5 / no way 6 / no way 7", 3, nil},
		{"says why at once", `sh -c 'printf "no way" >&2; exit 3'`,
			`ProxyCommand sh -c 'printf "no way" >&2; exit 3': ended with exit status 3; it says: no way`, 3, nil},
		{"ends well", "true", "ProxyCommand true: ended with exit status 0", 0, nil},
		{"is not there", "/nonexistent/nc 2>/dev/null", "ProxyCommand /nonexistent/nc 2>/dev/null: ended with exit status 127", 127, nil},
		{"dies", "sh -c 'kill -TERM $$'", "ProxyCommand sh -c 'kill -TERM $$': ended with signal: terminated", -1, nil},
		{"leads to FTP", "sh -c 'echo 220 vsFTPd; read _'", "no SSH server but one of FTP or SMTP: it says: 220 vsFTPd", 0, nil},
		{"is silent", "sh -c 'echo waiting >&2; cat >/dev/null'",
			"ProxyCommand sh -c 'echo waiting >&2; cat >/dev/null': the server says nothing: no answer within 1s; it says: waiting", -1,
			func(h *sshconf.Host) { h.ConnectTimeout = time.Second }},
		{"passes a descriptor", "true", "ProxyUseFdpass is not supported: ", 0, func(h *sshconf.Host) { h.ProxyUseFdpass = true }},
		{"is standard input", "-", "ProxyCommand - is not supported: ", 0, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			noneLeft(t, func() {
				h := hostAt(t, "127.0.0.1:1")
				h.ProxyCommand = tt.command
				if tt.edit != nil {
					tt.edit(h)
				}
				var log logbook
				tun := New(h, Options{Logger: log.logger()})
				defer tun.Close()
				e := wantAs[*ConnectError](t, tun.Connect(t.Context()))
				if want := "connecting to prod (127.0.0.1:1): "; !strings.Contains(e.Error(), tt.want) || !strings.HasPrefix(e.Error(), want) {
					t.Errorf("got %v, want %s", e, tt.want)
				}
				if p, ok := errors.AsType[*ProxyCommandError](e); ok {
					for _, line := range p.Stderr {
						if !strings.Contains(log.String(), line) {
							t.Errorf("%q is not in the log", line)
						}
					}
					if p.Code != tt.code && tt.name != "leads to FTP" {
						t.Errorf("code %d, want %d", p.Code, tt.code)
					}
				}
				if strings.ContainsRune(e.Error()+log.String(), '\x1b') {
					t.Error("not fit for a terminal")
				}
			})
		})
	}
}

func TestProxyCommandLost(t *testing.T) {
	s := startSSHD(t)
	h := s.host()
	pid := filepath.Join(t.TempDir(), "pid")
	h.ProxyCommand = fmt.Sprintf("sh -c 'echo $$ > %s; exec %s'", pid, s.inetd())
	tun := newTunnel(t, h, Options{})
	if err := tun.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	l := tun.link
	syscall.Kill(readPids(t, pid)[0], syscall.SIGKILL)
	<-l.done
	e := wantAs[*LostError](t, l.err)
	p := wantAs[*ProxyCommandError](t, e)
	if want := "signal: killed"; !strings.Contains(e.Error(), want) || p.Code != -1 || errors.Is(e, io.EOF) {
		t.Errorf("got %v, want %s", e, want)
	}
}

// A hop is reached by its own ProxyCommand, and what is behind it is not.
func TestProxyCommandOfAHop(t *testing.T) {
	hop, end := startSSHD(t), startSSHD(t)
	gw := hop.host()
	gw.Alias, gw.HostName, gw.ProxyCommand = "gw", "nowhere.invalid", hop.inetd()
	gw.HostKeyAlias = "gw"
	pub, err := os.ReadFile(hop.path("host.pub"))
	if err != nil {
		t.Fatal(err)
	}
	gw.UserKnownHostsFiles = []string{writeFile(t, "known_hosts", "gw "+string(pub))}
	h := end.host()
	h.ProxyJump = []string{"gw"}
	h.ProxyCommand = "false"
	tun := newTunnel(t, h, Options{Jump: func(string) (*sshconf.Host, error) { return gw, nil }})
	if err := tun.Connect(t.Context()); err != nil {
		t.Error(err)
	}
}

func readPids(t *testing.T, path string) (pids []int) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, field := range strings.Fields(string(text)) {
		pid, err := strconv.Atoi(field)
		if err != nil {
			t.Fatal(err)
		}
		pids = append(pids, pid)
	}
	return pids
}

// runs tells whether there is a process that is not just waiting to be buried.
func runs(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !bytes.Contains(stat, []byte(") Z "))
}

// With a terminal, the command asks there and outlives a Ctrl-C, as it does not
// without one; either way it and its children end with the tunnel. The test runs
// itself once in each way.
func TestProxyCommandTerminal(t *testing.T) {
	dir := os.Getenv("PASVPORT_TEST_TERMINAL")
	if dir == "" {
		for _, way := range []string{"terminal", "none"} {
			t.Run(way, func(t *testing.T) { runOnTerminal(t, way == "terminal") })
		}
		return
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt)
	defer signal.Stop(signals)
	s := newServer(t)
	host, port, _ := net.SplitHostPort(s.addr)
	h := s.host()
	pids := filepath.Join(dir, "pids")
	terminal := hasTerminal()
	ask := map[bool]string{true: `printf "word? " >/dev/tty; read word </dev/tty; test "$word" = open || exit 1`, false: ":"}[terminal]
	h.ProxyCommand = fmt.Sprintf(`bash -c '%s; exec 3<>/dev/tcp/%s/%s; echo $$ >%s; (trap "" HUP; exec cat <&3) & echo $! >>%[4]s; exec cat >&3'`,
		ask, host, port, pids)
	tun := newTunnel(t, h, Options{})
	if err := tun.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	all := readPids(t, pids)
	if terminal {
		fmt.Println("press Ctrl-C")
		<-signals
		if err := tun.link.await(tun.link.ping(), tun.link.silence, nil); err != nil {
			t.Error(err)
		}
	}
	for _, pid := range all {
		group, err := syscall.Getpgid(pid)
		if err != nil || (group == syscall.Getpgrp()) != terminal {
			t.Errorf("process group %d, ours %d, %v", group, syscall.Getpgrp(), err)
		}
		if !runs(pid) {
			t.Errorf("%d is gone early", pid)
		}
	}
	tun.Close()
	if runs(all[0]) {
		t.Error("the command outlives the tunnel")
	}
	waitFor(func() bool { return !runs(all[1]) }) // it was sent its signal
}

// runOnTerminal runs the test that calls it once more, in a session of its own.
func runOnTerminal(t *testing.T, terminal bool) {
	cmd := exec.Command(os.Args[0], "-test.v", "-test.timeout=30s", "-test.run=^TestProxyCommandTerminal$")
	cmd.Env = append(os.Environ(), "PASVPORT_TEST_TERMINAL="+t.TempDir())
	if !terminal {
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	tty, err := pty.Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	defer tty.Close()
	answers := map[string]string{"word? ": "open\n", "press Ctrl-C": "\x03"}
	var seen []byte
	buf := make([]byte, 1<<10)
	for {
		n, err := tty.Read(buf)
		seen = append(seen, buf[:n]...)
		for question, answer := range answers {
			if bytes.Contains(seen, []byte(question)) {
				delete(answers, question)
				io.WriteString(tty, answer)
			}
		}
		if err != nil {
			break
		}
	}
	if err := cmd.Wait(); err != nil || len(answers) > 0 {
		t.Errorf("%v, not asked %q\n%s", err, answers, seen)
	}
}
