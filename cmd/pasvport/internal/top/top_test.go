package top

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"github.com/pasvport/pasvport/cmd/pasvport/internal/api"
	"github.com/pasvport/pasvport/cmd/pasvport/internal/view"
)

var update = flag.Bool("update", false, "write the screens to testdata")

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func ago(d time.Duration) time.Time { return noon.Add(-d) }

// A stage is a model with a clock and a Source of its own.
type stage struct {
	*testing.T
	m       *model
	now     time.Time
	stopped []int64 // what the source was asked to stop
	stopErr error
}

func (s *stage) Status(context.Context) (*api.Status, error) {
	s.Fatal("the model asks by itself")
	return nil, nil
}

func (s *stage) StopSession(_ context.Context, id int64) error {
	s.stopped = append(s.stopped, id)
	return s.stopErr
}

func newStage(t *testing.T, width, height int) *stage {
	s := &stage{T: t, now: noon}
	s.m = newModel(t.Context(), s)
	s.send(tea.WindowSizeMsg{Width: width, Height: height})
	return s
}

// send has the model take msg, and returns what it wants done.
func (s *stage) send(msg tea.Msg) tea.Cmd {
	s.Helper()
	_, cmd := s.m.Update(msg)
	s.check()
	return cmd
}

// shows has the model take what the agent says.
func (s *stage) shows(status *api.Status) {
	s.Helper()
	s.send(reply{status: status, at: s.now})
}

// press has the model take keys, each by its name or what it types.
func (s *stage) press(names ...string) (last tea.Cmd) {
	s.Helper()
	codes := map[string]rune{
		"up": tea.KeyUp, "down": tea.KeyDown, "esc": tea.KeyEscape, "enter": tea.KeyEnter, "backspace": tea.KeyBackspace,
		"end": tea.KeyEnd, "home": tea.KeyHome, "pgdown": tea.KeyPgDown, "pgup": tea.KeyPgUp,
	}
	for _, name := range names {
		key := tea.KeyPressMsg{Code: codes[name]}
		switch {
		case name == "ctrl+c":
			key = tea.KeyPressMsg{Code: 'c', Mod: tea.ModCtrl}
		case key.Code == 0:
			key = tea.KeyPressMsg{Code: []rune(name)[0], Text: name}
		}
		if got := key.String(); got != name {
			s.Fatalf("the key %q is %q", name, got)
		}
		last = s.send(key)
	}
	return last
}

func (s *stage) screen() string {
	return ansi.Strip(s.m.View().Content)
}

// check fails unless the screen has room for each line, and nothing but text and colours.
func (s *stage) check() {
	s.Helper()
	lines := strings.Split(s.screen(), "\n")
	if len(lines) > max(s.m.height, 1) {
		s.Errorf("%d lines on a screen of %d:\n%s", len(lines), s.m.height, s.screen())
	}
	for _, line := range lines {
		if view.Width(line) > s.m.width {
			s.Errorf("%d cells on a screen of %d: %q", view.Width(line), s.m.width, line)
		}
		if strings.ContainsFunc(line, func(r rune) bool { return !unicode.IsPrint(r) }) {
			s.Errorf("a line that a terminal may obey: %q", line)
		}
	}
}

// golden compares the screen with a file of testdata.
func (s *stage) golden(name string) {
	s.Helper()
	path := filepath.Join("testdata", name+".txt")
	var trimmed []string
	for _, line := range strings.Split(s.screen(), "\n") {
		trimmed = append(trimmed, strings.TrimRight(line, " "))
	}
	got := strings.Join(trimmed, "\n") + "\n"
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			s.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		s.Fatal(err)
	}
	if got != string(want) {
		s.Errorf("%s: got\n%swant\n%sgo test -update writes it anew", path, got, want)
	}
}

func (s *stage) has(want string) {
	s.Helper()
	if !strings.Contains(s.screen(), want) {
		s.Errorf("the screen lacks %q:\n%s", want, s.screen())
	}
}

func (s *stage) lacks(text string) {
	s.Helper()
	if strings.Contains(s.screen(), text) {
		s.Errorf("the screen has %q:\n%s", text, s.screen())
	}
}

// order fails unless texts are on the screen in this order.
func (s *stage) order(texts ...string) {
	s.Helper()
	screen := s.screen()
	at := -1
	for _, text := range texts {
		i := strings.Index(screen, text)
		if i <= at {
			s.Errorf("%q is not in its place, in %q:\n%s", text, texts, screen)
			return
		}
		at = i
	}
}

// selected is the text behind the marker.
func (s *stage) selected() string {
	s.Helper()
	var found []string
	for _, line := range strings.Split(s.screen(), "\n") {
		if text, ok := strings.CutPrefix(line, "> "); ok {
			found = append(found, strings.TrimSpace(text))
		}
	}
	if len(found) != 1 {
		s.Errorf("%d lines are marked:\n%s", len(found), s.screen())
		return ""
	}
	return found[0]
}

// busy is an agent with a tunnel in each kind of state, at second n of a minute in
// which two files move.
func busy(n int) *api.Status {
	size := func(n int64) *int64 { return &n }
	moved := int64(n) * 1200 << 10
	sent := int64(n) * int64(n) * 3 << 10
	return &api.Status{
		PID: 4711, Since: ago(76 * time.Hour),
		Tunnels: []api.Tunnel{
			{Name: "archive", State: api.Down, Since: ago(3 * time.Hour), Host: "archive", Configured: true},
			{
				Name: "lab", State: api.Reconnecting, Since: ago(42 * time.Second), Host: "lab", SSH: "anna@192.0.2.7:22",
				Listens: []api.Listen{{Address: "127.0.0.1:2122"}}, Retry: noon.Add(72 * time.Second),
				Error: &api.Error{Text: "dial tcp 192.0.2.7:22: connect: no route to host", Time: ago(2 * time.Second)},
			},
			{
				Name: "prod", State: api.Up, Since: ago(133 * time.Minute), Host: "prod", SSH: "anna@10.0.0.5:22", Connections: 2,
				Listens: []api.Listen{{Address: "127.0.0.1:2121"}},
				Totals:  api.Totals{BytesDown: 5<<30 + moved, BytesUp: 3<<20 + sent},
				Sessions: []api.Session{
					{
						ID: 12, Client: "127.0.0.1:51234", User: "me", Since: ago(5 * time.Minute), BytesDown: 1<<30 + moved,
						Transfers: []api.Transfer{{ID: 31, Verb: "RETR", Name: "backups/2026-11-21/database.dump.zst", Bytes: moved, Offset: 10 << 20, Size: size(200 << 20), Since: noon}},
					},
					{
						ID: 13, Client: "127.0.0.1:51240", User: "deploy", Since: ago(20 * time.Second), BytesUp: sent,
						Transfers: []api.Transfer{{ID: 32, Verb: "STOR", Name: "報告書.tar", Upload: true, Bytes: sent, Since: noon}},
					},
					{ID: 14, Client: "[::1]:40022", Since: ago(2 * time.Second)},
				},
			},
			{
				Name: "vault", State: api.NeedsLogin, Since: ago(time.Minute), Host: "root@vault.example.com", SSH: "root@vault.example.com:2222",
				Listens: []api.Listen{{Address: "127.0.0.1:2123"}}, Mend: "pasvport up vault",
			},
		},
	}
}

// minute plays a minute, a poll each half of a second.
func (s *stage) minute() {
	s.Helper()
	for n := range 121 {
		s.now = noon.Add(time.Duration(n) * interval)
		s.shows(busy(n / 2))
	}
}

func TestScreens(t *testing.T) {
	for _, size := range [][2]int{{80, 24}, {40, 10}, {120, 40}} {
		t.Run(fmt.Sprint(size[0], "x", size[1]), func(t *testing.T) {
			s := newStage(t, size[0], size[1])
			s.minute()
			s.golden(fmt.Sprintf("busy-%dx%d", size[0], size[1]))
		})
	}
}

// TestNarrow: where a line has room for one rate, it is the higher one.
func TestNarrow(t *testing.T) {
	s := newStage(t, 40, 10)
	for n := range 20 {
		s.now = noon.Add(time.Duration(n) * interval)
		s.shows(&api.Status{Tunnels: []api.Tunnel{{Name: "warehouse", State: api.Up, Since: ago(time.Hour), Totals: api.Totals{BytesDown: 1 << 30, BytesUp: int64(n) << 20}}}})
	}
	s.has("↑ 2.0 MiB/s")
	s.lacks("↓")
}

// TestResize has the same at every size, down to nothing.
func TestResize(t *testing.T) {
	s := newStage(t, 80, 24)
	s.minute()
	s.press("end")
	for width := range 130 {
		for _, height := range []int{0, 1, 2, 3, 7, 24} {
			s.send(tea.WindowSizeMsg{Width: width, Height: height})
		}
	}
	s.send(tea.WindowSizeMsg{Width: 80, Height: 24})
	if got := s.selected(); !strings.HasPrefix(got, "vault") {
		t.Errorf("%q is selected, it was vault", got)
	}
}

func TestHostileNames(t *testing.T) {
	evil := "\x1b[2J\x1b]0;t\x07\u202e\r\n\u009b31m" + strings.Repeat("報e\u0301", 100)
	status := &api.Status{Tunnels: []api.Tunnel{{
		Name: evil, State: api.State(evil), Host: evil, SSH: evil, Mend: evil,
		Listens: []api.Listen{{Address: evil}},
		Error:   &api.Error{Text: evil},
		Sessions: []api.Session{{
			ID: 1 << 60, Client: evil, User: evil,
			Transfers: []api.Transfer{{Verb: evil, Name: evil, Bytes: -5, Offset: 1 << 62, Size: new(int64)}, {Verb: evil}},
		}},
	}}}
	for _, width := range []int{10, 40, 80, 120} {
		s := newStage(t, width, 24)
		s.shows(status)
		s.press("down", "x")
		s.stopErr = errors.New(evil)
		s.send(s.press("y")())
		s.press("/", "z", "z", "enter")
		s.send(reply{err: errors.New(evil), at: noon})
	}
}

func TestSelect(t *testing.T) {
	s := newStage(t, 80, 24)
	s.shows(busy(1))
	var got []string
	for _, key := range []string{"up", "down", "j", "j", "down", "k", "up", "end", "down", "home", "pgdown", "pgup"} {
		s.press(key)
		got = append(got, strings.Fields(s.selected())[0])
	}
	// Sessions are in the order of their users: nobody, deploy, me.
	want := []string{"archive", "lab", "prod", "#14", "#13", "#14", "prod", "vault", "vault", "archive", "vault", "archive"}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

// TestScroll has more sessions than lines.
func TestScroll(t *testing.T) {
	many := &api.Status{Tunnels: []api.Tunnel{{Name: "prod", State: api.Up}}}
	for i := range 100 {
		many.Tunnels[0].Sessions = append(many.Tunnels[0].Sessions, api.Session{ID: int64(i)})
	}
	s := newStage(t, 80, 24)
	s.shows(many)
	s.has("#19 ")
	s.lacks("#20 ")
	for i := range 100 {
		s.press("down")
		if got, want := strings.Fields(s.selected())[0], fmt.Sprint("#", i); got != want {
			t.Fatalf("%s is selected, want %s", got, want)
		}
	}
	s.has("#78 ")
	s.lacks("#77 ")
	s.press("up")
	s.has("#78 ")
	s.press("home")
	s.has("#19 ")
}

// TestSelectionStays has the selected session go, and others before it.
func TestSelectionStays(t *testing.T) {
	s := newStage(t, 80, 24)
	status := busy(1)
	s.shows(status)
	s.press("down", "down", "down", "down")
	was := strings.Fields(s.selected())[0]
	status = busy(2)
	status.Tunnels = status.Tunnels[1:]
	s.shows(status)
	if got := strings.Fields(s.selected())[0]; got != was {
		t.Errorf("%s is selected, it was %s", got, was)
	}
	status.Tunnels[1].Sessions = nil
	s.shows(status)
	s.selected()
	s.shows(&api.Status{})
	s.has("no tunnels; `pasvport up HOST` opens one")
}

func TestSort(t *testing.T) {
	s := newStage(t, 120, 40)
	s.minute()
	for _, step := range []struct {
		by       string
		tunnels  []string
		sessions []string
	}{
		{"by name", []string{"  lab ", "  prod ", "  vault "}, []string{"#14", "#13", "#12"}},
		{"by rate", []string{"  prod ", "  lab ", "  vault "}, []string{"#12", "#13", "#14"}},
		{"by bytes", []string{"  prod ", "  lab ", "  vault "}, []string{"#12", "#13", "#14"}},
		{"by age", []string{"  prod ", "  vault ", "  lab "}, []string{"#12", "#13", "#14"}},
		{"by name", []string{"  lab ", "  prod "}, []string{"#14", "#13", "#12"}},
	} {
		s.has(step.by)
		s.order(step.tunnels...)
		s.order(step.sessions...)
		s.press("s")
	}
}

func TestFilter(t *testing.T) {
	s := newStage(t, 80, 24)
	s.minute()
	s.press("/", "D", "u", "m", "q", "backspace", "p")
	s.has("/Dump")
	s.order("prod", "#12", "dump")
	s.lacks("#13")
	s.lacks("vault")
	s.press("enter")
	s.has("only Dump")
	s.press("esc")
	s.has("vault")
	s.press("/", "v", "a", "u")
	s.has("vault")
	s.lacks("prod")
	s.press("esc")
	s.has("prod")
	s.press("/", "n", "o", "p", "e", "enter")
	s.has(`nothing has "nope" in it; Esc shows all`)
	s.press("esc", "/")
	s.send(tea.PasteMsg{Content: "prod"})
	s.press("enter")
	s.has("#12")
	s.has("#13") // a tunnel that matches has all of its sessions
	s.lacks("lab")
	s.press("/", "q", "x", "s", "?") // typed, and not done
	s.has("/prodqxs?")
}

func TestStop(t *testing.T) {
	s := newStage(t, 80, 24)
	s.minute()
	s.press("x")
	s.has("no session is selected")
	s.press("down", "down", "down", "down", "x")
	s.golden("stop-80x24")
	s.press("n")
	s.has("not stopped")
	for _, key := range []string{"x", "esc", "x", "enter"} {
		s.press(key)
	}
	if s.stopped != nil {
		t.Fatalf("stopped %d, unasked", s.stopped)
	}
	s.press("x")
	s.send(s.press("y")())
	if !slices.Equal(s.stopped, []int64{13}) {
		t.Errorf("stopped %d, want 13", s.stopped)
	}
	s.has("session 13 of 127.0.0.1:51240, user deploy is stopped")
	s.stopErr = errors.New("no session 13")
	s.press("x")
	s.send(s.press("y")())
	s.has("is not stopped: no session 13")
	s.press("down")
	s.lacks("no session 13")
}

func TestHelp(t *testing.T) {
	s := newStage(t, 80, 24)
	s.shows(busy(0))
	s.has("q quit")
	s.press("?")
	s.lacks("q quit")
	s.press("?")
	s.has("q quit")
}

func TestAgentGone(t *testing.T) {
	s := newStage(t, 80, 24)
	s.has("asking the agent")
	s.minute()
	s.press("down", "down", "down", "x")
	if cmd := s.send(reply{err: errors.New("dial unix /run/agent.sock: connect: connection refused"), at: s.now}); cmd == nil {
		t.Error("it is not asked again")
	}
	s.golden("gone-80x24")
	s.press("y", "x", "down", "s")
	if s.stopped != nil {
		t.Errorf("stopped %d of an agent that is gone", s.stopped)
	}
	s.press("s", "s", "s")
	s.shows(busy(60))
	s.has("↓ 0 B/s") // what it counted before is another agent's
	if got := s.selected(); !strings.HasPrefix(got, "#14") {
		t.Errorf("%q is selected, it was #14", got)
	}
}

func TestQuit(t *testing.T) {
	for _, keys := range [][]string{{"q"}, {"ctrl+c"}, {"/", "ctrl+c"}} {
		s := newStage(t, 80, 24)
		cmd := s.press(keys...)
		if cmd == nil {
			t.Fatalf("%q does not quit", keys)
		}
		if _, ok := cmd().(tea.QuitMsg); !ok {
			t.Errorf("%q does not quit", keys)
		}
	}
}

// TestWithoutColour takes the colours out: what they tell must be there in words and signs.
func TestWithoutColour(t *testing.T) {
	s := newStage(t, 80, 24)
	s.minute()
	if content := s.m.View().Content; content == ansi.Strip(content) {
		t.Fatal("there are no colours to take out")
	}
	for _, text := range []string{"> archive", "reconnecting", "needs login", "up 2h14m", "! type: pasvport up vault", "██░░"} {
		s.has(text)
	}
}

// TestPolls has a reply start the clock for the next question, and nothing else.
func TestPolls(t *testing.T) {
	s := newStage(t, 80, 24)
	if cmd := s.send(reply{status: busy(0), at: noon}); cmd == nil {
		t.Error("a reply does not start the clock")
	}
	if cmd := s.send(due{}); cmd == nil {
		t.Error("when it is due, the agent is not asked")
	}
	if cmd := s.send(tea.WindowSizeMsg{Width: 80, Height: 24}); cmd != nil {
		t.Error("another size asks the agent")
	}
}
