//go:build unix

package agentlog

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// becomeStderr makes f what this process prints its errors to, by whatever way.
func becomeStderr(f *os.File) error {
	if err := unix.Dup2(int(f.Fd()), unix.Stderr); err != nil {
		return fmt.Errorf("making it the standard error: %w", err)
	}
	return nil
}
