package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/pasvport/pasvport/sshconf"
)

const hostsHelp = `hosts lists the hosts that the SSH configuration names, without those that are
patterns, and where each leads: who logs in where, and through what. It connects
to nothing.

With --json it prints {"hosts": [{"name", "user", "hostname", "port", "jump",
"proxy_command", "control_path", "error"}, ...]}: jump is a list in the order of
the hops, control_path a socket that is there now. What does not apply is left
out, and where error is there, only name is beside it.`

// resolvers is how many hosts are resolved at once: canonicalisation may ask a
// name server.
const resolvers = 16

// row is one host of the list, and its form for programs.
type row struct {
	Name         string   `json:"name"`
	User         string   `json:"user,omitempty"`
	HostName     string   `json:"hostname,omitempty"`
	Port         int      `json:"port,omitempty"`
	Jump         []string `json:"jump,omitempty"`
	ProxyCommand string   `json:"proxy_command,omitempty"`
	ControlPath  string   `json:"control_path,omitempty"`
	Error        string   `json:"error,omitempty"`
}

func newHostsCmd(o *options) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:               "hosts",
		Short:             "List the hosts of the SSH configuration",
		Long:              hostsHelp,
		Args:              noArguments,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			rows, err := o.hosts()
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), map[string]any{"hosts": rows})
			}
			if len(rows) == 0 {
				fmt.Fprintln(cmd.ErrOrStderr(), "pasvport: the SSH configuration names no hosts")
			}
			return printHosts(cmd.OutOrStdout(), rows)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON, for programs")
	return cmd
}

// hosts resolves all that the configuration names.
func (o *options) hosts() ([]row, error) {
	resolver := o.resolver()
	names, err := resolver.Hosts()
	if err != nil {
		return nil, usagef(err.Error())
	}
	rows := make([]row, len(names))
	var group errgroup.Group
	group.SetLimit(resolvers)
	for i, name := range names {
		group.Go(func() error {
			rows[i] = newRow(resolver, name)
			return nil
		})
	}
	group.Wait()
	return rows, nil
}

func newRow(resolver *sshconf.Resolver, name string) row {
	h, err := resolver.Resolve(name)
	if err != nil {
		return row{Name: name, Error: err.Error()}
	}
	r := row{Name: name, User: h.User, HostName: h.HostName, Port: h.Port, Jump: h.ProxyJump, ProxyCommand: h.ProxyCommand}
	if fi, err := os.Stat(h.ControlPath); err == nil && fi.Mode()&os.ModeSocket != 0 {
		r.ControlPath = h.ControlPath
	}
	return r
}

// printHosts is the list for people, a line each.
func printHosts(w io.Writer, rows []row) error {
	var names, leads int
	for _, r := range rows {
		names = max(names, utf8.RuneCountInString(r.Name))
		if r.Error == "" {
			leads = max(leads, utf8.RuneCountInString(r.leads()))
		}
	}
	for _, r := range rows {
		line := fmt.Sprintf("%-*s  %-*s  %s", names, r.Name, leads, r.leads(), r.via())
		if _, err := fmt.Fprintln(w, strings.TrimRight(line, " ")); err != nil {
			return err
		}
	}
	return nil
}

func (r row) leads() string {
	if r.Error != "" {
		return "error: " + oneLine(r.Error)
	}
	return r.User + "@" + net.JoinHostPort(r.HostName, strconv.Itoa(r.Port))
}

// via is what stands between: a live master before all, as in ssh.
func (r row) via() string {
	switch {
	case r.ControlPath != "":
		return "master " + oneLine(r.ControlPath)
	case len(r.Jump) > 0:
		return "jump " + strings.Join(r.Jump, ", ")
	case r.ProxyCommand != "":
		return "proxy " + oneLine(r.ProxyCommand)
	}
	return ""
}
