package config

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"unicode"
)

// A File is what config.toml says.
type File struct {
	Path    string            `toml:"-"`      // absolute or as it was given
	Tunnels map[string]Tunnel `toml:"tunnel"` // by name; Host is never ""
	Agent   Agent             `toml:"agent"`
}

// Agent is what the file says of the agent itself.
type Agent struct {
	// Metrics is the loopback address, host:port, where Prometheus can scrape; "" for none.
	Metrics string `toml:"metrics,omitempty"`
	// Log is the absolute name of the file to log to; "" is standard error, or agent.log
	// in StateDir if the agent runs in the background.
	Log string `toml:"log,omitempty"`
	// LogFormat is text or json; "" is text.
	LogFormat string `toml:"log_format,omitempty"`
	// LogLevel is debug, info, warn or error; "" is info.
	LogLevel string `toml:"log_level,omitempty"`
}

// An Error is all that is wrong with a configuration file, in the order of its lines.
type Error struct {
	Path     string
	Problems []Problem // one at least
}

// A Problem is one thing that is wrong. Line and Column, in bytes, count from 1; they
// are 0 if the file could not be read at all.
type Problem struct {
	Line, Column int
	Text         string
}

// Error is one line: the first problem, and how many more there are.
func (e *Error) Error() string {
	text := e.Lines()[0]
	switch more := len(e.Problems) - 1; more {
	case 0:
		return text
	case 1:
		return text + "; and one problem more"
	default:
		return fmt.Sprintf("%s; and %d problems more", text, more)
	}
}

// Lines tells each problem as compilers do, path:line:column: text.
func (e *Error) Lines() []string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = fmt.Sprintf("%s:%d:%d: %s", e.Path, p.Line, p.Column, p.Text)
		if p.Line == 0 {
			lines[i] = fmt.Sprintf("%s: %s", e.Path, p.Text)
		}
	}
	return lines
}

// Load reads a configuration file and checks it. One that is missing says nothing. Any
// error is an *Error, and then nothing is returned of what the file says.
func Load(path string) (*File, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return &File{Path: path}, nil
	}
	if err != nil {
		if e, ok := errors.AsType[*fs.PathError](err); ok {
			err = e.Err
		}
		return nil, &Error{path, []Problem{{Text: err.Error()}}}
	}
	if info, err := os.Stat(path); err == nil && runtime.GOOS != "windows" && info.Mode().Perm()&0o002 != 0 {
		return nil, &Error{path, []Problem{{Text: "everybody can write to it, and it may name commands to run; `chmod o-w` on it mends that"}}}
	}
	return parse(path, text)
}

// Diff tells what of new's tunnels was not in old, is otherwise than there, or as
// there, and what is gone; each in the order of names.
func Diff(old, new *File) (added, changed, removed, unchanged []string) {
	for _, name := range slices.Sorted(maps.Keys(new.Tunnels)) {
		was, ok := old.Tunnels[name]
		switch {
		case !ok:
			added = append(added, name)
		case reflect.DeepEqual(was, new.Tunnels[name]):
			unchanged = append(unchanged, name)
		default:
			changed = append(changed, name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(old.Tunnels)) {
		if _, ok := new.Tunnels[name]; !ok {
			removed = append(removed, name)
		}
	}
	return added, changed, removed, unchanged
}

// checkName tells what is wrong with a tunnel's name; "" if nothing is. It stands on
// command lines, in tables and in the agent's addresses.
func checkName(name string) string {
	switch {
	case name == "":
		return "a tunnel needs a name"
	case strings.HasPrefix(name, "-"):
		return fmt.Sprintf("the name %q looks like a flag", name)
	case name == ".", name == "..", strings.ContainsFunc(name, notInNames):
		return fmt.Sprintf("%q is no name of a tunnel: it must have no space, no / and no control characters", name)
	}
	return ""
}

// notInNames tells what names of tunnels do not have.
func notInNames(r rune) bool { return r == '/' || unicode.IsSpace(r) || !unicode.IsPrint(r) }
