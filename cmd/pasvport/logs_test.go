package main

import (
	"bufio"
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// inFolders is a pasvport whose agent, configuration and log are in dir.
func inFolders(t *testing.T, dir string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("pasvport", args...)
	cmd.Env = os.Environ()
	for name, sub := range map[string]string{"XDG_RUNTIME_DIR": "run", "XDG_STATE_HOME": "state", "XDG_CONFIG_HOME": "config"} {
		cmd.Env = append(cmd.Env, name+"="+filepath.Join(dir, sub))
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return cmd
}

// lines starts cmd, which the end of the test kills, and returns what reads its next
// line from one of its pipes.
func lines(t *testing.T, cmd *exec.Cmd, pipe io.Reader, err error) (next func() string) {
	t.Helper()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill() })
	reader := bufio.NewReader(pipe)
	return func() string {
		t.Helper()
		line, err := reader.ReadString('\n')
		if err != nil {
			t.Fatalf("%v after %q", err, line)
		}
		return line
	}
}

// TestLogsFollow has -f see what comes, over a rotation, until Ctrl-C.
func TestLogsFollow(t *testing.T) {
	dir := t.TempDir()
	log := filepath.Join(dir, "state", "pasvport", "agent.log")
	add := func(line string) {
		t.Helper()
		f, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err == nil {
			_, err = f.WriteString(line)
			f.Close()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	cmd := inFolders(t, dir, "logs", "-f", "-n", "1")
	if err := os.Mkdir(filepath.Dir(log), 0o700); err != nil {
		t.Fatal(err)
	}
	add("one\ntwo\n")
	stdout, err := cmd.StdoutPipe()
	next := lines(t, cmd, stdout, err)
	see := func(want string) {
		t.Helper()
		if got := next(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	see("two\n")
	add("three\n")
	see("three\n")
	if err := os.Rename(log, log+".1"); err != nil {
		t.Fatal(err)
	}
	add("four\n")
	see("four\n")
	cmd.Process.Signal(os.Interrupt)
	if err := cmd.Wait(); err != nil {
		t.Errorf("it ended with %v", err)
	}
}

// TestLogsOfService asks for the log of an agent that a service manager has started.
func TestLogsOfService(t *testing.T) {
	dir, err := os.MkdirTemp("", "pv-") // the name of a socket is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	agent := inFolders(t, dir, "agent", "run")
	stderr, err := agent.StderrPipe()
	next := lines(t, agent, stderr, err)
	if line := next(); !strings.Contains(line, `level=INFO msg="agent ready"`) {
		t.Errorf("got %q", line)
	}
	out, err := inFolders(t, dir, "logs").CombinedOutput()
	if code := err.(*exec.ExitError).ExitCode(); code != 1 || !bytes.Contains(out, []byte("logs to its standard error")) ||
		!bytes.Contains(out, []byte("journalctl --user -u pasvport")) {
		t.Errorf("logs ended with %d and said %q", code, out)
	}
	agent.Process.Signal(os.Interrupt)
	if err := agent.Wait(); err != nil {
		t.Errorf("the agent ended with %v", err)
	}
}

// TestLogsOnTerminal has what a terminal would obey shown as text.
func TestLogsOnTerminal(t *testing.T) {
	var out bytes.Buffer
	for _, text := range []string{"a\x1b[31mb\n", "c\u009bd\n\n"} {
		if n, err := (clean{&out}).Write([]byte(text)); n != len(text) || err != nil {
			t.Errorf("%q: %d, %v", text, n, err)
		}
	}
	if got, want := out.String(), "a?[31mb\nc?d\n\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
