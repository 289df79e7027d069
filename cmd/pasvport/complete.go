package main

import (
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pasvport/pasvport/cmd/pasvport/internal/config"
	"github.com/pasvport/pasvport/ftpmux"
)

// completeHost offers the configuration's hosts where a command wants one, also
// behind "user@". Names are read and not resolved: that might run the
// configuration's commands at each press of a key. What follows the host is a
// command's own.
func (o *options) completeHost(rest cobra.ShellCompDirective) cobra.CompletionFunc {
	return func(_ *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, rest
		}
		at := strings.LastIndexByte(word, '@') + 1
		return o.completions(word[:at], word[at:]), cobra.ShellCompDirectiveNoFileComp
	}
}

// completeJump does so for the last hop of -J.
func (o *options) completeJump(_ *cobra.Command, _ []string, word string) ([]string, cobra.ShellCompDirective) {
	at := strings.LastIndexAny(word, ",@") + 1
	return o.completions(word[:at], word[at:]), cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
}

// completions are the hosts that begin with start, behind prefix.
func (o *options) completions(prefix, start string) []string {
	names, err := o.resolver().Hosts()
	if err != nil {
		return nil // a shell has no place for it
	}
	var found []string
	for _, name := range names {
		if strings.HasPrefix(name, start) {
			found = append(found, prefix+name)
		}
	}
	return found
}

// completeFlags is for flags with a value. Those that are not here take a file.
func (o *options) completeFlags(cmd *cobra.Command) {
	cmd.RegisterFlagCompletionFunc("data", cobra.FixedCompletions([]string{
		string(ftpmux.Auto), string(ftpmux.Passive), string(ftpmux.Active),
	}, cobra.ShellCompDirectiveNoFileComp))
	cmd.RegisterFlagCompletionFunc("tls", cobra.FixedCompletions([]string{
		config.TLSRefuse, config.TLSUpstream,
	}, cobra.ShellCompDirectiveNoFileComp))
	cmd.RegisterFlagCompletionFunc("jump", o.completeJump)
	for _, name := range []string{"listen", "port", "login", "option", "grace", "tls-server-name"} {
		cmd.RegisterFlagCompletionFunc(name, cobra.NoFileCompletions)
	}
}

// completeUp offers the tunnels of config.toml, and the configuration's hosts.
func (o *options) completeUp(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
	all, rest := o.completeHost(cobra.ShellCompDirectiveNoFileComp)(cmd, args, word)
	tunnels, _ := completeConfigured(cmd, args, word)
	for _, name := range tunnels {
		if strings.HasPrefix(name, word) && !slices.Contains(all, name) {
			all = append(all, name)
		}
	}
	return all, rest
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

// completeConfigured offers the tunnels of config.toml.
func completeConfigured(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	file, err := loadConfig()
	if err != nil || len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return slices.Sorted(maps.Keys(file.Tunnels)), cobra.ShellCompDirectiveNoFileComp
}
