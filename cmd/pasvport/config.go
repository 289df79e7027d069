package main

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pasvport/pasvport/cmd/pasvport/internal/config"
)

const configHelp = `config.toml holds the tunnels that stay: "pasvport up NAME" opens [tunnel.NAME], and
the agent opens those with autostart by itself. Each flag of a tunnel has a key of
the same name in it, with _ for -. A running agent reads it at its start, and by
"pasvport reload".

It is ~/.config/pasvport/config.toml, or where XDG_CONFIG_HOME says;
%APPDATA%\pasvport\config.toml on Windows.`

const configCheckHelp = `check reads config.toml, or FILE, and tells of each problem where it is, as
file:line:column. It connects to nothing, and looks for no file that is named in it.
It ends with 2 if there is a problem, or no such file.`

const configShowHelp = `show prints the settings of config.toml with what is in effect where it says
nothing, as TOML; of the tunnel NAME alone if that is given. A running agent may
not have read the file's last changes yet: "pasvport reload" has it do so.`

func newConfigCmd() *cobra.Command {
	path := &cobra.Command{
		Use:               "path",
		Short:             "Print where config.toml belongs",
		Args:              noArguments,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintln(cmd.OutOrStdout(), config.Path())
			return err
		},
	}
	check := &cobra.Command{
		Use:   "check [FILE]",
		Short: "Tell what is wrong in config.toml, with line and column",
		Long:  configCheckHelp,
		Args:  cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usagef(fmt.Sprintf("config check takes one file, got %q", args))
			}
			return checkConfig(cmd, append(args, config.Path())[0])
		},
	}
	show := &cobra.Command{
		Use:               "show [NAME]",
		Short:             "Print the settings in effect, defaults included",
		Long:              configShowHelp,
		Args:              cobra.ArbitraryArgs,
		ValidArgsFunction: completeConfigured,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usagef(fmt.Sprintf("config show takes one tunnel, got %q", args))
			}
			return showConfig(cmd, args)
		},
	}
	return group("config", "Find, check and show config.toml", configHelp, path, check, show)
}

// checkConfig tells each problem of the file at path, or how many tunnels are in it.
func checkConfig(cmd *cobra.Command, path string) error {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return usagef(fmt.Sprintf("there is no %s", path), "pasvport needs none: hosts of ~/.ssh/config work without it")
	}
	file, err := config.Load(path)
	if e, ok := errors.AsType[*config.Error](err); ok {
		for _, line := range e.Lines() {
			fmt.Fprintln(cmd.ErrOrStderr(), line)
		}
		return &reportedError{err}
	} else if err != nil {
		return err
	}
	n, s := len(file.Tunnels), "s"
	if n == 1 {
		s = ""
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "pasvport: %s is good, with %d tunnel%s\n", path, n, s)
	return err
}

// showConfig prints config.toml's settings, or those of the one tunnel that is named.
func showConfig(cmd *cobra.Command, names []string) error {
	file, err := loadConfig()
	if err != nil {
		return err
	}
	show := file.TOML
	if len(names) > 0 {
		t, ok := file.Tunnels[names[0]]
		if !ok {
			return noTunnel(file, names[0])
		}
		show = func() ([]byte, error) { return t.TOML(names[0]) }
	}
	text, err := show()
	if err != nil {
		return err
	}
	_, err = cmd.OutOrStdout().Write(text)
	return err
}

// noTunnel is for a name that is not in the file.
func noTunnel(file *config.File, name string) error {
	text := fmt.Sprintf("there is no [tunnel.%s] in %s", name, file.Path)
	names := slices.Sorted(maps.Keys(file.Tunnels))
	if len(names) == 0 {
		return usagef(text, "there are none in it")
	}
	return usagef(text, "the tunnels in it are "+strings.Join(names, ", "))
}

// loadConfig reads config.toml.
func loadConfig() (*config.File, error) { return config.Load(config.Path()) }
