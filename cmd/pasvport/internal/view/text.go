// Package view is how pasvport shows to people what its agent knows: the table of
// "pasvport status", the line that ends a transfer, and the figures that these and
// "pasvport top" have in common. It draws into memory or a writer, and asks nobody.
package view

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/charmbracelet/x/ansi"
)

// Clean makes text from outside harmless on a terminal: all of it on one line, and
// nothing in it that a terminal would obey, that reorders what stands beside it, or
// that cannot be seen. Such a character becomes a "?", as in ls, or a space.
func Clean(text string) string {
	marks := 0 // accents since the last letter; a few is a language, many is a prank
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.Is(unicode.Variation_Selector, r):
			return -1 // terminals disagree about how wide the character before it becomes
		case unicode.Is(unicode.Mn, r), unicode.Is(unicode.Me, r):
			if marks++; marks > 4 {
				return -1
			}
			return r
		}
		marks = 0
		if unicode.IsSpace(r) {
			return ' '
		}
		if r == unicode.ReplacementChar || !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, text)
}

// Width is the number of a terminal's cells that text takes, each rune counted by
// itself. A terminal that joins some into one needs no more for Clean text.
func Width(text string) int { return ansi.StringWidthWc(text) }

// CutMiddle shortens text to width cells with an ellipsis in its middle, for the
// beginning of a file's name and its end tell it from others.
func CutMiddle(text string, width int) string {
	whole := Width(text)
	switch {
	case whole <= width:
		return text
	case width <= 1:
		return strings.Repeat("…", max(width, 0))
	}
	head := (width - 1) / 2
	return first(text, head) + "…" + last(text, width-1-head)
}

// CutEnd shortens text to width cells with an ellipsis at its end.
func CutEnd(text string, width int) string {
	switch {
	case Width(text) <= width:
		return text
	case width <= 0:
		return ""
	}
	return first(text, width-1) + "…"
}

// first is as much of text's beginning as has room in width cells.
func first(text string, width int) string {
	for i, r := range text {
		if width -= Width(string(r)); width < 0 {
			return text[:i]
		}
	}
	return text
}

// last is as much of text's end as has room in width cells.
func last(text string, width int) string {
	for i := len(text); i > 0; {
		r, size := utf8.DecodeLastRuneInString(text[:i])
		if width -= Width(string(r)); width < 0 {
			return text[i:]
		}
		i -= size
	}
	return text
}

// PadRight fills text with spaces to width cells, behind it.
func PadRight(text string, width int) string {
	return text + strings.Repeat(" ", max(width-Width(text), 0))
}

// PadLeft fills text with spaces to width cells, before it.
func PadLeft(text string, width int) string {
	return strings.Repeat(" ", max(width-Width(text), 0)) + text
}
