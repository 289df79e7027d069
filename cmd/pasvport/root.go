package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"runtime/debug"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/pasvport/pasvport/cmd/pasvport/internal/config"
	"github.com/pasvport/pasvport/ftpmux"
	"github.com/pasvport/pasvport/tunnel"
)

// options are the flags that every way of opening a tunnel has.
type options struct{ config.Tunnel }

// habits are flags that people give ssh for a tunnel. They mean nothing here.
var habits = []string{"N", "T", "n", "q", "a", "x", "A", "C"}

// refused are flags of ssh's that ask for something else than FTP.
var refused = []struct{ name, why string }{
	{"D", "pasvport is no SOCKS proxy; `ssh -D` is one"},
	{"R", "pasvport opens the remote forwardings that FTP needs by itself; `ssh -R` is for others"},
	{"W", "pasvport does not carry other protocols; `ssh -W` does"},
}

func newRootCmd() *cobra.Command {
	var o options
	var dumps, background bool
	cmd := &cobra.Command{
		Use:               "pasvport [user@]host",
		Short:             "FTP through SSH, data connections included",
		Version:           version(),
		Args:              cobra.ArbitraryArgs,
		ValidArgsFunction: o.completeHost(cobra.ShellCompDirectiveNoFileComp),
		SilenceErrors:     true,
		SilenceUsage:      true,
		DisableAutoGenTag: true,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error { return o.check(cmd.Flags()) },
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case len(args) == 0:
				return usagef("no host given", "pasvport --help tells what it takes")
			case len(args) > 1:
				return usagef(fmt.Sprintf("one host is expected, got %q", args),
					append(misspelt(cmd, args[0]), "pasvport exec HOST -- COMMAND runs a command with a tunnel")...)
			}
			if dumps {
				return o.dump(args[0], cmd.OutOrStdout())
			}
			if background {
				return o.up(cmd.Context(), args[0], cmd.Flags(), cmd.OutOrStdout())
			}
			err := o.serve(cmd.Context(), args[0], cmd.OutOrStdout(), cmd.ErrOrStderr())
			if e, ok := errors.AsType[*sshError](err); ok && is[*net.DNSError](err) {
				e.before = append(misspelt(cmd, args[0]), e.before...)
			}
			return err
		},
	}
	cmd.Flags().SortFlags = false
	o.addTo(cmd.PersistentFlags())
	cmd.Flags().BoolVarP(&dumps, "dump", "G", false, "print what the SSH configuration makes of host, and connect to nothing")
	cmd.Flags().BoolVarP(&background, "background", "f", false, "have the background agent open the tunnel, as pasvport up does")
	cmd.Flags().BoolP("version", "V", false, "print the version")
	cmd.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		if c != cmd {
			return usagef(err.Error(), c.CommandPath()+" --help lists its own, pasvport help flags those of a tunnel")
		}
		return usagef(err.Error(), "pasvport help flags lists them")
	})
	o.completeFlags(cmd)
	setHelp(cmd)
	agent := []*cobra.Command{
		newUpCmd(&o), newDownCmd(), newRestartCmd(&o), newReloadCmd(),
		newStatusCmd(agentStatus), newTopCmd(), newLogsCmd(), newConfigCmd(), newServiceCmd(), newAgentCmd(),
	}
	cmd.AddCommand(newExecCmd(&o), newCheckCmd(&o), newHostsCmd(&o), newFlagsTopic())
	for _, c := range agent {
		c.PersistentPreRunE = refuseTunnelFlags
		if c.Name() == "up" || c.Name() == "restart" {
			c.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error { return refuse(cmd.Flags()) }
		}
	}
	cmd.AddCommand(agent...)
	return cmd
}

// dump prints what destination resolves to, as ssh -G does.
func (o *options) dump(destination string, stdout io.Writer) error {
	host, err := resolve(o.resolver(), destination)
	if err != nil {
		return err
	}
	for _, line := range host.Dump(tunnel.Algorithms(host)) {
		if _, err := fmt.Fprintln(stdout, line); err != nil {
			return err
		}
	}
	return nil
}

func (o *options) addTo(f *pflag.FlagSet) {
	f.SortFlags = false
	f.StringArrayVarP(&o.Listen, "listen", "L", nil, "listen on `[bind:]port[:ftphost[:ftpport]]`, and reach ftphost from the SSH server; 127.0.0.1:2121:127.0.0.1:21 where it says nothing; port 0 takes a free one; may be repeated")
	f.StringVarP(&o.Port, "port", "p", "", "`port` of the SSH server")
	f.StringArrayVarP(&o.Identity, "identity", "i", nil, "private key `file`; may be repeated")
	f.StringVarP(&o.Jump, "jump", "J", "", "reach the SSH server through these `[user@]host[:port],...`")
	f.StringVarP(&o.SSHConfig, "ssh-config", "F", "", "read this `file` in place of ~/.ssh/config and /etc/ssh/ssh_config")
	f.StringVarP(&o.Login, "login", "l", "", "`user` to log in as")
	f.StringArrayVarP(&o.Option, "option", "o", nil, "an option of ssh_config(5), as `keyword=value`; may be repeated")
	f.BoolVarP(&o.IPv4, "ipv4", "4", false, "reach the SSH server over IPv4 only")
	f.BoolVarP(&o.IPv6, "ipv6", "6", false, "reach the SSH server over IPv6 only")
	f.BoolVarP(&o.Gateway, "gateway", "g", false, "let -L listen beyond this machine; FTP passwords cross that network in plain")
	f.StringVar(&o.Data, "data", string(ftpmux.Auto), "how the FTP server gets its data connections: auto, passive or active")
	f.BoolVar(&o.AllowFXP, "allow-fxp", false, "let clients send data to another host, by PORT or EPRT; this machine connects there, outside the tunnel and in plain")
	o.addTLS(f)
	o.Prefetch = new(bool)
	f.BoolVar(o.Prefetch, "prefetch", true, "ask the FTP server early for what a client is about to want, which makes small files faster")
	f.IntVar(&o.Connections, "connections", 1, "how many SSH connections transfers at the same time may use")
	o.Grace = new(config.Duration)
	f.DurationVar((*time.Duration)(o.Grace), "grace", 2*time.Second, "how long transfers may go on when the tunnel is closed; 10s in the background")
	f.BoolVar(&o.ViaSSH, "via-ssh", false, "let the system's ssh make the connection and log in, with these flags and questions of its own")
	f.CountVarP(&o.Verbose, "verbose", "v", "tell of sessions and transfers; twice: the whole conversation, without passwords")
	for _, name := range habits {
		f.BoolP(name, name, false, "accepted for ssh's sake")
		f.MarkHidden(name)
	}
	for _, r := range refused {
		f.StringP(r.name, r.name, "", "refused")
		f.MarkHidden(r.name)
	}
}

// check refuses what the flag parser lets through.
func (o *options) check(f *pflag.FlagSet) error {
	if err := refuse(f); err != nil {
		return err
	}
	return asFlags(o.Check())
}

// refuse is an error for flags that make no sense whatever config.toml says.
func refuse(f *pflag.FlagSet) error {
	for _, r := range refused {
		if f.Changed(r.name) {
			return usagef("-"+r.name+" is not for pasvport", r.why)
		}
	}
	for _, name := range []string{"data", "tls", "tls-ca", "tls-server-name"} {
		if f.Changed(name) && f.Lookup(name).Value.String() == "" {
			return usagef(fmt.Sprintf("--%s is empty", name), "pasvport help flags tells what it is without the flag")
		}
	}
	return nil
}

// level is how much is logged.
func (o *options) level() slog.Level {
	switch o.Verbose {
	case 0:
		return slog.LevelWarn
	case 1:
		return slog.LevelInfo
	}
	return slog.LevelDebug
}

func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}

// refuseTunnelFlags is for commands that open no tunnel.
func refuseTunnelFlags(cmd *cobra.Command, _ []string) (err error) {
	cmd.InheritedFlags().VisitAll(func(f *pflag.Flag) {
		if f.Changed && err == nil {
			err = usagef(fmt.Sprintf("--%s is for opening a tunnel, and %s opens none", f.Name, cmd.CommandPath()))
		}
	})
	return err
}
