//go:build unix

package config

import (
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

func TestPaths(t *testing.T) {
	uid := strconv.Itoa(os.Getuid())
	there := t.TempDir()
	if err := os.Mkdir(filepath.Join(there, uid), 0o700); err != nil {
		t.Fatal(err)
	}
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name                   string
		env                    map[string]string
		sessions               string
		config, state, runtime string
	}{
		{"XDG", map[string]string{"HOME": "/home/anna", "XDG_CONFIG_HOME": "/c", "XDG_STATE_HOME": "/s", "XDG_RUNTIME_DIR": "/r"}, there,
			"/c/pasvport/config.toml", "/s/pasvport", "/r/pasvport"},
		{"home alone", map[string]string{"HOME": "/home/anna"}, there,
			"/home/anna/.config/pasvport/config.toml", "/home/anna/.local/state/pasvport", filepath.Join(there, uid, "pasvport")},
		{"no session", map[string]string{"HOME": "/home/anna", "TMPDIR": "/t"}, "/nowhere",
			"/home/anna/.config/pasvport/config.toml", "/home/anna/.local/state/pasvport", "/t/pasvport-" + uid},
		{"relative", map[string]string{"HOME": "/home/anna", "XDG_CONFIG_HOME": "c", "XDG_STATE_HOME": "./s", "XDG_RUNTIME_DIR": "r", "TMPDIR": "/t"}, "/nowhere",
			"/home/anna/.config/pasvport/config.toml", "/home/anna/.local/state/pasvport", "/t/pasvport-" + uid},
		{"no environment", map[string]string{"TMPDIR": "/t"}, "/nowhere",
			me.HomeDir + "/.config/pasvport/config.toml", me.HomeDir + "/.local/state/pasvport", "/t/pasvport-" + uid},
	} {
		t.Run(test.name, func(t *testing.T) {
			setSessions(t, test.sessions)
			for _, name := range []string{"HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_RUNTIME_DIR", "TMPDIR"} {
				t.Setenv(name, test.env[name])
			}
			for what, pair := range map[string][2]string{
				"Path": {Path(), test.config}, "StateDir": {StateDir(), test.state}, "RuntimeDir": {RuntimeDir(), test.runtime},
			} {
				if pair[0] != pair[1] {
					t.Errorf("%s: got %s, want %s", what, pair[0], pair[1])
				}
			}
		})
	}
}

func setSessions(t *testing.T, dir string) {
	was := sessions
	sessions = dir
	t.Cleanup(func() { sessions = was })
}

func TestMakeRuntimeDir(t *testing.T) {
	for _, test := range []struct {
		name string
		lay  func(t *testing.T, dir string) error // what is there before
		want string                               // in the error; "" for none
	}{
		{"missing", func(*testing.T, string) error { return nil }, ""},
		{"there", func(_ *testing.T, dir string) error { return os.Mkdir(dir, 0o700) }, ""},
		{"open to others", func(_ *testing.T, dir string) error {
			os.Mkdir(dir, 0o700)
			return os.Chmod(dir, 0o777)
		}, ""},
		{"a link", func(t *testing.T, dir string) error { return os.Symlink(t.TempDir(), dir) }, "is no folder"},
		{"a file", func(_ *testing.T, dir string) error { return os.WriteFile(dir, nil, 0o600) }, "is no folder"},
	} {
		t.Run(test.name, func(t *testing.T) {
			parent := filepath.Join(t.TempDir(), "run", "user")
			t.Setenv("XDG_RUNTIME_DIR", parent)
			if test.name != "missing" {
				if err := os.MkdirAll(parent, 0o700); err != nil {
					t.Fatal(err)
				}
			}
			if err := test.lay(t, RuntimeDir()); err != nil {
				t.Fatal(err)
			}
			err := MakeRuntimeDir()
			if test.want != "" {
				if err == nil || !strings.Contains(err.Error(), test.want) {
					t.Errorf("got %v, want %q in it", err, test.want)
				}
				return
			}
			info, statErr := os.Lstat(RuntimeDir())
			if err != nil || statErr != nil || info.Mode() != os.ModeDir|0o700 {
				t.Errorf("got %v, %v, %v", err, statErr, info)
			}
		})
	}
}

// TestStrangersRuntimeDir looks at a folder of somebody else's.
func TestStrangersRuntimeDir(t *testing.T) {
	dir := "/"
	if os.Getuid() == 0 {
		dir = t.TempDir()
		if err := os.Chown(dir, 65534, -1); err != nil {
			t.Fatal(err)
		}
	}
	info, err := os.Lstat(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := keepOthersOut(dir, info); err == nil || !strings.Contains(err.Error(), "belongs to the user with the id") {
		t.Errorf("got %v", err)
	}
}
