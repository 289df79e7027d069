package config

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"
)

// parse reads text, the content of the file at path. It opens no file, and tells all
// problems at once.
func parse(path string, text []byte) (*File, error) {
	text = bytes.TrimPrefix(text, []byte("\ufeff")) // as some editors on Windows begin files
	var tree map[string]any
	if err := toml.Unmarshal(text, &tree); err != nil {
		return nil, &Error{path, []Problem{syntaxProblem(err)}}
	}
	r := &reader{dir: filepath.Dir(path), at: positions(text)}
	f := &File{Path: path, Tunnels: make(map[string]Tunnel)}
	r.file(tree, f)
	if len(r.problems) > 0 {
		slices.SortStableFunc(r.problems, func(a, b Problem) int {
			return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
		})
		return nil, &Error{path, r.problems}
	}
	return f, nil
}

// syntaxProblem is what is no TOML.
func syntaxProblem(err error) Problem {
	p := Problem{1, 1, strings.TrimPrefix(err.Error(), "toml: ")}
	if e, ok := errors.AsType[*toml.DecodeError](err); ok {
		p.Line, p.Column = e.Position()
	}
	return p
}

// A reader makes settings of a TOML document, and goes on behind a problem.
type reader struct {
	dir      string // what relative names of files begin at
	at       map[string]position
	problems []Problem
}

// A where is the keys that lead to a place in the document.
type where []string

func (w where) key(key string) where { return append(slices.Clip(w), key) }

// problem notes what is wrong at a key, or at the table that it is in, or would be.
func (r *reader) problem(w where, format string, args ...any) {
	p := position{1, 1}
	for ; len(w) > 0; w = w[:len(w)-1] {
		if at, ok := r.at[w.join()]; ok {
			p = at
			break
		}
	}
	r.problems = append(r.problems, Problem{p.line, p.column, fmt.Sprintf(format, args...)})
}

// tables are those of the document, with what can be in them.
var tables = []struct {
	title string
	keys  map[string]int // to a field's index
}{
	{"[tunnel.NAME]", fields(Tunnel{})},
	{"[agent]", fields(Agent{})},
}

func (r *reader) file(tree map[string]any, f *File) {
	for _, key := range slices.Sorted(maps.Keys(tree)) {
		w := where{key}
		switch key {
		case "tunnel":
			r.tunnels(w, tree[key], f.Tunnels)
		case "agent":
			if r.table(w, tree[key], &f.Agent) {
				r.checkAgent(w, &f.Agent)
			}
		default:
			hint := suggestion(key, []string{"agent", "tunnel"})
			if _, ok := tree[key].(map[string]any); ok && hint == "" {
				hint = "; a tunnel is [tunnel.NAME]"
			}
			r.problem(w, "unknown key %q%s", key, hint)
		}
	}
}

func (r *reader) tunnels(w where, value any, all map[string]Tunnel) {
	table, ok := value.(map[string]any)
	if !ok {
		r.problem(w, "tunnel has to be tables, [tunnel.NAME]; it is %s", kind(value))
		return
	}
	for _, name := range slices.Sorted(maps.Keys(table)) {
		w := w.key(name)
		if why := checkName(name); why != "" {
			r.problem(w, "%s", why)
		}
		var t Tunnel
		if r.table(w, table[name], &t) {
			r.checkTunnel(w, &t)
		}
		t.Host = cmp.Or(t.Host, name)
		all[name] = t
	}
}

// table fills into, a pointer to a struct, and tells whether there was no problem.
func (r *reader) table(w where, value any, into any) bool {
	table, ok := value.(map[string]any)
	if !ok {
		r.problem(w, "%s has to be a table, [%s]; it is %s", strings.Join(w, "."), strings.Join(w, "."), kind(value))
		return false
	}
	before := len(r.problems)
	to := reflect.ValueOf(into).Elem()
	known := fields(to.Interface())
	for _, key := range slices.Sorted(maps.Keys(table)) {
		if i, ok := known[key]; !ok {
			hint := suggestion(key, slices.Sorted(maps.Keys(known)))
			if _, ok := table[key].(map[string]any); ok && hint == "" {
				hint = `; a name with dots is quoted, [tunnel."ftp.example.com"]`
			}
			r.problem(w.key(key), "unknown key %q%s", key, hint)
		} else if err := r.set(key, table[key], to.Field(i).Addr().Interface()); err != nil {
			r.problem(w.key(key), "%s %v", key, err)
		}
	}
	return len(r.problems) == before
}

// fields are the keys of a struct.
func fields(of any) map[string]int {
	t := reflect.TypeOf(of)
	keys := make(map[string]int)
	for i := range t.NumField() {
		key, _, _ := strings.Cut(t.Field(i).Tag.Get("toml"), ",")
		keys[key] = i
	}
	return keys
}

// numbers are the keys whose strings may be bare numbers, for they are ports.
var numbers = map[string]bool{"listen": true, "port": true}

// files are the keys that name files, and whether ssh reads the name further.
var files = map[string]bool{"identity": true, "ssh_config": true, "tls_ca": false, "log": false}

// set puts a value into a field. Its error goes on behind the key.
func (r *reader) set(key string, value, field any) error {
	var want string
	var err error
	ok := true
	switch field := field.(type) {
	case *string:
		want = "a string"
		*field, err = r.text(key, value)
	case *[]string:
		want = "a string or a list of strings"
		*field, err = r.list(key, value)
	case *bool:
		want = "true or false"
		*field, ok = value.(bool)
	case *int:
		var n int64
		want = "a number"
		n, ok = value.(int64)
		*field = int(n)
	case **bool:
		want = "true or false"
		var b bool
		b, ok = value.(bool)
		*field = &b
	case **Duration:
		want = `a duration in quotes, such as "10s"`
		*field, err = duration(value)
	}
	if !ok || errors.Is(err, errType) {
		return fmt.Errorf("has to be %s; it is %s", want, kind(value))
	}
	return err
}

// errType is for a value of another type than is wanted.
var errType = errors.New("another type")

// text is a string, which may be a number where that is one too.
func (r *reader) text(key string, value any) (string, error) {
	if n, ok := value.(int64); ok && numbers[key] {
		return strconv.FormatInt(n, 10), nil
	}
	text, ok := value.(string)
	if !ok {
		return "", errType
	}
	if text == "" {
		return "", errors.New("is empty; leave it out")
	}
	if ssh, ok := files[key]; ok {
		text = Absolute(text, r.dir, ssh)
	}
	return text, nil
}

// list is a string by itself, or several.
func (r *reader) list(key string, value any) ([]string, error) {
	values, ok := value.([]any)
	if !ok {
		values = []any{value}
	}
	var all []string
	for _, v := range values {
		text, err := r.text(key, v)
		if ok && errors.Is(err, errType) {
			return nil, fmt.Errorf("has to be a string or a list of strings; there is %s in it", kind(v))
		} else if err != nil {
			return nil, err
		}
		all = append(all, text)
	}
	return all, nil
}

func duration(value any) (*Duration, error) {
	text, ok := value.(string)
	if !ok {
		return nil, errType
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return nil, fmt.Errorf(`%q is no duration, such as "10s"`, text)
	}
	return (*Duration)(&d), nil
}

// kind is what a value is, for people.
func kind(value any) string {
	switch value := value.(type) {
	case string:
		return "a string"
	case int64, float64:
		return fmt.Sprint(value)
	case bool:
		return strconv.FormatBool(value)
	case []any:
		return "a list"
	case map[string]any:
		return "a table"
	}
	return "a date or time"
}

// checkTunnel looks whether settings make sense.
func (r *reader) checkTunnel(w where, t *Tunnel) {
	_, broken := t.forwards(DefaultBind, Forward.maybeOnLoopback)
	for _, e := range slices.Concat(t.broken(), broken) {
		text := e.Error()
		if len(e.Hint) > 0 {
			text += "; " + e.Hint.Say(func(k Key) string { return string(k) })
		}
		r.problem(w.key(string(e.Key)), "%s", text)
	}
}

// checkAgent does so for the agent's.
func (r *reader) checkAgent(w where, a *Agent) {
	for _, check := range []struct {
		key, value string
		among      []string
	}{
		{"log_format", a.LogFormat, []string{"text", "json"}},
		{"log_level", a.LogLevel, []string{"debug", "info", "warn", "error"}},
	} {
		if check.value != "" && !slices.Contains(check.among, check.value) {
			r.problem(w.key(check.key), "%s %q is none of %s", check.key, check.value, strings.Join(check.among, ", "))
		}
	}
	if host, port, err := net.SplitHostPort(a.Metrics); a.Metrics != "" && (err != nil || !validPort(port, 1) || !loopback(host)) {
		r.problem(w.key("metrics"), `metrics %q is no address of this machine alone with a port, such as "127.0.0.1:9121"`, a.Metrics)
	}
}

func loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}
