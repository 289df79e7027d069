package view

import (
	"strings"
	"testing"
)

func TestClean(t *testing.T) {
	for _, test := range []struct{ what, text, want string }{
		{"plain", "report.txt", "report.txt"},
		{"a colour", "\x1b[31mred\x1b[0m", "?[31mred?[0m"},
		{"a title, and a bell", "\x1b]0;owned\x07", "?]0;owned?"},
		{"C1's CSI", "\u009b2J", "?2J"},
		{"lines", "a\r\nb\tc", "a  b c"},
		{"NUL, DEL and backspace", "a\x00\x7f\bb", "a???b"},
		{"no UTF-8", "caf\xe9", "caf?"},
		{"right to left override", "exe.\u202etxt", "exe.?txt"},
		{"zero width", "a\u200bb\u200dc\ufeffd", "a?b?c?d"},
		{"wide", "報告書.pdf", "報告書.pdf"},
		{"an accent", "e\u0301", "e\u0301"},
		{"many accents", "e" + strings.Repeat("\u0301", 100), "e" + strings.Repeat("\u0301", 4)},
		{"a variation selector", "❤\ufe0f", "❤"},
		{"other spaces", "a\u00a0b\u3000c\u2028d", "a b c d"},
	} {
		if got := Clean(test.text); got != test.want {
			t.Errorf("%s: Clean(%q) = %q, want %q", test.what, test.text, got, test.want)
		}
	}
}

func TestCutMiddle(t *testing.T) {
	for _, test := range []struct {
		text  string
		width int
		want  string
	}{
		{"report.txt", 10, "report.txt"},
		{"report.txt", 9, "repo….txt"},
		{"report.txt", 2, "…t"},
		{"report.txt", 1, "…"},
		{"report.txt", 0, ""},
		{"report.txt", -3, ""},
		{"報告書報告書.pdf", 9, "報告….pdf"},
		{"報告書報告書報告書", 8, "報…告書"},
	} {
		if got := CutMiddle(test.text, test.width); got != test.want {
			t.Errorf("CutMiddle(%q, %d) = %q, want %q", test.text, test.width, got, test.want)
		}
	}
}

func FuzzText(f *testing.F) {
	f.Add("report.txt", 5)
	f.Add("報告書\x1b[31m👨‍👩‍👧e\u0301\u0301\u0301\u0301\u0301🇩🇪", 7)
	f.Fuzz(func(t *testing.T, text string, width int) {
		width = min(max(width, 0), 200)
		clean := Clean(text)
		if again := Clean(clean); again != clean {
			t.Fatalf("Clean(%q) = %q, and that becomes %q", text, clean, again)
		}
		for _, cut := range []string{CutMiddle(clean, width), CutEnd(clean, width)} {
			if Width(cut) > width {
				t.Fatalf("%q cut to %d cells is %q, of %d cells", clean, width, cut, Width(cut))
			}
		}
		if Width(PadLeft(clean, width)) != max(width, Width(clean)) || Width(PadRight(clean, width)) != max(width, Width(clean)) {
			t.Fatalf("%q padded to %d cells is %d and %d cells", clean, width, Width(PadLeft(clean, width)), Width(PadRight(clean, width)))
		}
	})
}
