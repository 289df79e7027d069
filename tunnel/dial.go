package tunnel

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/pasvport/pasvport/sshconf"
)

const (
	retryPause = time.Second            // between the ConnectionAttempts
	stagger    = 250 * time.Millisecond // before the next address is tried as well (RFC 8305, section 8)
)

// A network finds and reaches addresses. Nil fields are the system's own.
type network struct {
	lookup  func(ctx context.Context, network, host string) ([]netip.Addr, error)
	connect func(ctx context.Context, h *sshconf.Host, to netip.Addr) (net.Conn, error)
}

// families are the values of AddressFamily with the network names for them.
var families = map[string]string{"inet": "ip4", "inet6": "ip6"}

// resolve finds the addresses of name that have the right family: any if it is "".
func (n network) resolve(ctx context.Context, family, name string) ([]netip.Addr, error) {
	if family == "" {
		family = "ip"
	}
	if addr, err := netip.ParseAddr(name); err == nil {
		if family != "ip" && family != familyOf(addr) {
			return nil, &net.AddrError{Err: "not IPv" + family[2:], Addr: name}
		}
		return []netip.Addr{addr.Unmap()}, nil
	}
	lookup := n.lookup
	if lookup == nil {
		lookup = net.DefaultResolver.LookupNetIP
	}
	addrs, err := lookup(ctx, family, name)
	if err == nil && len(addrs) == 0 {
		err = &net.DNSError{Err: "no address", Name: name, IsNotFound: true}
	}
	for i := range addrs {
		addrs[i] = addrs[i].Unmap()
	}
	return addrs, err
}

func familyOf(addr netip.Addr) string {
	if addr.Unmap().Is4() {
		return "ip4"
	}
	return "ip6"
}

// dial connects to the first of addrs that answers. Each gets a start of a moment
// on the next one, and the families take turns (RFC 8305).
func (n network) dial(ctx context.Context, h *sshconf.Host, addrs []netip.Addr) (net.Conn, error) {
	connect := n.connect
	if connect == nil {
		connect = n.dialTCP
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type result struct {
		conn net.Conn
		addr netip.Addr
		err  error
	}
	results := make(chan result)
	todo, pending := takeTurns(addrs), 0
	next := time.NewTimer(0)
	defer next.Stop()
	var won net.Conn
	var failed addrErrors
	for pending > 0 || len(todo) > 0 {
		select {
		case <-next.C:
			if len(todo) == 0 {
				continue
			}
			addr := todo[0]
			todo = todo[1:]
			pending++
			go func() {
				c, err := connect(ctx, h, addr)
				results <- result{c, addr, err}
			}()
			next.Reset(stagger)
		case r := <-results:
			pending--
			switch {
			case r.err != nil:
				failed = append(failed, &net.OpError{Op: "dial", Net: "tcp", Addr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(r.addr, port(h))), Err: bare(r.err)})
				next.Reset(0)
			case won == nil:
				won, todo = r.conn, nil
				cancel()
			default:
				r.conn.Close()
			}
			if ctx.Err() != nil {
				todo = nil
			}
		}
	}
	switch {
	case won != nil:
		return won, nil
	case len(failed) == 1:
		return nil, failed[0]
	}
	return nil, failed
}

// takeTurns orders addrs so that families alternate.
func takeTurns(addrs []netip.Addr) (list []netip.Addr) {
	rest := slices.Clone(addrs)
	for len(rest) > 0 {
		i := 0
		if len(list) > 0 {
			other := func(a netip.Addr) bool { return familyOf(a) != familyOf(list[len(list)-1]) }
			i = max(0, slices.IndexFunc(rest, other))
		}
		list = append(list, rest[i])
		rest = slices.Delete(rest, i, i+1)
	}
	return list
}

// addrErrors are why each of several addresses could not be reached.
type addrErrors []*net.OpError

func (e addrErrors) Error() string {
	var texts []string
	for _, op := range e {
		texts = append(texts, fmt.Sprintf("%v: %v", op.Addr, op.Err))
	}
	return strings.Join(texts, ", ")
}

func (e addrErrors) Unwrap() (errs []error) {
	for _, op := range e {
		errs = append(errs, op)
	}
	return errs
}

// dialTCP connects to one address, with the options of h on the socket.
func (n network) dialTCP(ctx context.Context, h *sshconf.Host, to netip.Addr) (net.Conn, error) {
	from, err := n.source(ctx, h, familyOf(to))
	if err != nil {
		return nil, err
	}
	d := net.Dialer{
		KeepAlive: -1,
		Control: func(_, _ string, c syscall.RawConn) error {
			return setIPQoS(c, to, h.IPQoS)
		},
	}
	if h.TCPKeepAlive { // when and how often is left to the system, as in ssh
		d.KeepAliveConfig = net.KeepAliveConfig{Enable: true, Idle: -1, Interval: -1, Count: -1}
	}
	if from.IsValid() {
		d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(from, 0))
	}
	c, err := d.DialContext(ctx, "tcp", netip.AddrPortFrom(to, port(h)).String())
	if err != nil && from.IsValid() {
		err = fmt.Errorf("from %s: %w", from, bare(err))
	}
	return c, err
}

// source is the address of this machine to connect from, for a family; the zero
// Addr leaves it to the system. BindAddress comes before BindInterface, as in ssh.
func (n network) source(ctx context.Context, h *sshconf.Host, family string) (netip.Addr, error) {
	switch {
	case h.BindAddress != "":
		addrs, err := n.resolve(ctx, family, h.BindAddress)
		if err != nil {
			return netip.Addr{}, fmt.Errorf("BindAddress: %w", err)
		}
		return addrs[0], nil
	case h.BindInterface != "":
		addr, err := interfaceAddr(h.BindInterface, family)
		if err != nil {
			return addr, fmt.Errorf("BindInterface %s: %w", h.BindInterface, err)
		}
		return addr, nil
	}
	return netip.Addr{}, nil
}

// interfaceAddr is an address of an interface: one that is good for the network,
// if it has such a one.
func interfaceAddr(name, family string) (best netip.Addr, err error) {
	i, err := net.InterfaceByName(name)
	if err != nil {
		return best, bare(err)
	}
	list, err := i.Addrs()
	if err != nil {
		return best, bare(err)
	}
	for _, a := range list {
		prefix, ok := a.(*net.IPNet)
		if !ok || i.Flags&net.FlagUp == 0 {
			continue
		}
		addr, _ := netip.AddrFromSlice(prefix.IP)
		addr = addr.Unmap()
		local := addr.IsLoopback() || addr.Is6() && addr.IsLinkLocalUnicast()
		if familyOf(addr) != family || local && best.IsValid() {
			continue
		}
		if addr.IsLinkLocalUnicast() && addr.Is6() {
			addr = addr.WithZone(name)
		}
		if best = addr; !local {
			break
		}
	}
	if !best.IsValid() {
		err = errors.New("it is not up, or has no address of the destination's family")
	}
	return best, err
}

func port(h *sshconf.Host) uint16 {
	if h.Port == 0 {
		return 22
	}
	return uint16(h.Port)
}
