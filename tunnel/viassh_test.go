//go:build linux

package tunnel

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/creack/pty"

	"github.com/pasvport/pasvport/sshconf"
)

// destination is what ssh is given to reach s.
func (s *sshd) destination() []string {
	return append(s.sshArgs(), s.host().User+"@127.0.0.1")
}

// spySSH puts an ssh into PATH that notes its arguments, a line each run, before
// it does its work.
func spySSH(t *testing.T, work string) (runs func() []string) {
	t.Helper()
	dir := t.TempDir()
	log := filepath.Join(dir, "log")
	script := fmt.Sprintf("#!/bin/sh\necho \"$$ $*\" >>%s\n%s\n", log, work)
	if err := os.WriteFile(filepath.Join(dir, "ssh"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	return func() []string {
		text, _ := os.ReadFile(log)
		return strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	}
}

// socketOf is the value of -S in a line of arguments.
func socketOf(t *testing.T, args string) string {
	t.Helper()
	fields := strings.Fields(args)
	i := slices.Index(fields, "-S")
	if i < 0 {
		t.Fatalf("no -S in %q", args)
	}
	return fields[i+1]
}

func echoServer(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer c.Close()
				io.Copy(c, c)
			})
		}
	})
	t.Cleanup(func() {
		ln.Close()
		wg.Wait()
	})
	return ln.Addr().String()
}

// speaks sends something there and back.
func speaks(t *testing.T, tun *Tunnel, addr string) {
	t.Helper()
	c := mustDial(t, tun, addr)
	defer c.Close()
	go func() {
		io.WriteString(c, "there and back")
		c.CloseWrite()
	}()
	if got, err := io.ReadAll(c); string(got) != "there and back" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestViaSSH(t *testing.T) {
	runs := spySSH(t, `exec `+program(t, "ssh")+` "$@"`)
	s := startSSHD(t, plainShell)
	addr := echoServer(t)
	var stages []Stage
	host := hostAt(t, "127.0.0.1:1")
	tun := newTunnel(t, host, Options{SSH: s.destination(), Trace: func(s Stage) { stages = append(stages, s) }})
	speaks(t, tun, addr)
	_, err := tun.DialContext(t.Context(), "tcp", "127.0.0.1:1")
	wantAs[*OpenError](t, err)
	_, err = tun.Listen(t.Context(), "tcp", "127.0.0.1:0")
	wantAs[*ForwardError](t, err)
	first := runs()[0]
	socket := socketOf(t, first)
	if info, err := os.Stat(filepath.Dir(socket)); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the socket's directory: %v, %v", info, err)
	}
	if len(stages) != 1 || stages[0].Name != "master" || !strings.Contains(stages[0].Detail, socket) {
		t.Errorf("stages: %v", stages)
	}
	if strings.Contains(first, "BatchMode=yes -o Server") || !strings.Contains(first, "ServerAliveInterval=10") {
		t.Errorf("the first run: %s", first)
	}

	c := mustDial(t, tun, addr)
	s.killSessions()
	_, err = io.Copy(io.Discard, c)
	lost := wantAs[*LostError](t, err)
	if e := wantAs[*ViaSSHError](t, lost); e.Code != 255 || e.Line == "" {
		t.Errorf("got %#v", e)
	}
	speaks(t, tun, addr) // by another ssh
	second := runs()[1]
	if !strings.Contains(second, "BatchMode=yes -o Server") {
		t.Errorf("the second run may ask: %s", second)
	}
	tun.Close()
	for _, run := range runs() {
		if _, err := os.Stat(filepath.Dir(socketOf(t, run))); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("its directory is still there: %v", err)
		}
		pid, _, _ := strings.Cut(run, " ")
		if _, err := os.Stat("/proc/" + pid); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("ssh is still there: %v", err)
		}
	}
}

func TestViaSSHFails(t *testing.T) {
	s := startSSHD(t)
	host := hostAt(t, "127.0.0.1:1")
	args := s.destination()
	args[slices.Index(args, "-i")+1], _ = newKey(t, "")
	var said bytes.Buffer
	tun := newTunnel(t, host, Options{SSH: append([]string{"-o", "IdentitiesOnly=yes"}, args...), Stderr: &said})
	e := wantAs[*ViaSSHError](t, tun.Connect(t.Context()))
	if e.Code != 255 || !strings.Contains(e.Line, "Permission denied") || !strings.Contains(said.String(), e.Line) {
		t.Errorf("got %#v; ssh said %q", e, said.String())
	}
	tun.Close()

	runs := spySSH(t, "exec sleep 1000")
	tun = newTunnel(t, host, Options{SSH: []string{"prod"}})
	ctx, cancel := context.WithCancel(t.Context())
	failed := make(chan error)
	go func() { failed <- tun.Connect(ctx) }()
	waitFor(func() bool { return runs()[0] != "" })
	cancel()
	if err := <-failed; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	tun.Close()
	pid, _, _ := strings.Cut(runs()[0], " ")
	if _, err := os.Stat("/proc/" + pid); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("ssh is still there: %v", err)
	}

	t.Setenv("PATH", t.TempDir())
	err := newTunnel(t, host, Options{SSH: []string{"prod"}}).Connect(t.Context())
	if wantAs[*ViaSSHError](t, err); !errors.Is(err, exec.ErrNotFound) {
		t.Errorf("got %v", err)
	}
}

// viaSSHChild is a program of its own, with a tunnel that is told by the
// environment. It says what it does and takes a line for each dial.
func viaSSHChild() {
	signal.Notify(make(chan os.Signal, 1), os.Interrupt) // as one who gives transfers time
	tun := New(&sshconf.Host{Alias: "prod"}, Options{SSH: strings.Split(os.Getenv("PASVPORT_SSH"), "\n"), Stderr: os.Stderr})
	defer tun.Close()
	fmt.Println("connect:", tun.Connect(context.Background()))
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		c, err := tun.DialContext(context.Background(), "tcp", os.Getenv("PASVPORT_ADDR"))
		if err == nil {
			c.Close()
		}
		fmt.Println("dial:", err)
	}
}

// Without a terminal, for the kernel ends what runs on one.
func TestViaSSHEndsWithUs(t *testing.T) {
	if os.Getenv("PASVPORT_SSH") != "" {
		viaSSHChild()
		return
	}
	runs := spySSH(t, `exec `+program(t, "ssh")+` "$@"`)
	s := startSSHD(t, plainShell)
	cmd := exec.Command(os.Args[0], "-test.run=^TestViaSSHEndsWithUs$")
	cmd.Env = append(os.Environ(), "PASVPORT_SSH="+strings.Join(s.destination(), "\n"))
	in, err1 := cmd.StdinPipe()
	out, err2 := cmd.StdoutPipe()
	if err := errors.Join(err1, err2, cmd.Start()); err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "connect: <nil>\n" {
		t.Errorf("got %q, %v", line, err)
	}
	socket := socketOf(t, runs()[0])
	defer os.RemoveAll(filepath.Dir(socket))
	cmd.Process.Kill()
	cmd.Wait()
	waitFor(func() bool { return !isMaster(t, socket) })
}

// On a terminal ssh asks there, and Ctrl-C leaves it alone.
func TestViaSSHOnTerminal(t *testing.T) {
	if os.Getenv("PASVPORT_SSH") != "" {
		viaSSHChild()
		return
	}
	runs := spySSH(t, `exec `+program(t, "ssh")+` "$@"`)
	s := startSSHD(t, plainShell)
	run(t, "ssh-keygen", "-q", "-p", "-P", "", "-N", "open sesame", "-f", s.path("id"))
	args := slices.DeleteFunc(s.destination(), func(arg string) bool { return arg == "BatchMode=yes" })
	args = slices.Delete(args, slices.Index(args, "-p")-1, slices.Index(args, "-p"))
	cmd := exec.Command(os.Args[0], "-test.run=^TestViaSSHOnTerminal$")
	cmd.Env = append(os.Environ(), "PASVPORT_SSH="+strings.Join(args, "\n"), "PASVPORT_ADDR="+echoServer(t))
	tty, err := pty.Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	defer tty.Close()
	var said strings.Builder
	await := func(text string) {
		t.Helper()
		for buf := make([]byte, 1); !strings.HasSuffix(said.String(), text); {
			if _, err := tty.Read(buf); err != nil {
				t.Fatalf("no %q after %q: %v", text, said.String(), err)
			}
			said.Write(buf)
		}
	}
	await("passphrase for key '" + s.path("id") + "': ")
	io.WriteString(tty, "open sesame\n")
	await("connect: <nil>")
	io.WriteString(tty, "\x03")
	await("^C")
	io.WriteString(tty, "\n")
	await("dial: <nil>")
	if n := len(runs()); n != 1 {
		t.Errorf("ssh was run %d times", n)
	}
	io.WriteString(tty, "\x04") // ends the child
	cmd.Wait()
	if _, err := os.Stat(filepath.Dir(socketOf(t, runs()[0]))); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the directory is still there: %v", err)
	}
}

func TestLastLine(t *testing.T) {
	var out bytes.Buffer
	l := lastLine{to: &out}
	for _, s := range []string{"one\r\n", "tw", "o\r\n", "\r\n", "thr"} {
		io.WriteString(&l, s)
	}
	if got := l.text(); got != "two" || out.String() != "one\r\ntwo\r\n\r\nthr" {
		t.Errorf("got %q of %q", got, out.String())
	}
	l.flush()
	if got := l.text(); got != "thr" {
		t.Errorf("got %q", got)
	}
	fmt.Fprintf(&l, "%s\n", make([]byte, 1<<20))
	if got := len(l.text()); got != longestLine {
		t.Errorf("%d bytes", got)
	}
}
