//go:build unix

package tunnel

import (
	"errors"
	"os"
	"syscall"
)

var errNotOurs = errors.New("the socket belongs to another user")

// checkOwner returns an error unless the socket at path is ours: whoever made it
// could claim to be any host.
func checkOwner(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); !ok || int(stat.Uid) != os.Geteuid() {
		return errNotOurs
	}
	return nil
}

// rights is the control message that carries f.
func rights(f *os.File) (oob []byte) {
	raw, err := f.SyscallConn()
	if err == nil {
		raw.Control(func(fd uintptr) { oob = syscall.UnixRights(int(fd)) })
	}
	return oob
}
