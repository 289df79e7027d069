package ftpmux

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// parsePORT reads the argument of PORT: six numbers (RFC 959, section 4.1.2), and
// at most blanks around them, which servers take as well.
func parsePORT(arg string) (netip.AddrPort, error) {
	numbers := strings.Split(arg, ",")
	if len(numbers) != 6 {
		return netip.AddrPort{}, fmt.Errorf("want h1,h2,h3,h4,p1,p2, got %.80q", arg)
	}
	var b [6]byte
	for i, s := range numbers {
		s = strings.Trim(s, " ")
		n, err := strconv.ParseUint(s, 10, 8)
		if err != nil || len(s) > 3 {
			return netip.AddrPort{}, fmt.Errorf("bad number %.20q in %.80q", s, arg)
		}
		b[i] = byte(n)
	}
	port := uint16(b[4])<<8 | uint16(b[5])
	if port == 0 {
		return netip.AddrPort{}, fmt.Errorf("port 0 in %.80q", arg)
	}
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[:4])), port), nil
}

// formatPORT writes the argument of PORT. The address must be IPv4.
func formatPORT(ap netip.AddrPort) string {
	a := ap.Addr().As4()
	return fmt.Sprintf("%d,%d,%d,%d,%d,%d", a[0], a[1], a[2], a[3], ap.Port()>>8, ap.Port()&0xff)
}

// errFamily is parseEPRT's answer to a protocol that RFC 2428 does not name,
// or an address that is not of the protocol named.
var errFamily = errors.New("unknown network protocol")

// parseEPRT reads the argument of EPRT: RFC 2428, section 2.
func parseEPRT(arg string) (netip.AddrPort, error) {
	bad := func() (netip.AddrPort, error) {
		return netip.AddrPort{}, fmt.Errorf("want |1|address|port| or |2|address|port|, got %.80q", arg)
	}
	if arg == "" || arg[0] < 33 || arg[0] > 126 {
		return bad()
	}
	fields := strings.Split(arg, arg[:1])
	if len(fields) != 5 || fields[4] != "" {
		return bad()
	}
	if fields[1] != "1" && fields[1] != "2" {
		return netip.AddrPort{}, fmt.Errorf("%w %.20q", errFamily, fields[1])
	}
	addr, err := netip.ParseAddr(fields[2])
	port, perr := strconv.ParseUint(fields[3], 10, 16)
	if err != nil || perr != nil || port == 0 || len(fields[3]) > 5 {
		return bad()
	}
	if addr.Is4() != (fields[1] == "1") {
		return netip.AddrPort{}, fmt.Errorf("%w %s for the address %s", errFamily, fields[1], addr)
	}
	return netip.AddrPortFrom(addr, uint16(port)), nil
}

// formatEPRT writes the argument of EPRT.
func formatEPRT(ap netip.AddrPort) string {
	return fmt.Sprintf("|%s|%s|%d|", family(ap.Addr()), ap.Addr().WithZone(""), ap.Port())
}

// family is the number of a's network protocol in EPRT and EPSV.
func family(a netip.Addr) string {
	if a.Is4() {
		return "1"
	}
	return "2"
}
