package ftpmux

import (
	"fmt"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
)

// parsePASV returns the port in a 227 reply (RFC 959, section 4.2), with or
// without its code. Servers write it in many ways: it is the last two of the
// first six numbers in a row that are divided by commas. Where there are no six,
// as on IPv6, it is the last two of the only such row, if that is of two or
// three. The address is not looked at.
func parsePASV(reply string) (port uint16, err error) {
	var shorter [][]string
	for _, text := range numberRows.FindAllString(strings.TrimPrefix(reply, "227"), -1) {
		row := strings.Split(strings.ReplaceAll(text, " ", ""), ",")
		if len(row) >= 6 {
			return portOf(reply, row[4], row[5])
		}
		shorter = append(shorter, row)
	}
	if len(shorter) != 1 || len(shorter[0]) > 3 {
		return 0, fmt.Errorf("no port in the reply %.80q", reply)
	}
	row := shorter[0]
	return portOf(reply, row[len(row)-2], row[len(row)-1])
}

// formatPASV writes the 227 reply that every client reads: RFC 959 with
// parentheses. The address must be IPv4.
func formatPASV(ap netip.AddrPort) string {
	return fmt.Sprintf("227 Entering Passive Mode (%s).", formatPORT(ap))
}

// parseEPSV returns the port in a 229 reply (RFC 2428, section 3), with or
// without its code. Any printable character may divide it, and two in front
// of the port are enough.
func parseEPSV(reply string) (port uint16, err error) {
	_, text, ok := strings.Cut(reply, "(")
	if ok && len(text) > 0 && text[0] >= 33 && text[0] <= 126 && (text[0] < '0' || text[0] > '9') {
		digits := strings.TrimLeft(text, text[:1])
		bars := len(text) - len(digits)
		digits, _, closed := strings.Cut(digits, text[:1])
		if n, err := strconv.ParseUint(digits, 10, 16); err == nil && n > 0 && closed && (bars == 2 || bars == 3) {
			return uint16(n), nil
		}
	}
	return 0, fmt.Errorf("no port in the reply %.80q", reply)
}

// formatEPSV writes the 229 reply that every client reads.
func formatEPSV(port uint16) string {
	return fmt.Sprintf("229 Entering Extended Passive Mode (|||%d|)", port)
}

// numberRows matches numbers that are divided by commas and at most spaces.
var numberRows = regexp.MustCompile(`\d+(?: *, *\d+)+`)

// portOf makes a port of two numbers from line, which it quotes on error.
func portOf(line, high, low string) (uint16, error) {
	h, err1 := strconv.ParseUint(high, 10, 8)
	l, err2 := strconv.ParseUint(low, 10, 8)
	if err1 != nil || err2 != nil || h+l == 0 {
		return 0, fmt.Errorf("bad port %s,%s in %.80q", high, low, line)
	}
	return uint16(h<<8 | l), nil
}
