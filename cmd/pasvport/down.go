package main

import "github.com/spf13/cobra"

func newDownCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "down NAME",
		Short: "Close a tunnel of the background agent's",
		Long: `down closes a tunnel. Its idle FTP sessions end at once, transfers under way have
their grace (10 s, or what --grace said). A tunnel of config.toml is opened again by
"pasvport up", or with the next agent if it starts by itself.`,
		Args:              oneTunnel,
		ValidArgsFunction: completeTunnel,
		RunE: func(cmd *cobra.Command, args []string) error {
			agent, err := connectAgent()
			if err != nil {
				return err
			}
			_, err = agent.Down(cmd.Context(), args[0])
			return err
		},
	}
}
