package main

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/pasvport/pasvport/cmd/pasvport/internal/api"
	"github.com/pasvport/pasvport/cmd/pasvport/internal/config"
)

const execHelp = `exec opens a tunnel on a free port, runs COMMAND, and closes the tunnel when that
has ended. Each {} in COMMAND becomes the tunnel's URL, ftp://127.0.0.1:PORT,
which COMMAND also finds in PASVPORT_URL, and its parts in PASVPORT_HOST and
PASVPORT_PORT. The exit code is COMMAND's own. Where the background agent has a
tunnel of that name up, and no flag asks for another, that one is used.`

func newExecCmd(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "exec [user@]host -- command...",
		Short: "Run a command with a tunnel for its length",
		Long:  execHelp,
		Example: `  pasvport exec prod -- lftp {}
  pasvport exec prod -- curl -O {}/pub/file`,
		Args:              cobra.ArbitraryArgs,
		ValidArgsFunction: o.completeHost(cobra.ShellCompDirectiveDefault),
		RunE: func(cmd *cobra.Command, args []string) error {
			if cmd.ArgsLenAtDash() != 1 || len(args) < 2 {
				return usagef("exec takes one host, then --, then a command", "for example: pasvport exec prod -- lftp {}")
			}
			return o.exec(cmd.Context(), args[0], args[1:], cmd.Flags(), cmd.ErrOrStderr())
		},
	}
}

// exec runs command with a tunnel to destination: the agent's, if it has one of that
// name and no flag asks for another.
func (o *options) exec(ctx context.Context, destination string, command []string, f *pflag.FlagSet, stderr io.Writer) error {
	forwards, err := o.parseForwards(net.JoinHostPort(config.DefaultHost, "0"))
	if err != nil {
		return err
	}
	if _, err := exec.LookPath(command[0]); err != nil {
		return &notFoundError{err} // before anybody is asked for a password
	}
	if given, err := o.given(f); err == nil && given == nil {
		if url := agentURL(ctx, destination); url != "" {
			return runCommand(command, url)
		}
	}
	s, err := o.prepare(destination, o.means(stderr, nil))
	if err != nil {
		return err
	}
	defer s.ssh.Close()
	starting, stop := s.stopOnSignal(ctx)
	err = unlessStopped(starting, s.start(starting, forwards), beforeTunnel)
	stop() // from here on signals are for the command
	if err != nil {
		return err
	}

	ctx, end := context.WithCancel(ctx)
	served := make(chan error, 1)
	go func() { served <- s.serve(ctx) }()
	err = runCommand(command, s.links[0].url())
	end()
	<-served
	return err
}

// agentURL is where the agent's tunnel of that name is; "" if it has none that works.
func agentURL(ctx context.Context, name string) string {
	status, err := agentStatus(ctx)
	if err != nil {
		return ""
	}
	for _, t := range status.Tunnels {
		if t.Name == name && len(t.Listens) > 0 && (t.State == api.Up || t.State == api.Reconnecting) {
			return ftpURL(t.Listens[0].Address)
		}
	}
	return ""
}

// runCommand runs command to its end, with url where it wants it, and passes
// on what signals come meanwhile.
func runCommand(command []string, url string) error {
	args := make([]string, len(command))
	for i, arg := range command {
		args[i] = strings.ReplaceAll(arg, "{}", url)
	}
	host, port, _ := net.SplitHostPort(strings.TrimPrefix(url, "ftp://"))
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), "PASVPORT_URL="+url, "PASVPORT_HOST="+host, "PASVPORT_PORT="+port)

	signals := stopSignals()
	defer signal.Stop(signals)
	if err := cmd.Start(); err != nil {
		return err
	}
	go func() { // it lives as long as the program
		for sig := range signals {
			if sig != os.Interrupt || !isTerminal(os.Stdin) { // Ctrl-C is for both
				cmd.Process.Signal(sig)
			}
		}
	}()
	err := cmd.Wait()
	exit, ok := errors.AsType[*exec.ExitError](err)
	switch {
	case !ok:
		return err
	case exit.ExitCode() >= 0:
		return &childError{exit.ExitCode()}
	}
	status, _ := exit.Sys().(syscall.WaitStatus)
	return &childError{128 + int(status.Signal())}
}
