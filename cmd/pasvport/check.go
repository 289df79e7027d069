package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/crypto/ssh"

	"github.com/pasvport/pasvport/cmd/pasvport/internal/config"
	"github.com/pasvport/pasvport/ftpmux"
	"github.com/pasvport/pasvport/sshconf"
	"github.com/pasvport/pasvport/tunnel"
)

const checkHelp = `check walks the way that an FTP session takes, and tells of each step whether it
works: name, TCP connection, host key and authentication of each SSH server on
the way, whether sshd forwards to the FTP server, its greeting, a login, and a
listing in passive and in active mode. It stops at the first step that fails and
names the mend. Nothing is changed on the server.

-L names the FTP server as for a tunnel; what it says of this machine is not
used. --ftp-user logs in to the FTP server with a password that is asked for, or
that PASVPORT_FTP_PASSWORD holds; without --ftp-user it asks for both, or is
anonymous where there is no terminal.

Exit codes: 0 FTP through the tunnel works, 1 it does not, 2 bad command line or
configuration, 255 SSH does not.

With --json it prints {"host", "ftp_server", "ok", "steps": [{"name", "host",
"status", "detail", "error", "hints"}, ...]}. The names are dns, tcp, proxy,
master, hostkey and auth, with the SSH server in host; then forwarding, banner,
login, passive and active, without. status is ok, failed or skipped. proxy
stands for dns and tcp where something else makes the connection, master for all
steps of SSH where a running ssh is used. What does not apply is left out; more
fields may come.`

// checkFlags are those that only check has.
type checkFlags struct {
	ftpUser string
	json    bool
}

func newCheckCmd(o *options) *cobra.Command {
	var flags checkFlags
	cmd := &cobra.Command{
		Use:   "check [user@]host",
		Short: "Walk the whole way to the FTP server and name what is wrong",
		Long:  checkHelp,
		Example: `  pasvport check prod
  pasvport check --ftp-user anna -L 2121:10.0.0.5 prod`,
		Args:              cobra.ArbitraryArgs,
		ValidArgsFunction: o.completeHost(cobra.ShellCompDirectiveNoFileComp),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usagef("check takes one host", "for example: pasvport check prod; a host of this name is reached as user@check, or as pasvport -- check")
			}
			return o.checkWay(cmd.Context(), args[0], flags, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	cmd.Flags().StringVar(&flags.ftpUser, "ftp-user", "", "log in to the FTP server as `name`")
	cmd.Flags().BoolVar(&flags.json, "json", false, "print JSON, for programs")
	cmd.RegisterFlagCompletionFunc("ftp-user", cobra.NoFileCompletions)
	return cmd
}

// checkWay walks to the FTP server behind destination and reports.
func (o *options) checkWay(ctx context.Context, destination string, flags checkFlags, stdout, stderr io.Writer) error {
	server, err := o.checkedServer()
	if err != nil {
		return err
	}
	r := &report{Server: server}
	s, err := o.prepare(destination, o.means(stderr, r.stage))
	if err != nil {
		return err
	}
	defer s.ssh.Close()
	r.Host = s.host.Alias
	r.way, r.via = s.way(), o.ViaSSH
	if !flags.json {
		r.out = stdout
	}
	ctx, stop := s.stopOnSignal(ctx)
	defer stop()

	if err := s.connect(ctx); err != nil {
		r.failSSH(unlessStopped(ctx, err, "stopped"))
	} else {
		r.connected()
		s.checkFTP(ctx, r, flags.ftpUser)
	}
	r.OK = r.err == nil
	if flags.json {
		if err := printJSON(stdout, r); err != nil {
			return err
		}
	}
	if r.err != nil {
		return &reportedError{r.err}
	}
	return nil
}

// checkedServer is the FTP server that is meant. What -L says of this machine is not
// used.
func (o *options) checkedServer() (string, error) {
	if len(o.Listen) > 1 {
		return "", usagef("check takes one -L", "it checks one FTP server at a time")
	}
	anywhere := options{o.Tunnel}
	anywhere.Gateway = true
	forwards, err := anywhere.parseForwards(config.DefaultBind)
	if err != nil {
		return "", err
	}
	return forwards[0].Server, nil
}

// way lists the SSH servers on the way, the destination last. Where hops cannot be
// resolved it is the destination alone, for Connect says why.
func (s *serving) way() []*sshconf.Host {
	hosts, err := tunnel.Route(s.host, s.jump)
	if err != nil || s.ViaSSH { // the hops are ssh's business then
		return []*sshconf.Host{s.host}
	}
	return hosts
}

// sshSteps are the steps to the i-th server of the way, as far as they can be
// known before.
func (r *report) sshSteps(i int) []string {
	h := r.way[i]
	_, notAddress := netip.ParseAddr(h.HostName)
	switch {
	case r.via:
		return []string{"master"}
	case i == 0 && h.ProxyCommand != "":
		return []string{"proxy", "hostkey", "auth"}
	case i > 0, notAddress == nil:
		return []string{"tcp", "hostkey", "auth"}
	}
	return []string{"dns", "tcp", "hostkey", "auth"}
}

// failSSH finds the step that err, of Connect, belongs to, and skips the rest.
func (r *report) failSSH(err error) {
	if !is[*tunnel.ProxyCommandError](err) {
		r.tellProxy()
	}
	at := len(r.way) - 1
	host := failedHost(err)
	for i, h := range r.way {
		if h.Alias == host {
			at = i
			break
		}
	}
	failed := r.failedStep(at, err)
	r.fail(r.way[at].Alias, failed, err)
	left := false
	for i := at; i < len(r.way); i++ {
		for _, name := range r.sshSteps(i) {
			if left {
				r.skip(r.way[i].Alias, name)
			}
			left = left || name == failed
		}
		left = true
	}
	r.skip("", "forwarding", "banner", "login", "passive", "active")
}

// failedHost is the server of the way that err is about; "" if it does not say.
func failedHost(err error) string {
	if e, ok := errors.AsType[*tunnel.HostKeyError](err); ok {
		return e.Host
	}
	if e, ok := errors.AsType[*tunnel.AuthError](err); ok {
		return e.Host
	}
	if e, ok := errors.AsType[*tunnel.ConnectError](err); ok {
		return e.Host
	}
	return ""
}

// failedStep is the step of the server that err is about: what it tells itself,
// and else the first that was not passed.
func (r *report) failedStep(at int, err error) string {
	switch {
	case r.via:
		return "master"
	case is[*tunnel.HostKeyError](err):
		return "hostkey"
	case is[*tunnel.AuthError](err):
		return "auth"
	case is[*tunnel.ProxyCommandError](err) && !r.passed(r.way[at].Alias, "proxy"):
		return "proxy"
	case is[*net.DNSError](err):
		return "dns"
	case is[syscall.Errno](err) && !r.passed(r.way[at].Alias, "tcp"):
		return "tcp"
	}
	steps := r.sshSteps(at)
	for _, name := range steps {
		if !r.passed(r.way[at].Alias, name) {
			return name
		}
	}
	return steps[len(steps)-1]
}

// checkFTP walks from the end of SSH to the end of FTP.
func (s *serving) checkFTP(ctx context.Context, r *report, user string) {
	far := &watched{Remote: s.ssh}
	c := &ftpCheck{far: far, mux: s.mux(far, r.Server)}
	if s.Verbose == 0 {
		c.mux.Logger = slog.New(slog.DiscardHandler) // the steps tell what went wrong
	}
	defer c.close()
	prompts := s.prompts
	if s.host.BatchMode {
		prompts = nil
	}
	steps := []struct {
		name string
		walk func(context.Context) (detail string, err error)
	}{
		{"forwarding", c.forwarding},
		{"banner", c.banner},
		{"login", func(ctx context.Context) (string, error) { return c.login(ctx, user, prompts) }},
		{"passive", c.passive},
		{"active", c.active},
	}
	for _, step := range steps {
		if r.err != nil {
			r.skip("", step.name)
			continue
		}
		detail, err := step.walk(ctx)
		if err = unlessStopped(ctx, err, "stopped"); err != nil {
			r.fail("", step.name, err)
		} else {
			r.ok("", step.name, detail)
		}
	}
}

// refusedBeyond tells that sshd tried to reach the server, and could not.
func refusedBeyond(err error) bool {
	e, ok := errors.AsType[*tunnel.OpenError](err)
	return ok && e.Reason == ssh.ConnectionFailed
}

// A loginError is the FTP server's refusal of a user.
type loginError struct {
	user string
	err  error
}

func (e *loginError) Error() string {
	return fmt.Sprintf("logging in to the FTP server as %s: %v", e.user, e.err)
}
func (e *loginError) Unwrap() error { return e.err }

func loginHints(e *loginError) []string {
	if ftpmux.DemandsTLS(e.err.Error()) {
		return []string{"the server lets nobody in without TLS: --tls upstream speaks it"}
	}
	return []string{"--ftp-user NAME logs in as another user; the password is asked for, or taken from " + passwordVariable}
}
