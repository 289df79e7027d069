//go:build unix

package ftpmux

import (
	"net"
	"syscall"
)

// tcpControl is a client's control connection over TCP.
type tcpControl struct {
	*net.TCPConn
	raw syscall.RawConn
}

// prepareControl sets what a control connection needs of its socket: urgent
// data (RFC 959's ABOR) stays in line, because one byte of it would be lost.
func prepareControl(c net.Conn) net.Conn {
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		return c
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return c
	}
	raw.Control(func(fd uintptr) {
		syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_OOBINLINE, 1)
	})
	return &tcpControl{tcp, raw}
}

// PeerEnded tells whether the client has ended its side already, or reset it,
// with nothing before that left to read. It does not wait and takes nothing.
func (c *tcpControl) PeerEnded() bool {
	ended := false
	c.raw.Control(func(fd uintptr) {
		var one [1]byte
		n, _, err := syscall.Recvfrom(int(fd), one[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		ended = err == nil && n == 0 || err != nil && err != syscall.EAGAIN && err != syscall.EINTR
	})
	return ended
}
