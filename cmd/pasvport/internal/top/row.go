package top

import (
	"slices"
	"strings"

	"github.com/pasvport/pasvport/cmd/pasvport/internal/view"
)

// A cell is one column of a line. Its text is clean.
type cell struct {
	text  string
	width int                    // 0: what text needs
	right bool                   // the text stands at the right
	keep  int                    // the least is dropped first where there is no room; 0: never
	grow  func(width int) string // draws what takes the room that is left; width is its least then
	style string                 // SGR's parameters
}

const gap = "  "

// row draws cells behind prefix on one line of width cells, at most.
func row(width int, prefix, style string, cells ...cell) string {
	prefix = view.CutEnd(prefix, width)
	line := styled(prefix, style)
	for i, c := range fit(cells, width-view.Width(prefix)) {
		if i > 0 {
			line += gap
		}
		line += styled(c.draw(), join(style, c.style))
	}
	return line
}

// fit gives cells their widths, so that they have room: it drops some, the least
// first, lets one grow into what is left, and cuts the last where nothing else helps.
func fit(cells []cell, room int) []cell {
	var kept []cell
	for _, c := range cells {
		if c.width == 0 {
			c.width = view.Width(c.text)
		}
		if c.width > 0 {
			kept = append(kept, c)
		}
	}
	for needs(kept) > room {
		least := -1
		for i, c := range kept {
			if c.keep > 0 && (least < 0 || c.keep < kept[least].keep) {
				least = i
			}
		}
		if least < 0 {
			break
		}
		kept = slices.Delete(kept, least, least+1)
	}
	for len(kept) > 0 && needs(kept) > room {
		last := &kept[len(kept)-1]
		last.width -= needs(kept) - room
		if last.width <= 0 {
			kept = kept[:len(kept)-1]
		}
	}
	spare := room - needs(kept)
	for i := range kept {
		if c := &kept[i]; c.grow != nil {
			c.width += spare
			c.text = c.grow(c.width)
			break
		}
	}
	return kept
}

// needs is the cells that they take, with gaps between them.
func needs(cells []cell) int {
	sum := len(gap) * max(len(cells)-1, 0)
	for _, c := range cells {
		sum += c.width
	}
	return sum
}

func (c cell) draw() string {
	text := view.CutMiddle(c.text, c.width)
	if c.right {
		return view.PadLeft(text, c.width)
	}
	return view.PadRight(text, c.width)
}

// Styles are the terminal's own sixteen colours, which its user chose to be readable.
const (
	plain  = ""
	bold   = "1"
	faint  = "2"
	red    = "31"
	green  = "32"
	yellow = "33"
	cyan   = "36"
)

func styled(text, style string) string {
	if style == "" || text == "" {
		return text
	}
	return "\x1b[" + style + "m" + text + "\x1b[m"
}

func join(a, b string) string {
	if a == "" || b == "" {
		return a + b
	}
	return a + ";" + b
}

// bar is a progress bar of width cells.
func bar(share float64, width int) string {
	full := min(max(int(share*float64(width)), 0), width)
	return strings.Repeat("█", full) + strings.Repeat("░", width-full)
}

var levels = []rune("▁▂▃▄▅▆▇█")

// sparkline draws values beside each other, the greatest in full height. What is
// not nothing can be told from it.
func sparkline(values []float64) string {
	top := 0.0
	for _, v := range values {
		top = max(top, v)
	}
	line := make([]rune, len(values))
	for i, v := range values {
		line[i] = levels[0]
		if v > 0 {
			line[i] = levels[min(1+int(v/top*float64(len(levels)-1)), len(levels)-1)]
		}
	}
	return string(line)
}
