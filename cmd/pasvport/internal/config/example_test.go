package config

import (
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
)

// TestExample looks that examples/config.toml is good, has each key once, and stays good
// with any of those that it leaves out.
func TestExample(t *testing.T) {
	const path = "../../../../examples/config.toml"
	if _, err := Load(path); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]map[string]int{"tunnel": {}, "agent": {}}
	lines, title := strings.Split(string(text), "\n"), ""
	header, setting := regexp.MustCompile(`^\[(\w+)`), regexp.MustCompile(`^(#?)(\w+) = `)
	for i, line := range lines {
		if m := header.FindStringSubmatch(line); m != nil {
			title = m[1]
		}
		m := setting.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		seen[title][m[2]]++
		if m[1] == "#" {
			changed := append([]string(nil), lines...)
			changed[i] = line[1:]
			if _, err := parse(path, []byte(strings.Join(changed, "\n"))); err != nil {
				t.Errorf("%s: %v", line, err)
			}
		}
	}
	for title, of := range map[string]any{"tunnel": Tunnel{}, "agent": Agent{}} {
		want := make(map[string]int)
		for key := range fields(of) {
			want[key] = 1
		}
		if title == "tunnel" { // each of the two tunnels has its own
			want["host"], want["listen"] = 2, 2
		}
		if !reflect.DeepEqual(seen[title], want) {
			t.Errorf("%s: got %v, want %v", title, seen[title], want)
		}
	}
}
