package config

import (
	"io/fs"
	"path/filepath"
)

// base is the folder that the variable names, or else that folder at home.
func base(_, variable, _, inHome string) string {
	if dir := absolute(variable); dir != "" {
		return dir
	}
	return filepath.Join(home(), inHome)
}

// RuntimeDir is for the agent's socket. It may be missing yet.
func RuntimeDir() string { return StateDir() }

// keepOthersOut has nothing to do: what is in %LOCALAPPDATA% is for its user alone.
func keepOthersOut(string, fs.FileInfo) error { return nil }
