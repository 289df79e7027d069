//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package tunnel

import (
	"os"
	"syscall"
)

// lockFile waits for the lock on f and holds it until f is closed, which may be while
// it waits: then f is kept open until it has the lock.
func lockFile(f *os.File) {
	c, err := f.SyscallConn()
	if err != nil {
		return
	}
	c.Control(func(fd uintptr) {
		for syscall.Flock(int(fd), syscall.LOCK_EX) == syscall.EINTR {
		}
	})
}
