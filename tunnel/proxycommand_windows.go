package tunnel

import (
	"cmp"
	"os"
	"os/exec"
	"strconv"
	"syscall"
)

// proxyCmd is command for the system's shell, which takes it as it stands.
func proxyCmd(command string) *exec.Cmd {
	shell := cmp.Or(os.Getenv("COMSPEC"), "cmd.exe")
	cmd := exec.Command(shell)
	cmd.SysProcAttr = &syscall.SysProcAttr{CmdLine: shell + " /c " + command}
	return cmd
}

func descendants(*exec.Cmd) []int { return nil } // kill finds them

func hangUp(*exec.Cmd, []int) {} // the end of its input has to do

func kill(cmd *exec.Cmd, _ []int) {
	if exec.Command("taskkill", "/t", "/f", "/pid", strconv.Itoa(cmd.Process.Pid)).Run() != nil {
		cmd.Process.Kill()
	}
}
