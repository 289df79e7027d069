//go:build !windows

package tunnel

import (
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// proxyCmd is command for the user's shell, which it replaces.
//
// Where there is a terminal, the command shares it and our process group, as
// ssh's does: in a group of its own it would be stopped when it asks for a
// password. Ctrl-C is not meant for it all the same: who it is meant for may want
// the connection yet. Without a terminal, a group makes it easy to end all of it.
func proxyCmd(command string) *exec.Cmd {
	shell := cmp.Or(os.Getenv("SHELL"), "/bin/sh")
	cmd := exec.Command("/bin/sh", "-c", `trap "" INT; exec "$0" -c "$1"`, shell, "exec "+command)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: !hasTerminal()}
	return cmd
}

func hasTerminal() bool {
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR|syscall.O_NOCTTY, 0)
	tty.Close()
	return err == nil
}

// descendants are what cmd has started, where it has no group and the system
// tells; elsewhere they see the end of their input.
func descendants(cmd *exec.Cmd) (pids []int) {
	if cmd.SysProcAttr.Setpgid {
		return nil
	}
	var add func(pid int)
	add = func(pid int) {
		files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
		for _, file := range files {
			text, _ := os.ReadFile(file)
			for _, field := range strings.Fields(string(text)) {
				if child, err := strconv.Atoi(field); err == nil {
					pids = append(pids, child)
					add(child)
				}
			}
		}
	}
	add(cmd.Process.Pid)
	return pids
}

func hangUp(cmd *exec.Cmd, family []int) { signalAll(cmd, family, syscall.SIGHUP) }
func kill(cmd *exec.Cmd, family []int)   { signalAll(cmd, family, syscall.SIGKILL) }

func signalAll(cmd *exec.Cmd, family []int, sig syscall.Signal) {
	if cmd.SysProcAttr.Setpgid {
		syscall.Kill(-cmd.Process.Pid, sig)
		return
	}
	cmd.Process.Signal(sig)
	for _, pid := range family {
		syscall.Kill(pid, sig)
	}
}
