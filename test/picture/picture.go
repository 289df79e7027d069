// Package picture makes an SVG of a terminal's screen, as "tmux capture-pane -p -e"
// prints it: for a README, from a real run. The same screen makes the same picture.
package picture

import (
	"fmt"
	"html"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/charmbracelet/x/ansi"
)

// SVG draws the screen of columns × rows cells that capture has. An escape sequence
// that it does not know, or a line that is too long, is an error: nothing is left
// out in silence.
func SVG(capture string, columns, rows int) ([]byte, error) {
	lines := strings.Split(strings.TrimRight(capture, "\n"), "\n")
	if len(lines) > rows {
		return nil, fmt.Errorf("a screen of %d rows was captured with %d lines", rows, len(lines))
	}
	var p painter
	p.begin(columns, rows)
	for row, line := range lines {
		if err := p.line(line, row, columns); err != nil {
			return nil, fmt.Errorf("line %d: %w", row+1, err)
		}
	}
	p.out.WriteString("</svg>\n")
	return []byte(p.out.String()), nil
}

// Sizes in the picture, in pixels.
const (
	cellWidth  = 8.4
	cellHeight = 18.0
	fontSize   = 14
	baseline   = 13.5 // below the top of a cell
	margin     = 12.0
)

// palette are the sixteen colours of a terminal, on a dark ground.
var palette = [16]string{
	"#45475a", "#f38ba8", "#a6e3a1", "#f9e2af", "#89b4fa", "#f5c2e7", "#94e2d5", "#bac2de",
	"#6c7086", "#f38ba8", "#a6e3a1", "#f9e2af", "#89b4fa", "#f5c2e7", "#94e2d5", "#ffffff",
}

const (
	foreground = "#cdd6f4"
	background = "#1e1e2e"
)

// A style is how a cell is drawn. Colours are "" for the terminal's own.
type style struct {
	bold, faint, reverse bool
	fore, back           string
}

// A painter draws cell after cell. As on a terminal, a style lasts until another is
// set, also to the next line.
type painter struct {
	out   strings.Builder
	style style
}

func (p *painter) begin(columns, rows int) {
	width, height := float64(columns)*cellWidth+2*margin, float64(rows)*cellHeight+2*margin
	fmt.Fprintf(&p.out, `<svg xmlns="http://www.w3.org/2000/svg" width="%[1]s" height="%[2]s" viewBox="0 0 %[1]s %[2]s" `+
		`font-family="ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace" font-size="%[3]d" fill="%[4]s">`+"\n", number(width), number(height), fontSize, foreground)
	fmt.Fprintf(&p.out, `<rect width="100%%" height="100%%" rx="8" fill="%s"/>`+"\n", background)
}

// line draws one line of the capture: runs of text of one style, with what sets the
// style between them.
func (p *painter) line(text string, row, columns int) error {
	column := 0
	for text != "" {
		if rest, ok := strings.CutPrefix(text, "\x1b["); ok {
			parameters, rest, ok := strings.Cut(rest, "m")
			if !ok {
				return fmt.Errorf("an escape sequence that sets no style: %q", text)
			}
			if err := p.style.set(parameters); err != nil {
				return err
			}
			text = rest
			continue
		}
		run := text
		if i := strings.IndexByte(text, '\x1b'); i == 0 {
			return fmt.Errorf("an escape sequence that sets no style: %q", text)
		} else if i > 0 {
			run = text[:i]
		}
		text = text[len(run):]
		width := ansi.StringWidthWc(run)
		if column+width > columns {
			return fmt.Errorf("%d cells and more on a screen of %d", column+width, columns)
		}
		p.run(run, column, row, width)
		column += width
	}
	return nil
}

// run draws text in the present style. Blocks are drawn as such, for fonts leave
// gaps between them.
func (p *painter) run(text string, column, row, width int) {
	fore, back := p.style.colours()
	if back != background {
		p.rect(float64(column), float64(row), float64(width), 1, back, 1)
	}
	for text != "" {
		r, size := utf8.DecodeRuneInString(text)
		if x, y, w, h, opacity, ok := block(r); ok {
			n := 1
			for strings.HasPrefix(text[n*size:], string(r)) {
				n++
			}
			p.rect(float64(column)+x, float64(row)+y, float64(n-1)+w, h, fore, opacity)
			text, column = text[n*size:], column+n
			continue
		}
		part := text
		if i := strings.IndexFunc(text, func(r rune) bool { _, _, _, _, _, ok := block(r); return ok }); i > 0 {
			part = text[:i]
		}
		p.text(part, column, row, fore)
		text, column = text[len(part):], column+ansi.StringWidthWc(part)
	}
}

// block is where in its cell a block element is, in parts of the cell.
func block(r rune) (x, y, w, h, opacity float64, ok bool) {
	switch {
	case r >= '▁' && r <= '█': // lower eighths
		h = float64(r-'▁'+1) / 8
		return 0, 1 - h, 1, h, 1, true
	case r == '░':
		return 0, 0, 1, 1, 0.25, true
	}
	return 0, 0, 0, 0, 0, false
}

func (p *painter) rect(x, y, w, h float64, fill string, opacity float64) {
	fmt.Fprintf(&p.out, `<rect x="%s" y="%s" width="%s" height="%s" fill="%s"`,
		number(margin+x*cellWidth), number(margin+y*cellHeight), number(w*cellWidth), number(h*cellHeight), fill)
	if opacity < 1 {
		fmt.Fprintf(&p.out, ` opacity="%s"`, number(opacity))
	}
	p.out.WriteString("/>\n")
}

// text draws what has ink. Its length is set, so that columns stand below each other
// in any font.
func (p *painter) text(text string, column, row int, fore string) {
	ink := strings.TrimLeft(text, " ")
	column += len(text) - len(ink)
	ink = strings.TrimRight(ink, " ")
	if ink == "" {
		return
	}
	fmt.Fprintf(&p.out, `<text x="%s" y="%s" textLength="%s" lengthAdjust="spacingAndGlyphs" xml:space="preserve"`,
		number(margin+float64(column)*cellWidth), number(margin+float64(row)*cellHeight+baseline), number(float64(ansi.StringWidthWc(ink))*cellWidth))
	if fore != foreground {
		fmt.Fprintf(&p.out, ` fill="%s"`, fore)
	}
	if p.style.bold {
		p.out.WriteString(` font-weight="bold"`)
	}
	if p.style.faint {
		p.out.WriteString(` opacity="0.6"`)
	}
	fmt.Fprintf(&p.out, ">%s</text>\n", html.EscapeString(ink))
}

// set takes the parameters of SGR (ECMA-48, section 8.3.117).
func (s *style) set(parameters string) error {
	for _, text := range strings.Split(parameters, ";") {
		n := 0
		if text != "" {
			var err error
			if n, err = strconv.Atoi(text); err != nil {
				return fmt.Errorf("a style that is no number: %q", parameters)
			}
		}
		switch {
		case n == 0:
			*s = style{}
		case n == 1:
			s.bold = true
		case n == 2:
			s.faint = true
		case n == 22:
			s.bold, s.faint = false, false
		case n == 7:
			s.reverse = true
		case n == 27:
			s.reverse = false
		case n >= 30 && n <= 37:
			s.fore = palette[n-30]
		case n == 39:
			s.fore = ""
		case n >= 40 && n <= 47:
			s.back = palette[n-40]
		case n == 49:
			s.back = ""
		case n >= 90 && n <= 97:
			s.fore = palette[n-90+8]
		case n >= 100 && n <= 107:
			s.back = palette[n-100+8]
		default:
			return fmt.Errorf("an unknown style: %q", parameters)
		}
	}
	return nil
}

func (s style) colours() (fore, back string) {
	fore, back = foreground, background
	if s.fore != "" {
		fore = s.fore
	}
	if s.back != "" {
		back = s.back
	}
	if s.reverse {
		fore, back = back, fore
	}
	return fore, back
}

// number is v with two digits behind the point at most.
func number(v float64) string {
	return strings.TrimSuffix(strings.TrimRight(strconv.FormatFloat(v, 'f', 2, 64), "0"), ".")
}
