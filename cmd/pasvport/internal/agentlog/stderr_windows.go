package agentlog

import (
	"fmt"
	"os"

	"golang.org/x/sys/windows"
)

// becomeStderr makes f what this process prints its errors to: os.Stderr, and what the
// runtime asks the system for when it panics. What was it before is closed, for a file
// that is open cannot be moved.
func becomeStderr(f *os.File) error {
	if err := windows.SetStdHandle(windows.STD_ERROR_HANDLE, windows.Handle(f.Fd())); err != nil {
		return fmt.Errorf("making it the standard error: %w", err)
	}
	os.Stderr.Close()
	os.Stderr = f
	return nil
}
