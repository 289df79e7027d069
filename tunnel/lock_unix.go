//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package tunnel

import (
	"os"
	"syscall"
)

// lockFile waits for the lock on f and holds it until f is closed.
func lockFile(f *os.File) error {
	for {
		if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != syscall.EINTR {
			return err
		}
	}
}
