package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/spf13/cobra"

	"github.com/pasvport/pasvport/cmd/pasvport/internal/agentlog"
	"github.com/pasvport/pasvport/cmd/pasvport/internal/view"
)

const logsHelp = `logs prints the last lines of the background agent's log, and with -f all that comes
to it until Ctrl-C. The log is agent.log in the state directory, or what [agent] in
config.toml says; the one before it is beside it, with .1 behind its name.`

func newLogsCmd() *cobra.Command {
	var follow bool
	var lines int
	cmd := &cobra.Command{
		Use:               "logs",
		Short:             "Print the background agent's log",
		Long:              logsHelp,
		Args:              noArguments,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if lines < 0 {
				return usagef(fmt.Sprintf("-n %d is negative", lines))
			}
			path, err := currentLog(cmd.Context())
			if err != nil {
				return err
			}
			return showLog(cmd.Context(), path, lines, follow, cmd.OutOrStdout())
		},
	}
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on with what comes, until Ctrl-C")
	cmd.Flags().IntVarP(&lines, "n", "n", 100, "print the last `lines`") // -n of ssh's has that name
	return cmd
}

// currentLog is the file of the agent that runs, or of the one that would.
func currentLog(ctx context.Context) (string, error) {
	if status, err := agentStatus(ctx); err == nil {
		if status.Log == "" {
			return "", &unfiledLogError{status.PID}
		}
		return status.Log, nil
	}
	file, err := loadConfig()
	if err != nil {
		return "", err
	}
	return agentlog.Path(file.Agent, true), nil
}

// showLog prints the last lines of the log at path, and what comes to it.
func showLog(ctx context.Context, path string, lines int, follow bool, stdout io.Writer) error {
	ctx, stop := stopOnSignal(ctx, func() {})
	defer stop()
	tail, err := agentlog.NewTail(path)
	if errors.Is(err, fs.ErrNotExist) {
		return &noLogError{path}
	} else if err != nil {
		return fmt.Errorf("reading the agent's log: %w", err)
	}
	defer tail.Close()
	if isTerminal(stdout) {
		stdout = clean{stdout}
	}
	text, err := tail.Last(lines)
	if err == nil {
		_, err = stdout.Write(text)
	}
	if err == nil && follow {
		err = tail.Follow(ctx, stdout)
	}
	if err != nil {
		return fmt.Errorf("reading the agent's log: %w", err)
	}
	return nil
}

// clean writes lines to a terminal, without what it would obey.
type clean struct{ io.Writer }

func (c clean) Write(text []byte) (int, error) {
	lines := bytes.Split(text, []byte("\n"))
	for i, line := range lines {
		lines[i] = []byte(view.Clean(string(line)))
	}
	if _, err := c.Writer.Write(bytes.Join(lines, []byte("\n"))); err != nil {
		return 0, err
	}
	return len(text), nil
}

// noLogError is a log that there is not yet.
type noLogError struct{ path string }

func (e *noLogError) Error() string { return "there is no log at " + e.path }

func noLogHints(*noLogError) []string {
	return []string{"pasvport up HOST starts an agent, which writes it"}
}

// unfiledLogError is an agent that writes no file.
type unfiledLogError struct{ pid int }

func (e *unfiledLogError) Error() string {
	return fmt.Sprintf("the agent, process %d, logs to its standard error", e.pid)
}

func unfiledLogHints(*unfiledLogError) []string {
	return []string{
		"under systemd: journalctl --user -u pasvport, with -f to follow",
		`log = "~/.local/state/pasvport/agent.log" in [agent] of config.toml, and a new start of the agent, give it a file`,
	}
}
