package agentlog

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pasvport/pasvport/cmd/pasvport/internal/config"
)

// open opens a log in a folder of its own.
func open(t *testing.T, a config.Agent) (l *Log, path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "deep", "agent.log")
	a.Log = path
	l, err := Open(a, false)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return l, path
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestPath(t *testing.T) {
	state := t.TempDir()
	t.Setenv("XDG_STATE_HOME", state)
	for _, test := range []struct {
		log      string
		detached bool
		want     string
	}{
		{"", false, ""},
		{"", true, filepath.Join(state, "pasvport", "agent.log")},
		{filepath.Join(state, "x.log"), false, filepath.Join(state, "x.log")},
		{filepath.Join(state, "x.log"), true, filepath.Join(state, "x.log")},
	} {
		if got := Path(config.Agent{Log: test.log}, test.detached); got != test.want {
			t.Errorf("log = %q, detached %v: got %q, want %q", test.log, test.detached, got, test.want)
		}
	}
}

func TestModes(t *testing.T) {
	_, path := open(t, config.Agent{})
	for name, want := range map[string]os.FileMode{path: 0o600, filepath.Dir(path): 0o700} {
		if info, err := os.Stat(name); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v; want %v", name, info.Mode(), err, want)
		}
	}
}

func TestOpenFails(t *testing.T) {
	_, err := Open(config.Agent{Log: filepath.Join(os.DevNull, "agent.log")}, true)
	if err == nil || !strings.HasPrefix(err.Error(), "opening the agent's log: ") {
		t.Errorf("got %v", err)
	}
}

// TestLevels has each level of the agent's with each -v of a tunnel's, and a reload
// that changes the first.
func TestLevels(t *testing.T) {
	l, path := open(t, config.Agent{LogLevel: "error"})
	tunnels := []*slog.Logger{l.Tunnel("t0", 0), l.Tunnel("t1", 1), l.Tunnel("t2", 2), l.Tunnel("t3", 3)}
	levels := []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError}
	for _, test := range []struct {
		name string
		want []int // lines of the agent, and of each tunnel
	}{
		{"error", []int{1, 1, 3, 4, 4}},
		{"warn", []int{2, 2, 3, 4, 4}},
		{"info", []int{3, 3, 3, 4, 4}},
		{"debug", []int{4, 4, 4, 4, 4}},
		{"", []int{3, 3, 3, 4, 4}},
		{"loud", []int{3, 3, 3, 4, 4}},
	} {
		l.SetLevel(test.name)
		for i, log := range append([]*slog.Logger{l.Logger}, tunnels...) {
			was := strings.Count(read(t, path), "\n")
			for _, level := range levels {
				log.With("session", 1).WithGroup("g").Log(t.Context(), level, "text")
			}
			if got := strings.Count(read(t, path), "\n") - was; got != test.want[i] {
				t.Errorf("log_level = %q: logger %d wrote %d lines, want %d", test.name, i, got, test.want[i])
			}
		}
	}
}

func TestLevelFromTheStart(t *testing.T) {
	l, path := open(t, config.Agent{LogLevel: "error"})
	l.Warn("unheard")
	if got := read(t, path); got != "" {
		t.Errorf("got %q", got)
	}
}

func TestFormats(t *testing.T) {
	log := func(a config.Agent) string {
		l, path := open(t, a)
		l.Tunnel("prod", 0).Info("tunnel closed", "error", nil, "name", "a\nb\x1b[31m")
		return read(t, path)
	}
	text := log(config.Agent{})
	if want := " level=INFO msg=\"tunnel closed\" tunnel=prod name=\"a\\nb\\x1b[31m\"\n"; !strings.HasPrefix(text, "time=") || !strings.HasSuffix(text, want) {
		t.Errorf("got %q, want time and %q", text, want)
	}
	var line map[string]any
	if err := json.Unmarshal([]byte(log(config.Agent{LogFormat: "json"})), &line); err != nil {
		t.Fatal(err)
	}
	delete(line, "time")
	want := map[string]any{"level": "INFO", "msg": "tunnel closed", "tunnel": "prod", "name": "a\nb\x1b[31m"}
	if fmt.Sprint(line) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", line, want)
	}
}

// TestURLs has passwords in URLs wherever slog takes text.
func TestURLs(t *testing.T) {
	const url, hidden = "ftp://anna:p@ss:word@h:21/x@y", "ftp://anna:****@h:21/x@y"
	for _, format := range []string{"text", "json"} {
		l, path := open(t, config.Agent{LogFormat: format})
		log := l.Tunnel("ssh://anna:p@ss:word@h", 2)
		log.Info("to "+url, "string", url, "list", []string{url}, "error", fmt.Errorf("to %s: %w", url, errors.ErrUnsupported),
			slog.Group("g", "string", url), "nil", (*os.PathError)(nil))
		got := read(t, path)
		if strings.Contains(got, "ss:word") {
			t.Errorf("got %s", got)
		}
		if n := strings.Count(got, hidden); n != 5 {
			t.Errorf("%d times %s in %s, want 5", n, hidden, got)
		}
	}
	for _, plain := range []string{"ftp://h/a:b@c", "ssh://anna@h:22", "127.0.0.1:21", "a@b:c"} {
		if a := hide(nil, slog.String("k", plain)); a.Value.String() != plain {
			t.Errorf("%q became %q", plain, a.Value)
		}
	}
}

func TestClosed(t *testing.T) {
	l, path := open(t, config.Agent{})
	l.Close()
	l.Error("lost")
	if got := read(t, path); got != "" {
		t.Errorf("got %q", got)
	}
	if l.Path() != path {
		t.Errorf("the path is %q, want %q", l.Path(), path)
	}
}
