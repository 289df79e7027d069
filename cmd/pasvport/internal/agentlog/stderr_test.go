package agentlog

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pasvport/pasvport/cmd/pasvport/internal/config"
)

// dying has this test binary be an agent that logs much and panics.
const dying = "PASVPORT_TEST_DYING"

func TestMain(m *testing.M) {
	if os.Getenv(dying) != "" {
		die()
	}
	os.Exit(m.Run())
}

func die() {
	l, err := Open(config.Agent{}, true)
	if err != nil {
		panic(err)
	}
	fmt.Fprintln(os.Stderr, "before the rotation")
	text := strings.Repeat("x", 1<<20)
	for range maxSize>>20 + 1 {
		l.Info(text)
	}
	fmt.Fprintln(os.Stderr, "after the rotation")
	panic("the end of all")
}

// TestPanic looks where a detached agent's last words are: in its log, behind what it
// logged, after the log was rotated as well.
func TestPanic(t *testing.T) {
	state := t.TempDir()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), dying+"=1", "XDG_STATE_HOME="+state)
	out, err := cmd.CombinedOutput()
	if exit, ok := err.(*exec.ExitError); !ok || exit.ExitCode() != 2 || len(out) != 0 {
		t.Errorf("it ended with %v and said %q", err, out)
	}
	path := filepath.Join(state, "pasvport", "agent.log")
	for file, want := range map[string]string{before(path): "before the rotation\n", path: "after the rotation\npanic: the end of all"} {
		if text := read(t, file); !strings.Contains(text, want) {
			t.Errorf("%s: %d bytes without %q", file, len(text), want)
		}
	}
	if info, err := os.Stat(before(path)); err != nil || info.Size() > maxSize {
		t.Errorf("%v, %v", info.Size(), err)
	}
}
