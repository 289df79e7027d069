package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

func newReloadCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "reload",
		Short: "Have the background agent read config.toml again",
		Long: `reload has the background agent read config.toml again. Tunnels that are as before
are not touched, not even their sessions; changed ones that are open are opened
anew, new ones with autostart are opened, and those that are gone are closed. A file
with an error in it changes nothing.`,
		Args:              noArguments,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			agent, err := connectAgent()
			if err != nil {
				return err
			}
			r, err := agent.Reload(cmd.Context())
			if err != nil {
				return err
			}
			for _, part := range []struct {
				what  string
				names []string
			}{{"added", r.Added}, {"changed", r.Changed}, {"removed", r.Removed}, {"unchanged", r.Unchanged}} {
				if len(part.names) > 0 {
					fmt.Fprintf(cmd.OutOrStdout(), "pasvport: %s: %s\n", part.what, strings.Join(part.names, ", "))
				}
			}
			return nil
		},
	}
}
