package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/pasvport/pasvport/cmd/pasvport/internal/service"
)

const serviceHelp = `service hands the background agent to systemd, as a service of this user's: it
starts at login, opens the tunnels of config.toml that have autostart, and starts
anew if it fails. "pasvport up" needs none of this.

"loginctl enable-linger" has it start with the machine and stay when you log out.
Its log is shown by "journalctl --user -u pasvport". Settings of the service of
your own: "systemctl --user edit pasvport".`

func newServiceCmd() *cobra.Command {
	return group("service", "Have systemd start the agent at login", serviceHelp,
		newServiceVerb("install", "Install the service, enable it and start it", installService),
		newServiceVerb("uninstall", "Stop the service and remove it", uninstallService),
		newServiceVerb("status", "Tell how the service is; 0 only if it is active", printServiceStatus),
	)
}

func newServiceVerb(name, short string, do func(ctx context.Context, stdout io.Writer) error) *cobra.Command {
	return &cobra.Command{
		Use:               name,
		Short:             short,
		Args:              noArguments,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              func(cmd *cobra.Command, _ []string) error { return do(cmd.Context(), cmd.OutOrStdout()) },
	}
}

func installService(ctx context.Context, stdout io.Writer) error {
	program, err := ownPath()
	if err != nil {
		return err
	}
	folder, err := service.Install(ctx, program)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(stdout, "pasvport: %s in %s runs %s, now and at each login\n", service.Agent, folder, program)
	return err
}

func uninstallService(ctx context.Context, stdout io.Writer) error {
	if err := service.Uninstall(ctx); err != nil {
		return err
	}
	_, err := fmt.Fprintf(stdout, "pasvport: %s is stopped and removed\n", service.Agent)
	return err
}

func printServiceStatus(ctx context.Context, stdout io.Writer) error {
	s, err := service.Ask(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "%s: %s", service.Agent, s.State)
	for _, part := range []struct{ before, text string }{
		{" since ", s.Since}, {", pid ", s.PID}, {"\nsays: ", oneLine(s.Text)}, {"\nat login: ", s.Enabled}, {"\nunit: ", s.Unit},
	} {
		if part.text != "" {
			fmt.Fprint(stdout, part.before, part.text)
		}
	}
	if _, err := fmt.Fprintln(stdout); err != nil {
		return err
	}
	if !s.Active {
		return &reportedError{errors.New(s.State)}
	}
	return nil
}

// ownPath is this program's path, by the name in PATH if that leads here: what it
// links to may go with the next version.
func ownPath() (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("looking for this program's file: %w", err)
	}
	named, err := exec.LookPath(filepath.Base(os.Args[0]))
	if err != nil || !filepath.IsAbs(named) {
		return self, nil
	}
	a, errA := os.Stat(self)
	b, errB := os.Stat(named)
	if errA == nil && errB == nil && os.SameFile(a, b) {
		return named, nil
	}
	return self, nil
}

func foreignUnitHints(e *service.ForeignError) []string {
	return []string{fmt.Sprintf("look at it, and move it away if it is not needed: systemctl --user disable --now %s, then remove %q", filepath.Base(e.Path), e.Path)}
}

func noManagerHints(e *service.NoManagerError) []string {
	switch {
	case e.System == "darwin":
		return []string{"examples/org.pasvport.agent.plist is for launchd, and says how", "pasvport up works without a service manager"}
	case e.System == "windows":
		return []string{"examples/windows-task.xml is for the task scheduler, and says how", "pasvport up works without a service manager"}
	case errors.Is(e, exec.ErrNotFound):
		return []string{"pasvport up starts the agent without systemd", "other service managers run: pasvport agent run"}
	}
	return []string{
		"pasvport up starts the agent without systemd",
		"su and sudo give no such manager, a login on the console or by ssh does; `loginctl enable-linger` keeps it between logins",
	}
}

func systemctlHints(*service.CommandError) []string {
	return []string{"journalctl --user -n 20 -u pasvport tells more; pasvport agent run shows whether the agent starts at all"}
}

func runningAgentHints(*service.RunningError) []string {
	return []string{"pasvport agent stop, then this again: systemd starts an agent of its own"}
}
