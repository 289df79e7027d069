package service

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"

	"github.com/pasvport/pasvport/cmd/pasvport/internal/config"
)

// A RunningError is an agent that somebody started beside systemd.
type RunningError struct{ Socket string }

func (e *RunningError) Error() string {
	return "an agent that systemd did not start answers at " + e.Socket
}

// A NotInstalledError is a systemd that has no unit of ours.
type NotInstalledError struct{ Unit string }

func (e *NotInstalledError) Error() string { return e.Unit + " is not installed" }

// Install has systemd run program, an absolute path, as the user's agent, now and at
// each login, and returns the folder of the units that it wrote. Units that it wrote
// before are replaced, and their agent starts anew if they differ. It returns when
// the agent is ready; after an error the units are as they were before.
func Install(ctx context.Context, program string) (folder string, err error) {
	folder, files, err := findUnits(ctx)
	if err != nil {
		return "", err
	}
	if err := refuseOther(ctx); err != nil {
		return "", err
	}
	changed := false
	for _, f := range files {
		text := Unit(f.name, program)
		if string(f.before) == text {
			continue
		}
		changed = true
		if err := f.write([]byte(text)); err != nil {
			return "", errors.Join(err, undo(ctx, files))
		}
	}
	if err := start(ctx, changed); err != nil {
		return "", errors.Join(err, undo(ctx, files))
	}
	return folder, nil
}

// findUnits looks that there is a manager, and for what Install wrote.
func findUnits(ctx context.Context) (folder string, files []unitFile, err error) {
	if err := findManager(ctx); err != nil {
		return "", nil, err
	}
	folder, err = Folder()
	if err != nil {
		return "", nil, err
	}
	for _, name := range []string{Agent, Socket} {
		f, err := find(folder, name)
		if err != nil {
			return "", nil, err
		}
		files = append(files, f)
	}
	return folder, files, nil
}

// refuseOther looks that no agent runs but systemd's: two would want one socket.
func refuseOther(ctx context.Context) error {
	socket := filepath.Join(config.RuntimeDir(), "agent.sock")
	c, err := net.Dial("unix", socket)
	if err != nil {
		return nil // nobody answers
	}
	c.Close()
	for _, unit := range []string{Agent, Socket} {
		p, err := properties(ctx, unit, "ActiveState")
		if err != nil {
			return err
		}
		if p["ActiveState"] != "inactive" && p["ActiveState"] != "failed" {
			return nil
		}
	}
	return &RunningError{socket}
}

// start enables the agent and starts it, anew if its units have changed.
func start(ctx context.Context, changed bool) error {
	commands := [][]string{{"enable", "--now", Agent}}
	if changed {
		commands = [][]string{{"daemon-reload"}, {"enable", Agent}, {"restart", Agent}}
	}
	return all(ctx, commands)
}

// undo leaves what was there before files were written, and runs it if it was something.
func undo(ctx context.Context, files []unitFile) error {
	var failed error
	before := slices.ContainsFunc(files, func(f unitFile) bool { return f.before != nil })
	if !before {
		systemctl(ctx, "disable", "--now", Agent) // it may never have come that far
	}
	for _, f := range files {
		failed = errors.Join(failed, f.restore())
	}
	commands := [][]string{{"daemon-reload"}}
	if before {
		commands = append(commands, []string{"restart", Agent})
	}
	if failed = errors.Join(failed, all(ctx, commands)); failed != nil {
		return fmt.Errorf("putting back what was there before: %w", failed)
	}
	return nil
}

func all(ctx context.Context, commands [][]string) error {
	for _, args := range commands {
		if _, err := systemctl(ctx, args...); err != nil {
			return err
		}
	}
	return nil
}

// Uninstall stops the agent and removes what Install wrote, and nothing else.
func Uninstall(ctx context.Context) error {
	_, files, err := findUnits(ctx)
	if err != nil {
		return err
	}
	files = slices.DeleteFunc(files, func(f unitFile) bool { return f.before == nil })
	if len(files) == 0 {
		return &NotInstalledError{Agent}
	}
	disable := []string{"disable", "--now"}
	for _, f := range files {
		disable = append(disable, f.name)
	}
	if _, err := systemctl(ctx, disable...); err != nil {
		return err
	}
	for _, f := range files {
		if err := os.Remove(f.path); err != nil {
			return err
		}
	}
	_, err = systemctl(ctx, "daemon-reload")
	return err
}

// A Status is what systemd knows of the agent.
type Status struct {
	Active  bool   // ready to answer commands
	State   string // "active (running)", "failed (exit-code)" ...
	Since   string // of State, as systemd writes it; "" if it is not known
	PID     string // "" if it does not run
	Text    string // what the agent says of itself
	Enabled string // "enabled": it starts at login
	Unit    string // the unit's file
}

// Ask asks systemd.
func Ask(ctx context.Context) (Status, error) {
	if err := findManager(ctx); err != nil {
		return Status{}, err
	}
	p, err := properties(ctx, Agent, "LoadState", "ActiveState", "SubState", "Result", "StateChangeTimestamp",
		"MainPID", "StatusText", "UnitFileState", "FragmentPath")
	if err != nil {
		return Status{}, err
	}
	if p["LoadState"] == "not-found" {
		return Status{}, &NotInstalledError{Agent}
	}
	s := Status{
		Active:  p["ActiveState"] == "active" || p["ActiveState"] == "reloading",
		State:   fmt.Sprintf("%s (%s)", p["ActiveState"], p["SubState"]),
		Since:   p["StateChangeTimestamp"],
		Text:    p["StatusText"],
		Enabled: p["UnitFileState"],
		Unit:    p["FragmentPath"],
	}
	if p["MainPID"] != "0" {
		s.PID = p["MainPID"]
	}
	if p["ActiveState"] == "failed" {
		s.State = fmt.Sprintf("failed (%s)", p["Result"])
	}
	return s, nil
}
