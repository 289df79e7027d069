package main

import (
	"github.com/spf13/cobra"

	"github.com/pasvport/pasvport/cmd/pasvport/internal/top"
)

const topHelp = `top shows what goes on in the background agent, as it happens: its tunnels with
their throughput in the last minute, their FTP sessions, and each transfer under
way, with a progress bar where the file's size is known.

Keys:
  q               quit
  up, down, k, j  select a tunnel or a session; PgUp, PgDn, Home, End as well
  s               sort by name, rate, bytes or age
  /               show only what has this text in it; Enter keeps it, Esc shows all
  x               stop the selected session, after a question
  ?               hide the line of keys, or show it

It keeps asking when the agent is away. NO_COLOR in the environment takes the
colours out.`

func newTopCmd() *cobra.Command {
	return &cobra.Command{
		Use:               "top",
		Short:             "Watch tunnels, sessions and transfers live",
		Long:              topHelp,
		Args:              noArguments,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			in, out := cmd.InOrStdin(), cmd.OutOrStdout()
			if !isTerminal(in) || !isTerminal(out) {
				return usagef("top needs a terminal", "`pasvport status` shows the same once, with --json for programs")
			}
			agent, err := connectAgent()
			if err != nil {
				return err
			}
			return top.Run(cmd.Context(), agent, in, out)
		},
	}
}
