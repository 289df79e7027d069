//go:build !windows

package tunnel

import (
	"net/netip"
	"syscall"
)

// setIPQoS marks what is sent from a socket. A system that refuses is not worth a
// connection.
func setIPQoS(c syscall.RawConn, to netip.Addr, qos int) error {
	if qos < 0 {
		return nil
	}
	level, option := syscall.IPPROTO_IP, syscall.IP_TOS
	if to.Is6() {
		level, option = syscall.IPPROTO_IPV6, syscall.IPV6_TCLASS
	}
	return c.Control(func(fd uintptr) { syscall.SetsockoptInt(int(fd), level, option, qos) })
}
