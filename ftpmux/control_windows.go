package ftpmux

import (
	"net"
	"syscall"
)

const soOOBInline = 0x100 // winsock2.h: SO_OOBINLINE

// prepareControl sets what a control connection needs of its socket: urgent
// data (RFC 959's ABOR) stays in line, because one byte of it would be lost.
func prepareControl(c net.Conn) net.Conn {
	if tcp, ok := c.(*net.TCPConn); ok {
		if raw, err := tcp.SyscallConn(); err == nil {
			raw.Control(func(fd uintptr) {
				syscall.SetsockoptInt(syscall.Handle(fd), syscall.SOL_SOCKET, soOOBInline, 1)
			})
		}
	}
	return c
}
