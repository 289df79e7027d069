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
// three. Each has to be a byte; the address means nothing.
func parsePASV(reply string) (port uint16, err error) {
	var rows [][]string
	for _, text := range numberRows.FindAllString(strings.TrimPrefix(reply, "227"), -1) {
		row := strings.Split(text, ",")
		if len(row) >= 6 {
			return portOf(reply, row[:6])
		}
		rows = append(rows, row)
	}
	if len(rows) != 1 || len(rows[0]) > 3 {
		return 0, fmt.Errorf("no port in the reply %.80q", reply)
	}
	return portOf(reply, rows[0])
}

// formatPASV writes the 227 reply that every client reads: RFC 959 with
// parentheses. The address must be IPv4.
func formatPASV(ap netip.AddrPort) string {
	return fmt.Sprintf("227 Entering Passive Mode (%s).", formatPORT(ap))
}

// parseEPSV returns the port in a 229 reply (RFC 2428, section 3), with or
// without its code: what stands in parentheses as (|||port|). Any printable
// character but a digit may take the bar's place, two of them in front of the
// port are enough, and an address between them means nothing.
func parseEPSV(reply string) (port uint16, err error) {
	for i := range len(reply) {
		text := reply[i+1:]
		if reply[i] != '(' || text == "" || text[0] < 33 || text[0] > 126 || '0' <= text[0] && text[0] <= '9' {
			continue
		}
		fields := strings.Split(text[1:], text[:1]) // what follows the last bar is one as well
		var digits string
		switch {
		case len(fields) >= 4:
			digits = fields[2]
		case len(fields) == 3 && fields[0] == "":
			digits = fields[1]
		}
		if n, err := strconv.ParseUint(digits, 10, 16); err == nil {
			return allowed(reply, uint16(n))
		}
	}
	return 0, fmt.Errorf("no port in the reply %.80q", reply)
}

// formatEPSV writes the 229 reply that every client reads.
func formatEPSV(port uint16) string {
	return fmt.Sprintf("229 Entering Extended Passive Mode (|||%d|)", port)
}

// numberRows matches numbers that are divided by commas and at most blanks.
var numberRows = regexp.MustCompile(`\d+(?:[ \t]*,[ \t]*\d+)+`)

// portOf makes a port of the last two of some numbers from reply, which it quotes
// on error.
func portOf(reply string, row []string) (port uint16, err error) {
	for _, number := range row {
		number = strings.Trim(number, " \t")
		n, err := strconv.ParseUint(number, 10, 8)
		if err != nil {
			return 0, fmt.Errorf("%.20s is no byte, in the reply %.80q", number, reply)
		}
		port = port<<8 | uint16(n)
	}
	return allowed(reply, port)
}

// lowestPort is the lowest that anybody may have a data connection at: below are
// the services of others (RFC 2577, section 3).
const lowestPort = 1024

// allowed returns port, or an error that quotes reply if it is none for data.
func allowed(reply string, port uint16) (uint16, error) {
	if port < lowestPort {
		return 0, fmt.Errorf("port %d is below %d, in the reply %.80q", port, lowestPort, reply)
	}
	return port, nil
}
