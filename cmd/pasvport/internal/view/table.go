package view

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/charmbracelet/x/ansi"

	"github.com/pasvport/pasvport/cmd/pasvport/internal/api"
)

// A column of the table.
type column struct {
	title string
	right bool // its figures stand at the right
	least int  // cells that it keeps when the table is too wide; 0: it is never cut
	cell  func(t *api.Tunnel, now time.Time) string
}

var ssh = column{title: "SSH", cell: func(t *api.Tunnel, _ time.Time) string { return SSHText(t) }}

var columns = []column{
	{title: "TUNNEL", least: 6, cell: func(t *api.Tunnel, _ time.Time) string { return Clean(t.Name) }},
	{title: "LISTEN", least: 15, cell: func(t *api.Tunnel, _ time.Time) string { return address(t, 0) }},
	{title: "STATE", least: 19, cell: StateText},
	ssh,
	{title: "SESSIONS", right: true, cell: func(t *api.Tunnel, _ time.Time) string { return strconv.Itoa(len(t.Sessions)) }},
	{title: "TRANSFERS", right: true, cell: func(t *api.Tunnel, _ time.Time) string { return strconv.Itoa(Transfers(t)) }},
	{title: "DOWN", right: true, cell: func(t *api.Tunnel, _ time.Time) string { return Bytes(t.Totals.BytesDown) }},
	{title: "UP", right: true, cell: func(t *api.Tunnel, _ time.Time) string { return Bytes(t.Totals.BytesUp) }},
}

// Table writes what "pasvport status" shows: a row for each tunnel of s, and under
// it its other listen addresses, its last error and what to type. The lines are no
// longer than width cells, where that can be read at all: where the table is too
// wide, the SSH host stands under the row, columns come closer, then long names are cut. A width of 0 is
// for what is no terminal: nothing is cut or wrapped.
func Table(w io.Writer, s *api.Status, now time.Time, width int) error {
	if len(s.Tunnels) == 0 {
		_, err := fmt.Fprintln(w, "no tunnels; `pasvport up HOST` opens one")
		return err
	}
	shown, gap := columns, 2
	widths := measure(shown, s.Tunnels, now)
	sshBelow := width > 0 && total(widths, gap) > width
	if sshBelow {
		shown = slices.DeleteFunc(slices.Clone(columns), func(c column) bool { return c.title == ssh.title })
		widths = measure(shown, s.Tunnels, now)
		if total(widths, gap) > width {
			gap = 1
			narrow(shown, widths, width-gap*(len(widths)-1))
		}
	}
	var out strings.Builder
	between := strings.Repeat(" ", gap)
	line(&out, shown, widths, between, func(c column) string { return c.title })
	for i := range s.Tunnels {
		t := &s.Tunnels[i]
		line(&out, shown, widths, between, func(c column) string { return cmp.Or(c.cell(t, now), "-") })
		for _, text := range below(t, now, sshBelow) {
			indented(&out, text, width)
		}
	}
	_, err := io.WriteString(w, out.String())
	return err
}

// StateText is a tunnel's state and for how long it has been so: "up 2h13m".
func StateText(t *api.Tunnel, now time.Time) string {
	state := Clean(string(t.State))
	if t.Since.IsZero() {
		return state
	}
	return state + " " + Duration(now.Sub(t.Since))
}

// Transfers is the number of t's transfers that are under way.
func Transfers(t *api.Tunnel) int {
	n := 0
	for _, s := range t.Sessions {
		n += len(s.Transfers)
	}
	return n
}

// Plural is n and what there are of it: "1 session", "2 sessions".
func Plural(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return strconv.Itoa(n) + " " + what
}

// SSHText is t's SSH server, and how many connections there are to it.
func SSHText(t *api.Tunnel) string {
	host := Clean(cmp.Or(t.SSH, t.Host))
	if t.Connections == 0 {
		return host
	}
	return fmt.Sprintf("%s ×%d", host, t.Connections)
}

func address(t *api.Tunnel, i int) string {
	if i >= len(t.Listens) {
		return ""
	}
	return Clean(t.Listens[i].Address)
}

// below are the lines under t's row.
func below(t *api.Tunnel, now time.Time, sshToo bool) []string {
	var lines []string
	for i := 1; i < len(t.Listens); i++ {
		lines = append(lines, "also "+address(t, i))
	}
	if text := SSHText(t); sshToo && text != "" {
		lines = append(lines, "ssh "+text)
	}
	if t.State == api.Reconnecting && t.Retry.After(now) {
		lines = append(lines, "next attempt in "+Duration(t.Retry.Sub(now)))
	}
	if t.Error != nil {
		lines = append(lines, ErrorText(t.Error, now))
	}
	if t.Error != nil && t.State != api.Up { // there is nothing to mend
		for _, hint := range t.Error.Hints {
			lines = append(lines, "hint: "+Clean(hint))
		}
	}
	if t.Mend != "" {
		lines = append(lines, "type: "+Clean(t.Mend))
	}
	return lines
}

// ErrorText is e on one line, and how long ago it was.
func ErrorText(e *api.Error, now time.Time) string {
	if e.Time.IsZero() {
		return "error: " + Clean(e.Text)
	}
	return fmt.Sprintf("error %s ago: %s", Duration(now.Sub(e.Time)), Clean(e.Text))
}

func measure(shown []column, tunnels []api.Tunnel, now time.Time) []int {
	widths := make([]int, len(shown))
	for i, c := range shown {
		widths[i] = Width(c.title)
		for j := range tunnels {
			widths[i] = max(widths[i], Width(c.cell(&tunnels[j], now)))
		}
	}
	return widths
}

// total is the width of a table with gap cells between its columns.
func total(widths []int, gap int) int {
	sum := gap * (len(widths) - 1)
	for _, w := range widths {
		sum += w
	}
	return sum
}

// narrow takes cells from the columns that may be cut, the widest first, until
// they have width together or none has more to give.
func narrow(shown []column, widths []int, width int) {
	for total(widths, 0) > width {
		widest := -1
		for i, c := range shown {
			if c.least > 0 && widths[i] > c.least && (widest < 0 || widths[i] > widths[widest]) {
				widest = i
			}
		}
		if widest < 0 {
			return
		}
		widths[widest]--
	}
}

func line(out *strings.Builder, shown []column, widths []int, between string, cell func(column) string) {
	var text strings.Builder
	for i, c := range shown {
		if i > 0 {
			text.WriteString(between)
		}
		pad := PadRight
		if c.right {
			pad = PadLeft
		}
		text.WriteString(pad(CutMiddle(cell(c), widths[i]), widths[i]))
	}
	out.WriteString(strings.TrimRight(text.String(), " ") + "\n")
}

// indented writes text under a row, wrapped to width.
func indented(out *strings.Builder, text string, width int) {
	const indent = "  "
	if room := width - 2*len(indent); width > 0 {
		text = ansi.WrapWc(text, max(room, 20), "")
	}
	for i, part := range strings.Split(text, "\n") {
		if i > 0 {
			out.WriteString(indent)
		}
		out.WriteString(indent + strings.TrimRight(part, " ") + "\n")
	}
}
