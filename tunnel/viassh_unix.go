//go:build unix

package tunnel

import (
	"context"
	"os/exec"
)

// sshCommand is ssh with args. It shares our terminal, for its questions, and so
// gets the Ctrl-C that is meant for us: it must not end before the transfers that
// are still given time. The shell sees to that and becomes ssh.
func sshCommand(ctx context.Context, args []string) *exec.Cmd {
	path, err := exec.LookPath("ssh")
	cmd := exec.CommandContext(ctx, "/bin/sh", append([]string{"-c", `trap "" INT; exec "$@"`, "sh", path}, args...)...)
	if err != nil {
		cmd.Err = err
	}
	withUs(cmd)
	return cmd
}
