package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/pasvport/pasvport/cmd/pasvport/internal/api"
	"github.com/pasvport/pasvport/cmd/pasvport/internal/config"
	"github.com/pasvport/pasvport/cmd/pasvport/internal/prompt"
	"github.com/pasvport/pasvport/cmd/pasvport/internal/service"
	"github.com/pasvport/pasvport/ftpmux"
	"github.com/pasvport/pasvport/sshconf"
	"github.com/pasvport/pasvport/tunnel"
)

// usageError is a command line or configuration that makes no sense.
type usageError struct {
	text  string
	hints []string
}

func (e *usageError) Error() string { return e.text }

func usagef(text string, hints ...string) error {
	if hints == nil {
		hints = []string{"pasvport --help tells what it takes"}
	}
	return &usageError{text, hints}
}

// asFlags words a setting that cannot be as the command line has it.
func asFlags(err error) error {
	e, ok := errors.AsType[*config.SettingError](err)
	switch {
	case !ok:
		return err
	case len(e.Hint) == 0:
		return usagef(e.Text.Say(flagOf))
	}
	return usagef(e.Text.Say(flagOf), e.Hint.Say(flagOf))
}

// flagOf is the flag that a key of config.toml has.
func flagOf(key config.Key) string {
	switch key {
	case "listen":
		return "-L"
	case "ipv4":
		return "-4"
	case "ipv6":
		return "-6"
	case "gateway":
		return "-g"
	case "server":
		return "server" // it has none
	}
	return "--" + strings.ReplaceAll(string(key), "_", "-")
}

// listenError is a local port that cannot be had.
type listenError struct{ err error }

func (e *listenError) Error() string { return e.err.Error() }
func (e *listenError) Unwrap() error { return e.err }

// childError is the end of the command that exec ran; it has said why itself.
type childError struct{ code int }

func (e *childError) Error() string { return "" }

// notFoundError is a command for exec that there is not.
type notFoundError struct{ err error }

func (e *notFoundError) Error() string { return e.err.Error() }
func (e *notFoundError) Unwrap() error { return e.err }

// sshError is what the making of the SSH connection ended with, whatever it was,
// with what is known of this destination beside: hints that go before the usual
// ones, and after them.
type sshError struct {
	err           error
	before, after []string
}

func (e *sshError) Error() string { return e.err.Error() }
func (e *sshError) Unwrap() error { return e.err }

// stoppedError is the end that the user asked for.
type stoppedError struct{ text string }

func (e *stoppedError) Error() string { return e.text }
func (e *stoppedError) Unwrap() error { return context.Canceled }

// reportedError was told already, with its hints.
type reportedError struct{ err error }

func (e *reportedError) Error() string { return "" }
func (e *reportedError) Unwrap() error { return e.err }

// exitCode is what the program ends with; README and --help list the codes.
func exitCode(err error) int {
	if child, ok := errors.AsType[*childError](err); ok {
		return child.code
	}
	if agents, ok := errors.AsType[*api.Error](err); ok {
		return agents.Code
	}
	switch {
	case is[*usageError](err), is[*config.Error](err):
		return 2
	case is[*notFoundError](err):
		return 127 // as in a shell
	case is[*sshError](err), is[*tunnel.ConnectError](err), is[*tunnel.AuthError](err), is[*tunnel.HostKeyError](err),
		is[*tunnel.ProxyCommandError](err), is[*tunnel.LostError](err), errors.Is(err, context.Canceled):
		return 255
	}
	return 1 // SSH is well, what is behind or beside it is not
}

func is[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}

// explain is err as the agent tells it to its commands.
func explain(err error) *api.Error {
	if e, ok := errors.AsType[*api.Error](err); ok {
		return e
	}
	return &api.Error{Text: err.Error(), Hints: hints(err), Code: exitCode(err), Time: time.Now()}
}

// hints tells what the user can do about err, most useful first.
func hints(err error) []string {
	if errors.Is(err, context.Canceled) {
		return nil
	}
	var all []string
	known := false // of its kind, even if there is nothing to do
	for _, advise := range advice {
		if list, ok := advise(err); ok {
			all, known = list, true
			break
		}
	}
	if e, ok := errors.AsType[*sshError](err); ok {
		all = slices.Concat(e.before, all, e.after)
		if len(all) == 0 && !known {
			all = []string{"-v tells how far it came; --via-ssh lets the system's ssh make the connection"}
		}
	}
	return all
}

// advice is there for these kinds of error. The first of them that is in err
// decides: what wraps stands before what it may wrap, but where the cause has the
// better advice.
var advice = []func(error) ([]string, bool){
	on(func(e *usageError) []string { return e.hints }),
	on(func(e *api.Error) []string { return e.Hints }),
	on(configHints),
	noAgentHints,
	runningHints,
	on(hostKeyHints),
	on(authHints),
	on(proxyCommandHints),
	on(greetingHints),
	on(algorithmHints),
	on(viaSSHHints),
	on(connectHints),
	on(lostHints),
	dataHints,
	on(openHints),
	on(forwardHints),
	on(loginHints),
	on(notFTPHints),
	on(tlsHints),
	on(listenHints),
	on(foreignUnitHints),
	on(noManagerHints), // before the command that found there is none
	on(systemctlHints),
	on(runningAgentHints),
	on(noLogHints),
	on(unfiledLogHints),
	on(func(e *placeError) []string { return []string{e.hint} }),
	on(func(*service.NotInstalledError) []string { return []string{"pasvport service install installs it"} }),
	on(func(*notFoundError) []string {
		return []string{"the command after -- must be a program in PATH, or the path of one"}
	}),
}

func on[E error](advise func(E) []string) func(error) ([]string, bool) {
	return func(err error) ([]string, bool) {
		e, ok := errors.AsType[E](err)
		if !ok {
			return nil, false
		}
		return advise(e), true
	}
}

func runningHints(err error) ([]string, bool) {
	return []string{"pasvport status shows it, pasvport agent stop ends it"}, errors.Is(err, api.ErrRunning)
}

func noAgentHints(err error) ([]string, bool) {
	return []string{"pasvport up HOST starts one and opens a tunnel"}, errors.Is(err, api.ErrNoAgent)
}

func configHints(e *config.Error) []string {
	if len(e.Problems) == 1 {
		return nil
	}
	return []string{"pasvport config check lists all of them"}
}

func hostKeyHints(e *tunnel.HostKeyError) []string {
	switch {
	case strings.HasPrefix(e.File, "KnownHostsCommand"):
		return []string{"KnownHostsCommand in the SSH configuration says so; ask the server's owner for the fingerprint"}
	case e.Revoked:
		return []string{"this key must not be trusted any more; ask the server's owner for the new one"}
	case e.File != "" && e.Line == 0:
		return []string{"somebody may be listening in, or the server was set up anew: ask its owner for the fingerprint"}
	case e.File != "":
		return []string{
			"somebody may be listening in, or the server was set up anew: ask its owner for the fingerprint",
			fmt.Sprintf("if the change is right, `ssh-keygen -R %q -f %q` removes the old key, line %d", e.Addr, e.File, e.Line),
		}
	case e.Err != nil && !errors.Is(e.Err, prompt.ErrNobody):
		return []string{"ask the server's owner for the fingerprint"}
	}
	return []string{fmt.Sprintf("run `ssh %s` once and compare the fingerprint with its owner, or run pasvport on a terminal", e.Host)}
}

func authHints(e *tunnel.AuthError) []string {
	if errors.Is(e, tunnel.ErrPasswordExpired) {
		return []string{fmt.Sprintf("log in once with `ssh %s@%s` and change it", e.User, e.Host)}
	}
	return []string{
		fmt.Sprintf("if `ssh %s@%s` gets in, with the same flags, see which key it uses with -v; -i FILE names a key here, -l USER another user", e.User, e.Host),
		"--via-ssh lets the system's ssh log in, by every method that it has",
	}
}

// unaskedHints is for a login that failed, or a host key that was refused, where
// a question might have helped.
func unaskedHints(err error, h *sshconf.Host, canAsk bool) []string {
	key, isKey := errors.AsType[*tunnel.HostKeyError](err)
	nobody := errors.Is(err, prompt.ErrNobody)
	switch {
	case canAsk && !nobody, !is[*tunnel.AuthError](err) && !(isKey && key.File == "" && (key.Err == nil || nobody)):
		return nil
	case h.BatchMode:
		return []string{"BatchMode is on: nobody is asked for passwords and passphrases, or about host keys"}
	}
	return []string{"there is no terminal to ask questions on: `ssh-add FILE` hands a locked key to the agent, and with SSH_ASKPASS and SSH_ASKPASS_REQUIRE=force a program asks"}
}

// tunnelHints is for who gave the name of a tunnel of config.toml where a host is
// wanted, and there is none.
func tunnelHints(err error, name string) []string {
	if !is[*net.DNSError](err) {
		return nil
	}
	file, err := loadConfig()
	if err != nil {
		return nil
	}
	t, ok := file.Tunnels[name]
	if !ok || t.Host == name {
		return nil
	}
	return []string{fmt.Sprintf("%s is a tunnel of config.toml, to %s: pasvport up %[1]s opens it, and pasvport exec %[1]s goes through it then", name, t.Host)}
}

func proxyCommandHints(*tunnel.ProxyCommandError) []string {
	return []string{
		"ssh runs the same ProxyCommand: `ssh -v` tells whether it gets through; `pasvport -G` shows the command",
		"-J HOST, or ProxyJump in the configuration, goes through another SSH server without a command",
	}
}

func greetingHints(e *tunnel.GreetingError) []string {
	switch {
	case e.Protocol != "":
		return []string{"-p PORT, or Port in the configuration, names the port of the SSH server; the FTP server behind it is named by -L"}
	case e.Settings != "":
		return []string{fmt.Sprintf("wait a moment, or see %s in the server's sshd_config", e.Settings)}
	}
	return []string{
		"a server that ends the connection at once may have too many logins under way (MaxStartups), or this address on its list (PerSourcePenalties, fail2ban)",
		"something else than an SSH server may listen there: -p PORT picks another port",
	}
}

func algorithmHints(e *tunnel.AlgorithmError) []string {
	return []string{
		fmt.Sprintf("`-o %s=+NAME` adds an algorithm that the server has, if pasvport has it too", e.Keyword),
		"--via-ssh lets the system's ssh make the connection, with all that it has",
	}
}

func viaSSHHints(e *tunnel.ViaSSHError) []string {
	if errors.Is(e, exec.ErrNotFound) {
		return []string{"install OpenSSH's client (`apt-get install openssh-client`), or leave out --via-ssh"}
	}
	return []string{fmt.Sprintf("ssh itself has said why; `ssh -v %s` tells more", e.Host)}
}

func connectHints(e *tunnel.ConnectError) []string {
	dns, isDNS := errors.AsType[*net.DNSError](e.Err)
	var op net.Error
	errno, isErrno := errors.AsType[syscall.Errno](e.Err)
	hop, throughHop := errors.AsType[*tunnel.OpenError](e.Err)
	switch {
	case isDNS && dns.IsNotFound:
		return []string{fmt.Sprintf("is the name right? `pasvport -G %s` shows what the SSH configuration makes of it", e.Host)}
	case throughHop && hop.Reason == ssh.Prohibited:
		return []string{"on the jump host, see AllowTcpForwarding, PermitOpen and DisableForwarding in sshd_config, and restrict and permitopen= in authorized_keys"}
	case throughHop:
		return []string{fmt.Sprintf("it is the jump host that has to reach %s: the name and port must be right as seen from there", hop.Addr)}
	case errors.Is(e.Err, syscall.ECONNREFUSED):
		return []string{"no SSH server listens there; -p PORT picks another port"}
	case errors.As(e.Err, &op) && op.Timeout(), isErrno && errno != syscall.ECONNRESET:
		return []string{fmt.Sprintf("see whether `ssh %s` gets through; a firewall may be in the way", e.Host)}
	}
	return []string{fmt.Sprintf("see whether `ssh %s` gets through", e.Host)}
}

// lostHints has none: the next connection is made when it is needed.
func lostHints(*tunnel.LostError) []string { return nil }

func openHints(e *tunnel.OpenError) []string {
	allowed := "on the SSH server, see AllowTcpForwarding, PermitOpen and DisableForwarding in sshd_config, and restrict, port-forwarding and permitopen= in authorized_keys"
	there := []string{
		fmt.Sprintf("is an FTP server running at %s, as seen from the SSH server?", e.Addr),
		"-L 2121:HOST:PORT names another FTP server",
	}
	switch e.Reason {
	case ssh.Prohibited:
		return []string{allowed}
	case 0: // not told
		return append(there, allowed)
	}
	return there
}

// dataHints is for a data port that sshd does not allow, where it allowed the
// FTP server's own.
func dataHints(err error) ([]string, bool) {
	open, ok := errors.AsType[*tunnel.OpenError](err)
	if !ok || !is[*dataError](err) || open.Reason != ssh.Prohibited {
		return nil, false
	}
	host, _, _ := net.SplitHostPort(open.Addr)
	return []string{fmt.Sprintf("PermitOpen in sshd_config, or permitopen= in authorized_keys, has to list the FTP server's passive ports as well; `%s` lists all", net.JoinHostPort(host, "*"))}, true
}

func forwardHints(*tunnel.ForwardError) []string {
	return []string{
		"on the SSH server, see AllowTcpForwarding, PermitListen and DisableForwarding in sshd_config, and restrict and permitlisten= in authorized_keys",
		"--data passive does without: the FTP server is then asked for a passive port",
	}
}

func notFTPHints(e *ftpmux.NotFTPError) []string {
	return []string{
		fmt.Sprintf("%s is an address as the SSH server sees it; -L 2121:HOST:PORT names another", e.Addr),
		"a server of FTP inside TLS from the first byte (port 990) cannot be used",
	}
}

func listenHints(e *listenError) []string {
	switch {
	case errors.Is(e, syscall.EADDRINUSE):
		return []string{"something listens there already; -L 2122 takes another port, -L 0 any free one"}
	case errors.Is(e, syscall.EACCES):
		return []string{"ports below 1024 are for root; -L 2121 takes another one"}
	}
	return []string{"-L [bind:]port takes an address of this machine"}
}
