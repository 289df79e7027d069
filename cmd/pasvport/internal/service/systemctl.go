package service

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"runtime"
	"strings"
)

// A ForeignError is a unit of one of our names that Install did not write.
type ForeignError struct{ Path string }

func (e *ForeignError) Error() string {
	return e.Path + ` is there and was not written by "pasvport service install"`
}

// A NoManagerError is a machine or a login without systemd's manager for users.
type NoManagerError struct {
	System string // runtime.GOOS; where that is not "linux", nothing was tried
	Err    error  // a CommandError, or exec.ErrNotFound for systemctl
}

func (e *NoManagerError) Error() string {
	if e.System != "linux" {
		return "pasvport service is for systemd, and there is none on " + e.System
	}
	return fmt.Sprintf("systemd does not manage this user's services: %v", e.Err)
}

func (e *NoManagerError) Unwrap() error { return e.Err }

// A CommandError is a systemctl that failed.
type CommandError struct {
	Command string // as one would type it
	Output  string // what it said, in one line
	Err     error
}

func (e *CommandError) Error() string {
	if e.Output == "" {
		return fmt.Sprintf("%s: %v", e.Command, e.Err)
	}
	return fmt.Sprintf("%s: %s", e.Command, e.Output)
}

func (e *CommandError) Unwrap() error { return e.Err }

// systemctl runs systemctl for the user's manager and returns what it printed.
func systemctl(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "systemctl", append([]string{"--user"}, args...)...)
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return "", &CommandError{strings.Join(cmd.Args, " "), strings.Join(strings.Fields(stderr.String()), " "), err}
	}
	return stdout.String(), nil
}

// findManager looks that there is a manager to speak to.
func findManager(ctx context.Context) error {
	if runtime.GOOS != "linux" {
		return &NoManagerError{runtime.GOOS, errors.ErrUnsupported}
	}
	if _, err := systemctl(ctx, "show", "--property=Version"); err != nil {
		return &NoManagerError{runtime.GOOS, err}
	}
	return nil
}

// properties asks for what systemd knows of a unit.
func properties(ctx context.Context, unit string, names ...string) (map[string]string, error) {
	text, err := systemctl(ctx, "show", "--property="+strings.Join(names, ","), unit)
	if err != nil {
		return nil, err
	}
	all := make(map[string]string)
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		all[name] = value
	}
	return all, nil
}
