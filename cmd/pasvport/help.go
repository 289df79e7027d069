package main

import (
	"strings"

	"github.com/spf13/cobra"
)

// help is what "pasvport --help" prints: it has to fit a screen of 24 lines.
const help = `pasvport lets any FTP client talk to an FTP server behind an SSH server, with
nothing outside the SSH connection. HOST is what you would give ssh.

  pasvport up HOST               open a tunnel in the background
  pasvport status                see what is up; --json for programs
  pasvport down HOST             close it

Once up, FTP clients connect to 127.0.0.1 port 2121; -L 2122 takes another port.

  pasvport HOST                  a tunnel in the foreground, until Ctrl-C
  pasvport exec HOST -- lftp {}  a tunnel for the length of one command
  pasvport check HOST            walk the whole way and name what is wrong
  pasvport top                   watch tunnels, sessions and transfers live
  pasvport hosts                 the hosts of ~/.ssh/config
  pasvport restart|reload|logs   more for tunnels in the background
  pasvport config|service|agent  config.toml, systemd, the background agent

Flags are ssh's (-p -i -l -J -F -o -4 -6 -g -G -f -v) and more: "pasvport help
flags". Each command tells more with --help. A host that is named like a command
is reached as user@NAME, or as "pasvport -- NAME".
`

const flagsHelp = `The flags of a tunnel go with pasvport HOST, exec, check, up and restart. In
config.toml each has a key of the same name, with _ for -.

%s
pasvport HOST alone has:

%s
`

const codesHelp = `Exit codes: 0 all went well, or stopped as asked; 1 something failed; 2 bad
command line or configuration; 255 SSH failed. exec ends with its command's.
`

// newFlagsTopic is "pasvport help flags".
func newFlagsTopic() *cobra.Command {
	topic := &cobra.Command{Use: "flags", Short: "The flags of a tunnel, and exit codes", Hidden: true}
	topic.SetHelpFunc(func(cmd *cobra.Command, _ []string) {
		root := cmd.Root()
		cmd.Printf(flagsHelp+codesHelp, root.PersistentFlags().FlagUsagesWrapped(wide), root.LocalNonPersistentFlags().FlagUsagesWrapped(wide))
	})
	return topic
}

// wide is how long a line of the flags' help may be.
const wide = 100

// setHelp has root and the commands below it tell what they take, and no more.
func setHelp(root *cobra.Command) {
	usage := root.UsageTemplate()
	usage = strings.ReplaceAll(usage, "{{if .HasAvailableInheritedFlags}}\n\nGlobal Flags:\n{{.InheritedFlags.FlagUsages | trimTrailingWhitespaces}}{{end}}",
		"{{if .HasAvailableInheritedFlags}}\n\n\"pasvport help flags\" lists the flags of a tunnel, and exit codes.{{end}}")
	root.SetUsageTemplate(usage)
	others := root.HelpFunc()
	root.SetHelpFunc(func(cmd *cobra.Command, args []string) {
		if cmd == root {
			cmd.Print(help)
			return
		}
		others(cmd, args)
	})
}
