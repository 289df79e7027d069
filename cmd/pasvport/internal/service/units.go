// Package service hands the background agent to a service manager, which is systemd's
// for users: it writes the agent's units and speaks to the manager by systemctl.
package service

import (
	"embed"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Units' names, as for systemctl. Only Agent is enabled: what the other is for stands
// in it.
const (
	Agent  = "pasvport.service"
	Socket = "pasvport.socket"
)

//go:embed units
var units embed.FS

// installed is the program that the units name before they are rendered, so that
// they are good as they are.
const installed = "/usr/local/bin/pasvport"

// marker is the first line of a unit that Install wrote, and Uninstall may remove.
const marker = `# "pasvport service install" wrote this and writes it anew: changes get lost.`

// Unit is the text of a unit, Agent or Socket, for the program at an absolute path.
func Unit(name, program string) string {
	text, err := units.ReadFile("units/" + name)
	if err != nil {
		panic(err) // it is in the program
	}
	return marker + "\n" + strings.ReplaceAll(string(text), "="+installed+" ", "="+quote(program)+" ")
}

// quote is a path as a unit's command line wants it, systemd.service(5). One with a
// quote or a backslash is refused by systemd in any form.
func quote(path string) string {
	path = strings.ReplaceAll(path, "%", "%%")
	if strings.Contains(path, " ") {
		return `"` + path + `"`
	}
	return path
}

// Folder is where the units of the user's own are.
func Folder() (string, error) {
	config, err := os.UserConfigDir()
	if err != nil {
		return "", fmt.Errorf("looking for the folder of systemd's units: %w", err)
	}
	return filepath.Join(config, "systemd", "user"), nil
}

// A unitFile is a unit and what its file held before.
type unitFile struct {
	name, path string
	before     []byte // nil if there was none
}

// find looks at a unit's file in folder, and refuses one that Install did not write.
func find(folder, name string) (unitFile, error) {
	f := unitFile{name: name, path: filepath.Join(folder, name)}
	text, err := os.ReadFile(f.path)
	if os.IsNotExist(err) {
		return f, nil
	}
	if err != nil {
		return f, err
	}
	if !strings.HasPrefix(string(text), marker+"\n") {
		return f, &ForeignError{f.path}
	}
	f.before = text
	return f, nil
}

// write puts text in the unit's file: all of it or nothing.
func (f unitFile) write(text []byte) error {
	if err := os.MkdirAll(filepath.Dir(f.path), 0o755); err != nil {
		return err
	}
	part, err := os.CreateTemp(filepath.Dir(f.path), ".pasvport-*")
	if err != nil {
		return err
	}
	defer os.Remove(part.Name())
	_, err = part.Write(text)
	if err == nil {
		err = part.Chmod(0o644)
	}
	if closing := part.Close(); err == nil {
		err = closing
	}
	if err != nil {
		return fmt.Errorf("writing %s: %w", f.path, err)
	}
	return os.Rename(part.Name(), f.path)
}

// restore gives the file back what it held before.
func (f unitFile) restore() error {
	if f.before != nil {
		return f.write(f.before)
	}
	if err := os.Remove(f.path); err != nil && !os.IsNotExist(err) {
		return err
	}
	return nil
}
