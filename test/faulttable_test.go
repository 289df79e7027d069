//go:build linux

package test

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
)

// summary is the whole table.
func summary(rows []*row) string {
	sortRows(rows)
	var text strings.Builder
	w := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "fault\tserver\ttransfer\tthe client saw\tthe server said\tand kept")
	for _, r := range rows {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", r.fault.name, r.server, r.mode()+" "+r.direction(), r.saw, r.said, r.kept)
	}
	w.Flush()
	return text.String()
}

func sortRows(rows []*row) {
	place := func(r *row) int {
		return slices.IndexFunc(faults, func(f fault) bool { return f.name == r.fault.name })
	}
	slices.SortFunc(rows, func(a, b *row) int {
		return cmp.Or(cmp.Compare(place(a), place(b)), cmp.Compare(a.server, b.server), cmp.Compare(a.folder, b.folder))
	})
}

// failures names what failed, each in a line: the rows with what was wrong, and the
// stages in which it was none of the rows.
func failures(rows []*row, stages []*testing.T) []string {
	var lines []string
	for _, t := range stages {
		before := len(lines)
		for _, r := range rows {
			if r.Failed() && strings.HasPrefix(r.Name(), t.Name()+"/") {
				lines = append(lines, fmt.Sprintf("FAILED: %s: %s", r.Name(), cmp.Or(strings.Join(r.wrong, "; "), "its own message is further up")))
			}
		}
		if t.Failed() && len(lines) == before {
			lines = append(lines, fmt.Sprintf("FAILED: %s: its own message is further up", t.Name()))
		}
	}
	return lines
}

// keptTable is what README says of broken uploads: what the servers keep, and with
// which reply. Faults that end alike share a line.
func keptTable(rows []*row) string {
	var names [][]string
	var cells []string
	for _, f := range faults {
		if f.whole || f.habit != nil {
			continue
		}
		var line []string
		for _, server := range ftpds {
			line = append(line, keptBy(rows, f.name, server.name))
		}
		text := strings.Join(line, " | ")
		if strings.Trim(text, " |") == "" {
			continue // it has downloads only
		}
		i := slices.Index(cells, text)
		if i < 0 {
			i = len(cells)
			cells, names = append(cells, text), append(names, nil)
		}
		names[i] = append(names[i], f.name)
	}
	var text strings.Builder
	text.WriteString("| |")
	for _, server := range ftpds {
		text.WriteString(" " + server.name + " |")
	}
	text.WriteString("\n|" + strings.Repeat(" --- |", len(ftpds)+1) + "\n")
	for i := range cells {
		fmt.Fprintf(&text, "| %s | %s |\n", strings.Join(names[i], "; "), cells[i])
	}
	return text.String()
}

// keptBy is what one server made of the uploads of one fault.
func keptBy(rows []*row, fault, server string) string {
	var kept []string
	for _, r := range rows {
		if r.fault.name == fault && r.server == server && !r.download {
			kept = append(kept, r.kept+", "+r.said)
		}
	}
	slices.Sort(kept)
	return strings.Join(slices.Compact(kept), " or ")
}
