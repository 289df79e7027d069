//go:build linux

package service

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// findNoUnits keeps the tests away from the units and the agent of whoever runs them.
func findNoUnits(t *testing.T) (runtimeDir string) {
	t.Helper()
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	runtimeDir = t.TempDir()
	t.Setenv("XDG_RUNTIME_DIR", runtimeDir)
	return runtimeDir
}

func TestNoSystemd(t *testing.T) {
	findNoUnits(t)
	t.Setenv("PATH", t.TempDir())
	_, err := Install(t.Context(), installed)
	none, ok := errors.AsType[*NoManagerError](err)
	if !ok || !errors.Is(err, exec.ErrNotFound) || none.System != "linux" {
		t.Errorf("got %v, want a NoManagerError for a systemctl that is not there", err)
	}
	if folder, err := Folder(); err != nil {
		t.Error(err)
	} else if _, err := os.Stat(folder); !os.IsNotExist(err) {
		t.Errorf("%s is there", folder)
	}
}

// TestAgentBesideSystemd looks that no second agent is installed beside one that
// somebody started by hand, and that systemd's own is no such one.
func TestAgentBesideSystemd(t *testing.T) {
	for state, refused := range map[string]bool{"inactive": true, "failed": true, "active": false, "activating": false} {
		t.Run(state, func(t *testing.T) {
			runtimeDir := findNoUnits(t)
			bin := t.TempDir()
			script := "#!/bin/sh\necho ActiveState=" + state + "\n"
			if err := os.WriteFile(filepath.Join(bin, "systemctl"), []byte(script), 0o755); err != nil {
				t.Fatal(err)
			}
			t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
			if err := os.Mkdir(filepath.Join(runtimeDir, "pasvport"), 0o700); err != nil {
				t.Fatal(err)
			}
			l, err := net.Listen("unix", filepath.Join(runtimeDir, "pasvport", "agent.sock"))
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			_, err = Install(t.Context(), installed)
			if running, ok := errors.AsType[*RunningError](err); ok != refused {
				t.Errorf("got %v, want a RunningError: %v", err, refused)
			} else if refused && running.Socket != l.Addr().String() {
				t.Errorf("the agent answers at %s, want %s", running.Socket, l.Addr())
			}
		})
	}
}

// TestCannotWrite looks that a unit that cannot be written leaves nothing.
func TestCannotWrite(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "file", "systemd")
	if err := os.WriteFile(filepath.Dir(folder), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := (unitFile{path: filepath.Join(folder, Agent)}).write([]byte("text")); err == nil {
		t.Error("a unit was written below a file")
	}
}
