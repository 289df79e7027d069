package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/pasvport/pasvport/cmd/pasvport/internal/api"
	"github.com/pasvport/pasvport/cmd/pasvport/internal/config"
	"github.com/pasvport/pasvport/cmd/pasvport/internal/prompt"
)

const upHelp = `up has the background agent open a tunnel, starts the agent where none runs, and
returns when the tunnel is ready: FTP clients can come and go from then on. NAME is
a tunnel of config.toml, or what you would give ssh. What has to be asked is asked
here. A tunnel that needs a login again gets it by the same command.

The agent opens the connection again whenever it is lost, until "pasvport down
NAME".`

func newUpCmd(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "up NAME",
		Short: "Open a tunnel in the background, and return when it is ready",
		Long:  upHelp,
		Example: `  pasvport up prod
  pasvport up -L 2122:10.0.0.5 anna@prod`,
		Args:              oneTunnel,
		ValidArgsFunction: o.completeHost(cobra.ShellCompDirectiveNoFileComp),
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.up(cmd.Context(), args[0], cmd.Flags(), cmd.OutOrStdout())
		},
	}
}

func newRestartCmd(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "restart NAME",
		Short: "Close a tunnel and open it again",
		Long: `restart closes a tunnel of the background agent's and opens it again, with what its
flags change. Transfers have their grace. What has to be asked is asked here.`,
		Args:              oneTunnel,
		ValidArgsFunction: completeTunnel,
		RunE: func(cmd *cobra.Command, args []string) error {
			agent, err := connectAgent()
			if err != nil {
				return err
			}
			return o.opened(cmd.Context(), agent.Restart, args[0], cmd.Flags(), cmd.OutOrStdout())
		},
	}
}

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

func newReloadCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "reload",
		Short: "Have the background agent read config.toml again",
		Long: `reload has the background agent read config.toml again. Tunnels that are as before
are not touched, not even their sessions; changed ones that are open are opened
anew, new ones with autostart are opened, and those that are gone are closed. A file with an
error in it changes nothing.`,
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

// up has the agent open a tunnel; it starts the agent where none runs.
func (o *options) up(ctx context.Context, name string, f *pflag.FlagSet, stdout io.Writer) error {
	agent, err := startAgent(ctx)
	if err != nil {
		return err
	}
	return o.opened(ctx, agent.Up, name, f, stdout)
}

// opened asks the agent for a tunnel, answers its questions, and tells where the
// tunnel is.
func (o *options) opened(ctx context.Context, open func(context.Context, string, api.Opening, api.Ask) (*api.Tunnel, error), name string, f *pflag.FlagSet, stdout io.Writer) error {
	settings, err := o.given(f)
	if err != nil {
		return err
	}
	ctx, stop := stopOnSignal(ctx, func() {})
	defer stop()
	who := prompt.Choose()
	t, err := open(ctx, name, api.Opening{Tunnel: settings, Ask: who != nil}, answers(who))
	if err != nil {
		return unlessStopped(ctx, err, beforeTunnel)
	}
	for _, l := range t.Listens {
		fmt.Fprintf(stdout, "pasvport: %s is %s at %s\n", ftpURL(l.Address), l.Server, t.Host)
	}
	return nil
}

// answers is who answers the agent's questions.
func answers(who prompt.Prompter) api.Ask {
	return func(ctx context.Context, p api.Prompt) (api.Answer, error) {
		ask := who.Ask
		if p.Secret {
			ask = who.Secret
		}
		text, err := ask(ctx, p.Text)
		if err != nil {
			return api.Answer{Refused: true}, nil
		}
		return api.Answer{Text: []byte(text)}, nil
	}
}

// given is what the command line says of a tunnel, and nil where it says nothing.
// Files are named from the root on, for the agent is somewhere else.
func (o *options) given(f *pflag.FlagSet) (*config.Tunnel, error) {
	text, err := json.Marshal(o.Tunnel)
	if err != nil {
		return nil, err
	}
	var all, said map[string]json.RawMessage
	if err := json.Unmarshal(text, &all); err != nil {
		return nil, err
	}
	said = make(map[string]json.RawMessage)
	f.Visit(func(flag *pflag.Flag) {
		if key := strings.ReplaceAll(flag.Name, "-", "_"); all[key] != nil {
			said[key] = all[key]
		}
	})
	if len(said) == 0 {
		return nil, nil
	}
	if text, err = json.Marshal(said); err != nil {
		return nil, err
	}
	t := new(config.Tunnel)
	if err := json.Unmarshal(text, t); err != nil {
		return nil, err
	}
	for i, file := range t.Identity {
		t.Identity[i] = fromRoot(file)
	}
	t.SSHConfig, t.TLSCA = fromRoot(t.SSHConfig), fromRoot(t.TLSCA)
	return t, nil
}

// fromRoot makes a file's name absolute. What ssh expands is left to it.
func fromRoot(file string) string {
	if file == "" || file == "none" || strings.HasPrefix(file, "~") || strings.HasPrefix(file, "%") || strings.HasPrefix(file, "${") {
		return file
	}
	if abs, err := filepath.Abs(file); err == nil {
		return abs
	}
	return file
}

// completeTunnel offers the agent's tunnels.
func completeTunnel(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []string
	if agent, err := connectAgent(); err == nil {
		if status, err := agent.Status(cmd.Context()); err == nil {
			for _, t := range status.Tunnels {
				if strings.HasPrefix(t.Name, word) {
					names = append(names, t.Name)
				}
			}
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
