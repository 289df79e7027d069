package tunnel

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// netlinkGroups are those of addresses and routes (rtnetlink(7)).
const netlinkGroups = unix.RTMGRP_IPV4_IFADDR | unix.RTMGRP_IPV6_IFADDR | unix.RTMGRP_IPV4_ROUTE | unix.RTMGRP_IPV6_ROUTE

// watchNetwork calls wake when this machine has got an address or a route, until ctx
// is done. What it loses wakes nobody: there is no use in trying then, and a
// connection may outlive it.
func watchNetwork(ctx context.Context, wake func()) error {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("opening a netlink socket: %w", err)
	}
	socket := os.NewFile(uintptr(fd), "netlink")
	defer socket.Close()
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: netlinkGroups}); err != nil {
		return fmt.Errorf("listening on a netlink socket: %w", err)
	}
	defer context.AfterFunc(ctx, func() { socket.Close() })()
	buf := make([]byte, 64<<10)
	for {
		n, err := socket.Read(buf)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, unix.ENOBUFS): // there was more than we have read
			wake()
		case err != nil:
			return fmt.Errorf("reading a netlink socket: %w", err)
		case gained(buf[:n]):
			wake()
		}
	}
}

// gained tells whether messages of netlink tell of a new address or route.
func gained(messages []byte) bool {
	list, err := syscall.ParseNetlinkMessage(messages)
	if err != nil {
		return false
	}
	for _, m := range list {
		if m.Header.Type == unix.RTM_NEWADDR || m.Header.Type == unix.RTM_NEWROUTE {
			return true
		}
	}
	return false
}
