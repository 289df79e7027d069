package picture

import (
	"bytes"
	"encoding/xml"
	"flag"
	"io"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the picture to testdata")

// The screen has a style that lasts to the next line, wide runes, blocks, and what
// XML would take for its own.
const screen = "\x1b[1mpasvport top\x1b[0m\x1b[39m\x1b[49m  by name\n" +
	"\x1b[31mneeds <login> & \"more\"\n" +
	"still red\x1b[39m  \x1b[36m▁▂▃▄▅▆▇█\x1b[39m  \x1b[32m████░░\x1b[39m  40%\n" +
	"\x1b[0;2m    報告書.tar\x1b[0m\x1b[7m reversed \x1b[27m\x1b[44m blue \x1b[m\n"

func TestSVG(t *testing.T) {
	const path = "testdata/screen.svg"
	got, err := SVG(screen, 40, 6)
	if err != nil {
		t.Fatal(err)
	}
	wellFormed(t, got)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// wellFormed fails unless svg is XML.
func wellFormed(t *testing.T, svg []byte) {
	t.Helper()
	d := xml.NewDecoder(bytes.NewReader(svg))
	for {
		switch _, err := d.Token(); err {
		case nil:
		case io.EOF:
			return
		default:
			t.Fatalf("%v in\n%s", err, svg)
		}
	}
}

func TestSVGRefuses(t *testing.T) {
	for name, capture := range map[string]string{
		"too many lines":   strings.Repeat("x\n", 7),
		"too long a line":  strings.Repeat("x", 41),
		"too wide a line":  strings.Repeat("報", 21),
		"an unknown style": "\x1b[38;5;7mx",
		"no number":        "\x1b[xm",
		"an open sequence": "\x1b[1",
		"another sequence": "a\x1b]0;title\x07",
	} {
		if got, err := SVG(capture, 40, 6); err == nil {
			t.Errorf("%s: got %s", name, got)
		}
	}
}
