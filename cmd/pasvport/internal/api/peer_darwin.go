package api

import (
	"os"

	"golang.org/x/sys/unix"
)

// peer is who has the other end of a Unix socket.
func peer(fd int) (who string, uid uint32, err error) {
	cred, err := unix.GetsockoptXucred(fd, unix.SOL_LOCAL, unix.LOCAL_PEERCRED)
	if err != nil {
		return "", 0, os.NewSyscallError("LOCAL_PEERCRED", err)
	}
	return "a process", cred.Uid, nil
}
