package main

import (
	"context"
	"errors"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/pasvport/pasvport/cmd/pasvport/internal/api"
	"github.com/pasvport/pasvport/cmd/pasvport/internal/view"
)

const statusHelp = `status shows the background agent's tunnels: where FTP clients connect, the state
and for how long, the SSH server and its connections, FTP sessions, transfers under
way and bytes; under a tunnel, its last error and what to type.

It ends with 0 only if an agent runs and all of its tunnels are up, else with 1.

--json prints all that the agent knows, sessions and transfers by name included,
in the form that status.schema.json describes; "schema" is its version.`

// newStatusCmd makes the command; status asks the agent, and fails where none runs.
func newStatusCmd(status func(context.Context) (*api.Status, error)) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:               "status",
		Short:             "Show the tunnels of the background agent",
		Long:              statusHelp,
		Args:              noArguments,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := status(cmd.Context())
			if err != nil {
				return err
			}
			if err := printStatus(cmd.OutOrStdout(), s, asJSON); err != nil {
				return err
			}
			if slices.ContainsFunc(s.Tunnels, func(t api.Tunnel) bool { return t.State != api.Up }) {
				return &reportedError{errors.New("not all tunnels are up")}
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON, for programs")
	return cmd
}

func printStatus(w io.Writer, s *api.Status, asJSON bool) error {
	if asJSON {
		return printJSON(w, s)
	}
	return view.Table(w, s, time.Now(), terminalWidth(w))
}
