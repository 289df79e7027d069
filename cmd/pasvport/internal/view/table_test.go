package view

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/pasvport/pasvport/cmd/pasvport/internal/api"
)

var update = flag.Bool("update", false, "write what is drawn to testdata")

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func ago(d time.Duration) time.Time { return noon.Add(-d) }

// tunnels has one of each kind.
func tunnels() []api.Tunnel {
	return []api.Tunnel{
		{
			Name: "archive", State: api.Down, Since: ago(3 * time.Hour), Host: "archive", Configured: true,
		},
		{
			Name: "lab", State: api.Reconnecting, Since: ago(42 * time.Second), Host: "lab", SSH: "anna@192.0.2.7:22",
			Listens: []api.Listen{{Address: "127.0.0.1:2122", Server: "127.0.0.1:21"}},
			Retry:   noon.Add(12 * time.Second),
			Totals:  api.Totals{BytesDown: 5 << 30, BytesUp: 999},
			Error: &api.Error{
				Text:  "dial tcp 192.0.2.7:22: connect: no route to host",
				Hints: []string{"is the network up, and the name right? `ssh lab` goes the same way"},
				Time:  ago(2 * time.Second),
			},
		},
		{
			Name: "prod", State: api.Up, Since: ago(2*time.Hour + 13*time.Minute), Host: "prod", SSH: "anna@10.0.0.5:22", Connections: 2,
			Listens: []api.Listen{{Address: "127.0.0.1:2121", Server: "127.0.0.1:21"}, {Address: "[::1]:2100", Server: "10.0.0.9:21"}},
			Sessions: []api.Session{
				{ID: 1, Transfers: []api.Transfer{{ID: 1, Verb: "RETR", Name: "a"}}},
				{ID: 2, Transfers: []api.Transfer{{ID: 2, Verb: "STOR", Name: "b", Upload: true}}},
				{ID: 3},
			},
			Totals: api.Totals{BytesDown: 1288490189, BytesUp: 3565158},
			Error: &api.Error{
				Text:  "SSH connection to prod lost",
				Hints: []string{"which nobody needs any more"},
				Time:  ago(3 * time.Hour),
			},
		},
		{
			Name: "vault", State: api.NeedsLogin, Since: ago(time.Minute), Host: "root@vault.example.com", SSH: "root@vault.example.com:2222",
			Listens: []api.Listen{{Address: "127.0.0.1:2123", Server: "127.0.0.1:21"}},
			Mend:    "pasvport up vault",
		},
	}
}

func table(t *testing.T, list []api.Tunnel, width int) string {
	t.Helper()
	var out strings.Builder
	if err := Table(&out, &api.Status{Tunnels: list}, noon, width); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestTable(t *testing.T) {
	for _, width := range []int{0, 80, 132} {
		t.Run(fmt.Sprint(width), func(t *testing.T) {
			golden(t, fmt.Sprintf("table-%d.txt", width), table(t, tunnels(), width))
		})
	}
}

func TestTableEmpty(t *testing.T) {
	if got, want := table(t, nil, 80), "no tunnels; `pasvport up HOST` opens one\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestTableFull has the longest of what is usual; nothing of it is cut at 80 cells.
func TestTableFull(t *testing.T) {
	list := []api.Tunnel{{
		Name: "office", State: api.Reconnecting, Since: ago(23*time.Hour + 59*time.Minute), Host: "office",
		Listens: []api.Listen{{Address: "127.0.0.1:2121"}},
		Totals:  api.Totals{BytesDown: 999 << 20, BytesUp: 999 << 20},
	}}
	if got := table(t, list, 80); strings.Contains(got, "…") {
		t.Errorf("something is cut:\n%s", got)
	}
}

// TestTableHostile has names and errors that would run over the screen.
func TestTableHostile(t *testing.T) {
	evil := "\x1b[2J\u202e\n" + strings.Repeat("報告書", 60)
	list := []api.Tunnel{{
		Name: evil, State: api.State(evil), Since: ago(time.Hour), Host: evil, SSH: evil, Mend: evil,
		Listens: []api.Listen{{Address: evil}, {Address: evil}},
		Error:   &api.Error{Text: evil, Hints: []string{evil}, Time: noon},
	}}
	for _, width := range []int{0, 80, 100, 200} {
		for _, line := range strings.Split(strings.TrimSuffix(table(t, list, width), "\n"), "\n") {
			if width > 0 && Width(line) > width {
				t.Errorf("at %d, a line has %d cells: %q", width, Width(line), line)
			}
			if i := strings.IndexFunc(line, func(r rune) bool { return !unicode.IsPrint(r) }); i >= 0 {
				t.Errorf("at %d, a line has %q", width, line[i:])
			}
		}
	}
}

// golden compares got with a file of testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s: got\n%swant\n%sgo test -update writes it anew", path, got, want)
	}
}
