//go:build linux

package test

import (
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// A pasvport is a running tunnel in the foreground.
type pasvport struct {
	*process
	addrs []string // local addresses of its -L options, in their order
}

// pasvportCmd is the command of a user whose ssh configuration is that of s.
func pasvportCmd(t *testing.T, s *sshd, args ...string) *exec.Cmd {
	t.Helper()
	return exec.Command(pasvportPath(t), append([]string{"-F", s.config}, args...)...)
}

// startPasvport starts a tunnel to "testhost" and waits until it is ready. At
// the end of the test it is told to stop, and has to do so in peace.
func startPasvport(t *testing.T, s *sshd, args ...string) *pasvport {
	t.Helper()
	cmd := pasvportCmd(t, s, append([]string{"-v"}, append(args, "testhost")...)...)
	p := &pasvport{process: startProcess(t, cmd)}
	tunnels := strings.Count(strings.Join(cmd.Args, " "), "-L ")
	pattern := strings.Repeat(`pasvport: ftp://(\S+) is \S+ at \S+; stop with Ctrl-C\s*`, tunnels)
	p.addrs = p.waitFor(t, p.stdout, pattern)[1:]
	t.Cleanup(func() { p.stop(t) })
	return p
}

// stop ends the tunnel as Ctrl-C does.
func (p *pasvport) stop(t *testing.T) {
	t.Helper()
	p.cmd.Process.Signal(syscall.SIGINT)
	if code := p.wait(t); code != 0 {
		t.Errorf("pasvport ended with %d on SIGINT, want 0", code)
	}
	if strings.Contains(p.stderr.String(), "DATA RACE") {
		t.Error("the race detector has found something")
	}
}
