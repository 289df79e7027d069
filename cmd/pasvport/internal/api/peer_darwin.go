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
	var cred *unix.Xucred
	var sockErr error
	err = raw.Control(func(fd uintptr) {
		cred, sockErr = unix.GetsockoptXucred(int(fd), unix.SOL_LOCAL, unix.LOCAL_PEERCRED)
	})
	switch {
	case err != nil:
		return err
	case sockErr != nil:
		return os.NewSyscallError("LOCAL_PEERCRED", sockErr)
	case int(cred.Uid) != os.Geteuid():
		return fmt.Errorf("a process of user %d", cred.Uid)
	}
	return nil
}
