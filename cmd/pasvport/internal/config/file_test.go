package config

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestLoad(t *testing.T) {
	t.Setenv("HOME", "/home/anna")
	dir := t.TempDir()
	file := filepath.Join(dir, "config.toml")
	grace := Duration(90 * time.Second)
	for _, test := range []struct {
		name, text string
		tunnels    map[string]Tunnel
		agent      Agent
	}{
		{"empty", "", map[string]Tunnel{}, Agent{}},
		{"name is host", "[tunnel.prod]", map[string]Tunnel{"prod": {Host: "prod"}}, Agent{}},
		{"bare and listed", "[tunnel.a]\nlisten = 2121\nidentity = '/k'\noption = 'A=b'\nport = 22\n[tunnel.b]\nlisten = [2121, '2122:ftp']\nport = '22'\n", map[string]Tunnel{
			"a": {Host: "a", Listen: []string{"2121"}, Identity: []string{"/k"}, Option: []string{"A=b"}, Port: "22"},
			"b": {Host: "b", Listen: []string{"2121", "2122:ftp"}, Port: "22"},
		}, Agent{}},
		{"inline", "tunnel = { a = { host = 'x' }, 'b.c' = {} }", map[string]Tunnel{"a": {Host: "x"}, "b.c": {Host: "b.c"}}, Agent{}},
		{"Windows' line ends", "[tunnel.a]\r\nhost = 'x'\r\n", map[string]Tunnel{"a": {Host: "x"}}, Agent{}},
		{"byte order mark", "\ufeff[tunnel.a]\n", map[string]Tunnel{"a": {Host: "a"}}, Agent{}},
		{"everything", `[tunnel.a]
host = "h"
listen = "*:0"
server = "s:1"
port = "ssh"
identity = ["~/k", "rel/k", "/abs/k", "~bob/k", "%d/k", "${HOME}/k", "none"]
jump = "j"
ssh_config = "../ssh_config"
login = "l"
option = ["A=b", "C=d"]
ipv4 = true
gateway = true
data = "passive"
allow_fxp = true
tls = "upstream"
tls_ca = "ca.pem"
tls_server_name = "n"
prefetch = false
connections = 4
grace = "1m30s"
via_ssh = true
verbose = 2
autostart = true
[agent]
metrics = "[::1]:9121"
log = "~/log"
log_format = "json"
log_level = "debug"
`, map[string]Tunnel{"a": {
			Host: "h", Listen: []string{"*:0"}, Server: "s:1", Port: "ssh",
			Identity: []string{"/home/anna/k", dir + "/rel/k", "/abs/k", "~bob/k", "%d/k", "${HOME}/k", "none"},
			Jump:     "j", SSHConfig: filepath.Join(dir, "../ssh_config"), Login: "l", Option: []string{"A=b", "C=d"},
			IPv4: true, Gateway: true, Data: "passive", AllowFXP: true, TLS: "upstream", TLSCA: dir + "/ca.pem", TLSServerName: "n",
			Prefetch: new(bool), Connections: 4, Grace: &grace, ViaSSH: true, Verbose: 2, Autostart: true,
		}}, Agent{Metrics: "[::1]:9121", Log: "/home/anna/log", LogFormat: "json", LogLevel: "debug"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if err := os.WriteFile(file, []byte(test.text), 0o600); err != nil {
				t.Fatal(err)
			}
			f, err := Load(file)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(f, &File{file, test.tunnels, test.agent}) {
				t.Errorf("got  %+v\nwant %+v, %+v", f, test.tunnels, test.agent)
			}
		})
	}
}

// TestLoadErrors looks for every problem, and where it is told to be.
func TestLoadErrors(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		// no TOML
		{"[tunnel.a]\nhost = \n", "2:8: unexpected character"},
		{"[tunnel.a]\nhost = 'a'\nhost = 'b'\n", "3:1: "},
		{"\n  nonsense\n", "2:"},
		{"a = '\xff'\n", "1:"},

		// unknown keys
		{"[tunnel.a]\nhost = 'x'\n\nlisen = 1\n", `4:1: unknown key "lisen"; did you mean "listen"?`},
		{"[tunnel.a]\n  'tls-ca' = 1\n", `2:3: unknown key "tls-ca"; did you mean "tls_ca"?`},
		{"[tunnel.a]\nhots = 'x'\n", `2:1: unknown key "hots"; did you mean "host"?`},
		{"[tunnel.a]\nfavourite = 1\n", "2:1: unknown key \"favourite\""},
		{"[tunnel.a]\nTLS_CA = 'x'\n", `2:1: unknown key "TLS_CA"; did you mean "tls_ca"?`},
		{"[tunnel.a]\nUser = 'anna'\n", `2:1: unknown key "User"; did you mean "login"?`},
		{"[tunnel.ftp.example.com]\n", `1:13: unknown key "example"; a name with dots is quoted, [tunnel."ftp.example.com"]`},
		{"listen = 2121\n", `1:1: unknown key "listen"; it belongs in [tunnel.NAME]`},
		{"[agent]\nlisten = 2121\n", `2:1: unknown key "listen"; it belongs in [tunnel.NAME]`},
		{"[tunnel.a]\nlog_level = 'info'\n", `2:1: unknown key "log_level"; it belongs in [agent]`},
		{"[prod]\nhost = 'x'\n", `1:2: unknown key "prod"; a tunnel is [tunnel.NAME]`},
		{"[tunnle.prod]\nhost = 'x'\n", `1:2: unknown key "tunnle"; did you mean "tunnel"?`},
		{"[ agent ]\nmetric = 'x'\n", `2:1: unknown key "metric"; did you mean "metrics"?`},
		{"tunnel.a = { host = 'x', prt = 1 }\n", `1:26: unknown key "prt"; did you mean "port"?`},
		{"tunnel.a.prt = 1\n", `1:10: unknown key "prt"; did you mean "port"?`},
		{"[tunnel.a.host]\n", "1:11: host has to be a string; it is a table"},

		// types
		{"[tunnel.a]\nhost = 1\n", "2:1: host has to be a string; it is 1"},
		{"[tunnel.a]\nport = 2.5\n", "2:1: port has to be a string; it is 2.5"},
		{"[tunnel.a]\nlisten = [1, true]\n", "2:1: listen has to be a string or a list of strings; there is true in it"},
		{"[tunnel.a]\nidentity = 1\n", "2:1: identity has to be a string or a list of strings; it is 1"},
		{"[tunnel.a]\nipv4 = 'yes'\n", "2:1: ipv4 has to be true or false; it is a string"},
		{"[tunnel.a]\nverbose = true\n", "2:1: verbose has to be a number; it is true"},
		{"[tunnel.a]\ngrace = 10\n", `2:1: grace has to be a duration in quotes, such as "10s"; it is 10`},
		{"[tunnel.a]\ngrace = 1979-05-27\n", `it is a date or time`},
		{"[[tunnel]]\nhost = 'a'\n", "1:3: tunnel has to be tables, [tunnel.NAME]; it is a list"},
		{"tunnel = 1\n", "1:1: tunnel has to be tables, [tunnel.NAME]; it is 1"},
		{"[tunnel]\nprod = 'x'\n", "2:1: tunnel.prod has to be a table, [tunnel.prod]; it is a string"},
		{"agent = true\n", "1:1: agent has to be a table, [agent]; it is true"},

		// values
		{"[tunnel.a]\nhost = ''\n", "2:1: host is empty; leave it out"},
		{"[tunnel.a]\nlisten = ['2121', '']\n", "2:1: listen is empty"},
		{"[tunnel.a]\ngrace = '3'\n", `2:1: grace "3" is no duration, such as "10s"`},
		{"[tunnel.a]\ngrace = '-3s'\n", `2:1: grace -3s is negative`},
		{"[tunnel.a]\ndata = 'both'\n", `2:1: data "both" is none of auto, passive and active`},
		{"[tunnel.a]\ntls = true\n", "2:1: tls has to be a string; it is true"},
		{"[tunnel.a]\ntls_ca = 'x'\n", "2:1: tls_ca is for tls upstream"},
		{"[tunnel.a]\nport = -1\n", `2:1: port: bad port "-1"`},
		{"[tunnel.a]\nlisten = 65536\n", `2:1: listen 65536: "65536" is no port; listen takes [bind:]port`},
		{"[tunnel.a]\nlisten = '0.0.0.0:2121'\n", "2:1: listen 0.0.0.0:2121 listens beyond this machine; gateway allows that; "},
		{"[tunnel.a]\ndata = 'active'\nserver = '10.0.0.5'\n", "2:1: data active cannot work with 10.0.0.5:21; sshd listens"},
		{"[agent]\nlog_format = 'xml'\n", `2:1: log_format "xml" is none of text, json`},
		{"[agent]\nlog_level = 'loud'\n", `2:1: log_level "loud" is none of debug, info, warn, error`},
		{"[agent]\nmetrics = '0.0.0.0:9121'\n", `2:1: metrics "0.0.0.0:9121" is no address of this machine alone with a port, such as "127.0.0.1:9121"`},
		{"[agent]\nmetrics = ':9121'\n", `2:1: metrics ":9121" is no address`},
		{"[agent]\nmetrics = '127.0.0.1'\n", `2:1: metrics "127.0.0.1" is no address`},

		// names
		{"[tunnel.'a/b']\n", `1:9: "a/b" is no name of a tunnel`},
		{"[tunnel.'a b']\n", `1:9: "a b" is no name of a tunnel`},
		{"[tunnel.\"a\\u007fb\"]\n", `1:9: "a\x7fb" is no name of a tunnel`},
		{"[tunnel.'..']\n", `1:9: ".." is no name of a tunnel`},
		{"[tunnel.-a]\n", `1:9: the name "-a" looks like a flag`},
		{"[tunnel.'']\n", `1:9: a tunnel needs a name`},
	} {
		f, err := parse("config.toml", []byte(test.text))
		e, ok := errors.AsType[*Error](err)
		switch {
		case !ok:
			t.Errorf("%q: got %+v, %v, want %q", test.text, f, err, test.want)
		case len(e.Problems) != 1 || !strings.HasPrefix(err.Error(), "config.toml:") || !strings.Contains(err.Error(), test.want):
			t.Errorf("%q: got %q, want %q", test.text, e.Lines(), test.want)
		}
	}
}

// TestAllProblems looks that none hides another.
func TestAllProblems(t *testing.T) {
	_, err := parse("config.toml", []byte(`[tunnel.b]
lisen = 1
port = true
[agent]
log_level = "loud"
[tunnel.a]
data = "both"
ipv4 = true
ipv6 = true
`))
	e, ok := errors.AsType[*Error](err)
	if !ok {
		t.Fatal(err)
	}
	var lines []int
	for _, p := range e.Problems {
		lines = append(lines, p.Line)
	}
	if !reflect.DeepEqual(lines, []int{2, 3, 5, 7, 9}) {
		t.Errorf("got %q", e.Lines())
	}
	if want := `config.toml:2:1: unknown key "lisen"; did you mean "listen"?; and 4 problems more`; err.Error() != want {
		t.Errorf("got %q, want %q", err, want)
	}
}

func TestLoadUnread(t *testing.T) {
	dir := t.TempDir()
	missing := filepath.Join(dir, "config.toml")
	if f, err := Load(missing); err != nil || f.Path != missing || len(f.Tunnels) > 0 {
		t.Errorf("missing: got %+v, %v", f, err)
	}
	f, err := Load(dir)
	if _, ok := errors.AsType[*Error](err); !ok || f != nil || !strings.HasPrefix(err.Error(), dir+": ") {
		t.Errorf("a folder: got %+v, %v", f, err)
	}
}

func TestDiff(t *testing.T) {
	grace, same, other := Duration(1), Duration(1), Duration(2)
	old := &File{Tunnels: map[string]Tunnel{
		"d": {Host: "d"}, "c": {Host: "c"}, "b": {Host: "b", Grace: &grace}, "a": {Host: "a", Grace: &grace}, "y": {}, "x": {},
	}}
	new := &File{Tunnels: map[string]Tunnel{
		"d": {Host: "d", Listen: []string{"1"}}, "c": {Host: "c"}, "b": {Host: "b", Grace: &same}, "a": {Host: "a", Grace: &other}, "n": {}, "m": {},
	}}
	added, changed, removed, unchanged := Diff(old, new)
	got := [][]string{added, changed, removed, unchanged}
	if want := [][]string{{"m", "n"}, {"a", "d"}, {"x", "y"}, {"b", "c"}}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// TestTOML looks that what is left out is shown with its default.
func TestTOML(t *testing.T) {
	f, err := parse("/etc/config.toml", []byte("[tunnel.prod]\nidentity = 'key'\nautostart = true\n"))
	if err != nil {
		t.Fatal(err)
	}
	got, err := f.TOML()
	const want = `[tunnel]
[tunnel.prod]
host = 'prod'
listen = ['127.0.0.1:2121']
server = '127.0.0.1:21'
identity = ['/etc/key']
ipv4 = false
ipv6 = false
gateway = false
data = 'auto'
allow_fxp = false
tls = 'refuse'
tls_insecure = false
prefetch = true
connections = 1
grace = '10s'
via_ssh = false
verbose = 0
autostart = true

[agent]
log_format = 'text'
log_level = 'info'
`
	if err != nil || string(got) != want {
		t.Errorf("got %s, %v", got, err)
	}
	shownAgain(t, f)
}

// shownAgain looks that what is shown of f is read again, as what is in effect, and that
// it is shown as the same then.
func shownAgain(t *testing.T, f *File) {
	t.Helper()
	text, err := f.TOML()
	if err != nil {
		t.Fatal(err)
	}
	again, err := parse(f.Path, text)
	if err != nil {
		t.Fatalf("%s\n%v", text, err)
	}
	for name, tunnel := range f.Tunnels {
		if want := tunnel.effective(); !reflect.DeepEqual(again.Tunnels[name], want) {
			t.Errorf("%s: got %+v, want %+v", name, again.Tunnels[name], want)
		}
	}
	if text2, err := again.TOML(); err != nil || string(text2) != string(text) {
		t.Errorf("got %s, %v, want %s", text2, err, text)
	}
}

// FuzzLoad looks that nothing panics, that each error says where, and that what was read
// is shown so that it is read again.
func FuzzLoad(f *testing.F) {
	for _, seed := range []string{
		"", "[tunnel.prod]\nlisten = 2121\nautostart = true\n", "tunnel = { a = { host = 'x', prt = 1 } }",
		"[[tunnel]]\n[agent]\nmetrics = '127.0.0.1:1'\n", "[tunnel.a]\ngrace = '1s'\nidentity = ['~/x', 'none']\n", "a.b.'c' = [{x = [1]}, 1979-05-27]\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		file, err := parse("/etc/config.toml", text)
		if err == nil {
			shownAgain(t, file)
			return
		}
		e, ok := errors.AsType[*Error](err)
		if !ok || len(e.Problems) == 0 {
			t.Fatalf("got %#v", err)
		}
		for _, p := range e.Problems {
			if p.Line < 1 || p.Column < 1 || p.Line > strings.Count(string(text), "\n")+1 || p.Text == "" {
				t.Errorf("got %+v", p)
			}
		}
	})
}
