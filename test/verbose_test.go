//go:build linux

package test

import (
	"os/exec"
	"path/filepath"
	"testing"
)

// TestTransferLines reads the line a transfer that -v prints, in the foreground.
func TestTransferLines(t *testing.T) {
	ssh, server := startSSHD(t), startPureFTPd(t, elsewhere)
	report(t, server)
	makeDir(t, server.root, "in")
	p := startPasvport(t, ssh, "-L", "0:"+server.addr()) // with -v
	curl := func(args ...string) *exec.Cmd {
		return exec.Command(program(t, "curl"), append([]string{"-sS", "-u", server.user + ":" + server.password}, args...)...)
	}
	mustRun(t, curl("ftp://"+p.addrs[0]+"/report.txt"))
	p.waitFor(t, p.stderr, `(?m)^↓ report\.txt  9 B  \d+\.\d s  [0-9.]+ \w+/s$`)
	mustRun(t, curl("-T", filepath.Join(server.root, "report.txt"), "ftp://"+p.addrs[0]+"/in/copy.txt"))
	p.waitFor(t, p.stderr, `(?m)^↑ copy\.txt  9 B  \d+\.\d s  [0-9.]+ \w+/s$`)
	if r := run(t, curl("-T", filepath.Join(server.root, "report.txt"), "ftp://"+p.addrs[0]+"/not-here.txt")); r.code == 0 {
		t.Errorf("curl: %v", r)
	}
	p.waitFor(t, p.stderr, `(?m)^↑ not-here\.txt  0 B  \d+\.\d s  failed: .*553`)
}
