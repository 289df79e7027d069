package tunnel

import (
	"os"

	"golang.org/x/sys/windows"
)

// lockFile waits for the lock on f and holds it until f is closed. What is locked
// here cannot be written by others; so it is a byte far behind the end.
func lockFile(f *os.File) {
	c, err := f.SyscallConn()
	if err != nil {
		return
	}
	c.Control(func(fd uintptr) {
		at := &windows.Overlapped{Offset: 0, OffsetHigh: 1 << 30}
		windows.LockFileEx(windows.Handle(fd), windows.LOCKFILE_EXCLUSIVE_LOCK, 0, 1, 0, at)
	})
}
