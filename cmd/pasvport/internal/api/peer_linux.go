package api

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// peer is who has the other end of a Unix socket.
func peer(fd int) (who string, uid uint32, err error) {
	cred, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return "", 0, os.NewSyscallError("SO_PEERCRED", err)
	}
	return fmt.Sprintf("process %d", cred.Pid), cred.Uid, nil
}
