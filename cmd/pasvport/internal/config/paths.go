package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strings"
)

// Each folder of pasvport's has this name.
const folder = "pasvport"

// Path is where config.toml belongs: in $XDG_CONFIG_HOME/pasvport, or else in
// ~/.config/pasvport, on macOS too; in %APPDATA%\pasvport on Windows.
func Path() string {
	return filepath.Join(base("XDG_CONFIG_HOME", "APPDATA", ".config", filepath.Join("AppData", "Roaming")), folder, "config.toml")
}

// StateDir is for logs: $XDG_STATE_HOME/pasvport, or else ~/.local/state/pasvport;
// %LOCALAPPDATA%\pasvport on Windows. It may be missing yet.
func StateDir() string {
	return filepath.Join(base("XDG_STATE_HOME", "LOCALAPPDATA", filepath.Join(".local", "state"), filepath.Join("AppData", "Local")), folder)
}

// MakeRuntimeDir makes RuntimeDir, for this user alone, where it is missing. It refuses
// a symbolic link and a folder of somebody else's, and closes one of this user's own
// that is open to others.
func MakeRuntimeDir() error {
	dir := RuntimeDir()
	if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	info, err := os.Lstat(dir)
	switch {
	case err != nil:
		return err
	case !info.IsDir():
		return fmt.Errorf("%s is no folder; pasvport makes one there when it is gone", dir)
	}
	return keepOthersOut(dir, info)
}

// Absolute is the name of a file from the root on, for who is in another folder than
// dir. What ssh expands is left to it, where ssh reads the name; "" stays "".
func Absolute(name, dir string, ssh bool) string {
	switch {
	case name == "", filepath.IsAbs(name):
		return name
	case strings.HasPrefix(name, "~/"):
		return filepath.Join(home(), name[2:])
	case ssh && (name == "none" || strings.HasPrefix(name, "~") || strings.HasPrefix(name, "%") || strings.HasPrefix(name, "${")):
		return name
	}
	return filepath.Join(dir, name)
}

// absolute is the variable's value; "" if it is no absolute path, which programs are to
// ignore by the XDG base directory specification.
func absolute(variable string) string {
	if v := os.Getenv(variable); filepath.IsAbs(v) {
		return v
	}
	return ""
}

// home is the user's folder: $HOME, or what the password database says; the root for
// one who has none.
func home() string {
	if h, err := os.UserHomeDir(); err == nil {
		return h
	}
	if u, err := user.Current(); err == nil {
		return u.HomeDir
	}
	return string(filepath.Separator)
}
