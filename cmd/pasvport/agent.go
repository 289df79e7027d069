package main

import "github.com/spf13/cobra"

func newAgentCmd() *cobra.Command {
	return group("agent", "Run or stop the background agent itself",
		"agent runs or stops the background agent itself. \"pasvport up NAME\" starts one where none runs.",
		newAgentRunCmd(), newAgentStopCmd())
}

func newAgentRunCmd() *cobra.Command {
	var detached bool
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Run the agent in the foreground, for service managers and containers",
		Long: `run is the agent in the foreground. It opens the tunnels of config.toml that have
autostart, and then does what commands tell it. SIGTERM and Ctrl-C close all tunnels,
with their grace; a second one does not wait. SIGHUP reads config.toml again.

It logs to standard error, or where [agent] in config.toml says. systemd is told
when it is ready, and may pass it the sockets that it is to listen on.`,
		Args:              noArguments,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runAgent(cmd.Context(), detached, cmd.OutOrStdout())
		},
	}
	cmd.Flags().BoolVar(&detached, "detached", false, "started by pasvport up: log to the state directory, say on standard output when ready")
	cmd.Flags().MarkHidden("detached")
	return cmd
}

func newAgentStopCmd() *cobra.Command {
	return &cobra.Command{
		Use:               "stop",
		Short:             "Close all tunnels and end the agent",
		Args:              noArguments,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			agent, err := connectAgent()
			if err != nil {
				return err
			}
			return agent.Stop(cmd.Context())
		},
	}
}
