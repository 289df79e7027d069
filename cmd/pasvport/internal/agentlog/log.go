// Package agentlog is the log of the background agent: what is written, how, and where
// to, and how it is read again. Passwords are kept out of it by those who log; it hides
// those that stand in URLs.
package agentlog

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"

	"github.com/pasvport/pasvport/cmd/pasvport/internal/config"
)

// A Log is the agent's. It may be used by several goroutines at once.
type Log struct {
	*slog.Logger
	all   slog.Handler // of every level
	level slog.LevelVar
	file  *file // nil for standard error
}

// Path is the file that an agent of those settings writes to; "" is standard error.
// One that is detached has no other standard error than its file.
func Path(a config.Agent, detached bool) string {
	if a.Log == "" && detached {
		return filepath.Join(config.StateDir(), "agent.log")
	}
	return a.Log
}

// Open opens the log. When detached, what this process prints on standard error, the
// trace of a panic for one, goes to the log's file as well.
func Open(a config.Agent, detached bool) (*Log, error) {
	l := new(Log)
	var w io.Writer = os.Stderr
	if path := Path(a, detached); path != "" {
		f, err := openFile(path, maxSize, detached)
		if err != nil {
			return nil, err
		}
		l.file, w = f, f
	}
	opts := &slog.HandlerOptions{Level: slog.LevelDebug, ReplaceAttr: hide}
	l.all = slog.NewTextHandler(w, opts)
	if a.LogFormat == "json" {
		l.all = slog.NewJSONHandler(w, opts)
	}
	l.SetLevel(a.LogLevel)
	l.Logger = slog.New(leveled{l.all, &l.level})
	return l, nil
}

// Path is the file that is written to; "" is standard error.
func (l *Log) Path() string {
	if l.file == nil {
		return ""
	}
	return l.file.path
}

// Close closes the file. What is logged afterwards is lost.
func (l *Log) Close() {
	if l.file != nil {
		l.file.Close()
	}
}

// SetLevel says how much is logged from now on: debug, info, warn or error. Any other
// name, "" for one, is info.
func (l *Log) SetLevel(name string) {
	level := slog.LevelInfo
	level.UnmarshalText([]byte(name)) // leaves it as it is when the name is no level's
	l.level.Set(level)
}

// Tunnel is the log of one tunnel. verbose is how many -v it has: one asks for info at
// least, two for debug, whatever the level of the rest.
func (l *Log) Tunnel(name string, verbose int) *slog.Logger {
	var level slog.Leveler = &l.level
	switch {
	case verbose == 1:
		level = atLeast{level, slog.LevelInfo}
	case verbose > 1:
		level = atLeast{level, slog.LevelDebug}
	}
	return slog.New(leveled{l.all, level}).With("tunnel", name)
}

// atLeast is a level, or a more talkative one.
type atLeast struct {
	slog.Leveler
	talkative slog.Level
}

func (a atLeast) Level() slog.Level { return min(a.Leveler.Level(), a.talkative) }

// leveled is a handler with a level of its own.
type leveled struct {
	slog.Handler
	level slog.Leveler
}

func (h leveled) Enabled(_ context.Context, level slog.Level) bool {
	return level >= h.level.Level()
}

func (h leveled) WithAttrs(attrs []slog.Attr) slog.Handler {
	return leveled{h.Handler.WithAttrs(attrs), h.level}
}

func (h leveled) WithGroup(name string) slog.Handler {
	return leveled{h.Handler.WithGroup(name), h.level}
}

// userinfo is a password in a URL, with what stands around it.
var userinfo = regexp.MustCompile(`(://[^/?#\s:@]*:)[^/?#\s]*@`)

// hide takes passwords out of URLs, and the error out of what has none.
func hide(_ []string, a slog.Attr) slog.Attr {
	text := ""
	switch a.Value.Kind() {
	case slog.KindString:
		text = a.Value.String()
	case slog.KindAny:
		if a.Value.Any() == nil {
			return slog.Attr{}
		}
		text = fmt.Sprint(a.Value.Any())
	}
	if userinfo.MatchString(text) {
		a.Value = slog.StringValue(userinfo.ReplaceAllString(text, "${1}****@"))
	}
	return a
}
