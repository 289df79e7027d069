package api

import (
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// ownUser is an error unless the process at the other end of c is this one's user's.
func ownUser(c net.Conn) error {
	local, ok := c.(*net.UnixConn)
	if !ok {
		return fmt.Errorf("%s is no Unix socket", c.LocalAddr())
	}
	raw, err := local.SyscallConn()
	if err != nil {
		return err
	}
	var cred *unix.Ucred
	var sockErr error
	err = raw.Control(func(fd uintptr) {
		cred, sockErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	})
	switch {
	case err != nil:
		return err
	case sockErr != nil:
		return os.NewSyscallError("SO_PEERCRED", sockErr)
	case int(cred.Uid) != os.Geteuid():
		return fmt.Errorf("process %d is of user %d", cred.Pid, cred.Uid)
	}
	return nil
}
