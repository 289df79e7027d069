package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/pasvport/pasvport/cmd/pasvport/internal/api"
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
		ValidArgsFunction: o.completeUp,
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
	ctx, end := stopOnSignal(ctx, func() {})
	defer end()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	who := prompt.Choose()
	t, err := open(ctx, name, api.Opening{Tunnel: settings, Ask: who != nil}, answers(who, stop))
	if err != nil {
		return unlessStopped(ctx, err, beforeTunnel)
	}
	for _, l := range t.Listens {
		fmt.Fprintf(stdout, "pasvport: %s is %s at %s\n", ftpURL(l.Address), l.Server, t.Host)
	}
	return nil
}

// answers is who answers the agent's questions, and calls interrupted for a Ctrl-C in
// place of an answer.
func answers(who prompt.Prompter, interrupted func()) api.Ask {
	return func(ctx context.Context, p api.Prompt) (api.Answer, error) {
		ask := who.Ask
		if p.Secret {
			ask = who.Secret
		}
		text, err := ask(ctx, p.Text)
		if errors.Is(err, context.Canceled) && ctx.Err() == nil {
			interrupted()
		}
		if err != nil {
			return api.Answer{Refused: true}, nil
		}
		return api.Answer{Text: []byte(text)}, nil
	}
}
