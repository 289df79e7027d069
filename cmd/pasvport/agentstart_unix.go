//go:build unix

package main

import (
	"os"
	"strconv"
	"syscall"
)

// ownSession is for a process that lives on without us and our terminal. Files that
// whoever started us has left open, a lock or the end of a pipe, are not for it: it
// would keep them for days.
func ownSession() *syscall.SysProcAttr {
	open, _ := os.ReadDir("/dev/fd")
	for _, f := range open {
		if fd, err := strconv.Atoi(f.Name()); err == nil && fd > 2 {
			syscall.CloseOnExec(fd)
		}
	}
	return &syscall.SysProcAttr{Setsid: true}
}
