package tunnel

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
)

// sshCommand fails: OpenSSH for Windows cannot share a connection.
func sshCommand(ctx context.Context, args []string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "ssh", args...)
	cmd.Err = fmt.Errorf("ssh shares no connection on Windows: %w", errors.ErrUnsupported)
	return cmd
}
