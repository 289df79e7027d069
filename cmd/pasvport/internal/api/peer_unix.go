//go:build linux || darwin

package api

import (
	"fmt"
	"net"
	"os"
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
	var who string
	var uid uint32
	var sockErr error
	err = raw.Control(func(fd uintptr) { who, uid, sockErr = peer(int(fd)) })
	switch {
	case err != nil:
		return err
	case sockErr != nil:
		return sockErr
	case int(uid) != os.Geteuid():
		return fmt.Errorf("%s is of user %d", who, uid)
	}
	return nil
}
