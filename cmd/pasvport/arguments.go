package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pasvport/pasvport/cmd/pasvport/internal/config"
)

// noArguments is for commands that take none.
func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return usagef(verbOf(cmd)+" takes no arguments", otherwiseReached(cmd)...)
}

// oneTunnel is for commands that take a tunnel's name.
func oneTunnel(cmd *cobra.Command, args []string) error {
	if len(args) == 1 && args[0] != "" {
		return nil
	}
	return usagef(verbOf(cmd)+" takes one tunnel", fmt.Sprintf("for example: pasvport %s prod", verbOf(cmd)))
}

// group is a command that is nothing without one of verbs.
func group(name, short, long string, verbs ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{Use: name, Short: short, Long: long, Args: cobra.ArbitraryArgs}
	var names []string
	for _, v := range verbs {
		names = append(names, v.Name())
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		hints := []string{fmt.Sprintf("pasvport %s --help tells what they do", name)}
		return usagef(fmt.Sprintf("%s wants one of %s, got %q", name, strings.Join(names, ", "), args), append(hints, otherwiseReached(cmd)...)...)
	}
	cmd.AddCommand(verbs...)
	return cmd
}

// verbOf is a command without the program's name.
func verbOf(cmd *cobra.Command) string {
	return strings.TrimPrefix(cmd.CommandPath(), cmd.Root().Name()+" ")
}

// otherwiseReached is a hint for who meant a host that is named like a command.
func otherwiseReached(cmd *cobra.Command) []string {
	if cmd.Parent() != cmd.Root() {
		return nil
	}
	return []string{fmt.Sprintf("a host of this name is reached as user@%s, or as pasvport -- %[1]s", cmd.Name())}
}

// misspelt is a hint for who may have meant a command by a word that was taken for a
// host.
func misspelt(root *cobra.Command, word string) []string {
	var names []string
	for _, c := range root.Commands() {
		if c.IsAvailableCommand() {
			names = append(names, c.Name())
		}
	}
	if near := config.Nearest(word, names); near != "" {
		return []string{fmt.Sprintf("did you mean the command %q?", "pasvport "+near)}
	}
	return nil
}
