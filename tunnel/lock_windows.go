package tunnel

import (
	"os"

	"golang.org/x/sys/windows"
)

// lockFile waits for the lock on f and holds it until f is closed. What is locked
// here cannot be written by others; so it is a byte far behind the end.
func lockFile(f *os.File) error {
	at := &windows.Overlapped{Offset: 0, OffsetHigh: 1 << 30}
	return windows.LockFileEx(windows.Handle(f.Fd()), windows.LOCKFILE_EXCLUSIVE_LOCK, 0, 1, 0, at)
}
