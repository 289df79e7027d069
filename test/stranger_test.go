//go:build linux

package test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestStrangersAgent looks that no command speaks with an agent of another user's,
// which would be told passwords.
func TestStrangersAgent(t *testing.T) {
	h := newHome(t)
	socket := socketPath(t)
	h.env = append(h.env, "XDG_RUNTIME_DIR="+filepath.Dir(socket))
	for _, dir := range []string{filepath.Dir(socket), filepath.Join(filepath.Dir(socket), "pasvport")} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(dir, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	listen := exec.Command("/usr/bin/python3", "-c", `import os, socket, sys
s = socket.socket(socket.AF_UNIX)
s.bind(sys.argv[1])
s.listen()
os.chmod(sys.argv[1], 0o777)
print("listening", flush=True)
while True:
    c, _ = s.accept()
    print("told:", c.recv(100), flush=True)`, filepath.Join(filepath.Dir(socket), "pasvport", "agent.sock"))
	listen.Dir = "/"
	listen.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	p := startProcess(t, listen)
	p.waitFor(t, p.stdout, "listening")
	for _, args := range [][]string{{"up", "testhost"}, {"status"}, {"agent", "stop"}} {
		if r := run(t, h.command(args...)); r.code != 1 || !strings.Contains(r.stderr, "is no agent of yours") {
			t.Errorf("%v: %v", args, r)
		}
	}
}
