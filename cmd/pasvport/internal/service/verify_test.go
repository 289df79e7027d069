//go:build linux

package service

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// verify has systemd read the units in folder as it would a user's.
func verify(t *testing.T, folder string) {
	t.Helper()
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Fatalf("%v; apt-get install systemd", err)
	}
	units, err := filepath.Glob(filepath.Join(folder, "*.*"))
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"--user", "verify"}
	for _, unit := range units {
		if info, err := os.Stat(unit); err == nil && info.Mode().IsRegular() {
			args = append(args, strings.Replace(unit, "@.", "@prod.", 1))
		}
	}
	if len(args) == 2 {
		t.Fatalf("no units in %s", folder)
	}
	cmd := exec.Command(analyze, args...)
	cmd.Env = append(os.Environ(), "XDG_RUNTIME_DIR="+t.TempDir(), "HOME="+t.TempDir())
	output, err := cmd.CombinedOutput()
	if err != nil || len(output) > 0 { // a warning is no error of systemd-analyze's
		t.Errorf("%s: %v\n%s", strings.Join(cmd.Args, " "), err, output)
	}
}

// program is an executable file, which is all that systemd-analyze looks for.
func program(t *testing.T, name string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestUnits has systemd read what Install writes, for programs in odd places too.
func TestUnits(t *testing.T) {
	for _, name := range []string{"pasvport", "FTP tools", "100%n $HOME"} {
		t.Run(name, func(t *testing.T) {
			folder, path := t.TempDir(), program(t, name)
			for _, unit := range []string{Agent, Socket} {
				text := Unit(unit, path)
				if strings.Contains(text, installed) {
					t.Errorf("%s is in %s", installed, unit)
				}
				if err := os.WriteFile(filepath.Join(folder, unit), []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			verify(t, folder)
		})
	}
}

// TestVerifySees looks that a mistake would be found.
func TestVerifySees(t *testing.T) {
	folder := t.TempDir()
	text := strings.Replace(Unit(Agent, program(t, "pasvport")), "WatchdogSec=1min", "WatchdogSeconds=60", 1)
	if err := os.WriteFile(filepath.Join(folder, Agent), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("systemd-analyze", "--user", "verify", filepath.Join(folder, Agent))
	cmd.Env = append(os.Environ(), "XDG_RUNTIME_DIR="+t.TempDir())
	if output, err := cmd.CombinedOutput(); !strings.Contains(string(output), "WatchdogSeconds") {
		t.Errorf("got %q, %v, want a line on WatchdogSeconds", output, err)
	}
}
