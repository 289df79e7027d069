package tunnel

import (
	"net/netip"
	"syscall"
)

// setIPQoS does nothing: Windows leaves the marking to its policies.
func setIPQoS(syscall.RawConn, netip.Addr, int) error { return nil }
