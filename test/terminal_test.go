//go:build linux

package test

import (
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// A terminal is a window of a tmux server of its own.
type terminal struct {
	*testing.T
	tmux   string
	socket string
}

// startTerminal runs cmd on a new terminal. Its environment is cmd's. What was on
// the screen last is told if the test fails.
func startTerminal(t *testing.T, cmd *exec.Cmd, columns, rows int) *terminal {
	t.Helper()
	s := &terminal{T: t, tmux: program(t, "tmux"), socket: filepath.Join(t.TempDir(), "tmux")}
	server := s.command("-f", "/dev/null", "-D")
	server.Env = cmd.Env
	startProcess(t, server)
	eventually(t, "tmux is there", func() bool {
		return run(t, s.command("-N", "set-option", "-g", "remain-on-exit", "on")).code == 0
	})
	s.do(append([]string{"new-session", "-d", "-x", strconv.Itoa(columns), "-y", strconv.Itoa(rows)}, cmd.Args...)...)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("on the screen was\n%s", s.screen())
		}
	})
	return s
}

func (s *terminal) command(args ...string) *exec.Cmd {
	return exec.Command(s.tmux, append([]string{"-S", s.socket}, args...)...)
}

func (s *terminal) do(args ...string) string {
	s.Helper()
	return mustRun(s.T, s.command(args...))
}

// screen is the text on the screen, captured what shows it in colour.
func (s *terminal) screen() string   { return s.do("capture-pane", "-p") }
func (s *terminal) captured() string { return s.do("capture-pane", "-p", "-e") }

// press types keys, each by tmux's name of it.
func (s *terminal) press(keys ...string) {
	s.Helper()
	s.do(append([]string{"send-keys"}, keys...)...)
}

func (s *terminal) resize(columns, rows int) {
	s.Helper()
	s.do("resize-window", "-x", strconv.Itoa(columns), "-y", strconv.Itoa(rows))
}

// shows waits for pattern on the screen, and returns its submatches.
func (s *terminal) shows(pattern string) (found []string) {
	s.Helper()
	re := regexp.MustCompile(pattern)
	eventually(s.T, "the screen shows "+pattern, func() bool {
		found = re.FindStringSubmatch(s.screen())
		return found != nil
	})
	return found
}

// ended waits for the program's end and returns its exit code.
func (s *terminal) ended() (code int) {
	s.Helper()
	eventually(s.T, "the program ends", func() bool {
		dead, status, _ := strings.Cut(strings.TrimSpace(s.do("display-message", "-p", "#{pane_dead} #{pane_dead_status}")), " ")
		code, _ = strconv.Atoi(status)
		return dead == "1"
	})
	return code
}
