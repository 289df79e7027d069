//go:build unix

package tunnel

import (
	"io/fs"
	"os"
	"syscall"
)

// tooOpen tells whether a private key is ours and others may read it. As with ssh,
// the modes of other people's files are not our business.
func tooOpen(fi fs.FileInfo) bool {
	sys, ok := fi.Sys().(*syscall.Stat_t)
	return ok && int(sys.Uid) == os.Getuid() && fi.Mode().Perm()&0o077 != 0
}
