package tunnel

import (
	"os/exec"
	"syscall"
)

// withUs has cmd ended when we are killed. Elsewhere than on Linux it then lives on.
func withUs(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
}
