package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"

	"golang.org/x/crypto/ssh"

	"github.com/pasvport/pasvport/ftpmux"
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

// exitCode is what the program ends with; README and --help list the codes.
func exitCode(err error) int {
	if child, ok := errors.AsType[*childError](err); ok {
		return child.code
	}
	switch {
	case is[*usageError](err):
		return 2
	case is[*notFoundError](err):
		return 127 // as in a shell
	case is[*tunnel.ConnectError](err), is[*tunnel.AuthError](err), is[*tunnel.HostKeyError](err),
		is[*tunnel.LostError](err), errors.Is(err, context.Canceled):
		return 255
	}
	return 1 // SSH is well, what is behind or beside it is not
}

func is[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}

// hints tells what the user can do about err, most useful first.
func hints(err error) []string {
	if errors.Is(err, context.Canceled) {
		return nil
	}
	if e, ok := errors.AsType[*usageError](err); ok {
		return e.hints
	}
	if e, ok := errors.AsType[*tunnel.HostKeyError](err); ok {
		return hostKeyHints(e)
	}
	if e, ok := errors.AsType[*tunnel.AuthError](err); ok {
		return []string{
			fmt.Sprintf("if `ssh %s@%s` gets in, see which key it uses with -v; -i FILE names a key here, -l USER another user", e.User, e.Host),
		}
	}
	if e, ok := errors.AsType[*tunnel.ConnectError](err); ok {
		return connectHints(e)
	}
	if e, ok := errors.AsType[*tunnel.OpenError](err); ok {
		return openHints(e)
	}
	if e, ok := errors.AsType[*ftpmux.NotFTPError](err); ok {
		return []string{
			fmt.Sprintf("%s is an address as the SSH server sees it; -L 2121:HOST:PORT names another", e.Addr),
			"a server of FTP inside TLS from the first byte (port 990) cannot be used",
		}
	}
	if is[*listenError](err) {
		switch {
		case errors.Is(err, syscall.EADDRINUSE):
			return []string{"something listens there already; -L 2122 takes another port, -L 0 any free one"}
		case errors.Is(err, syscall.EACCES):
			return []string{"ports below 1024 are for root; -L 2121 takes another one"}
		}
		return []string{"-L [bind:]port takes an address of this machine"}
	}
	if is[*notFoundError](err) {
		return []string{"the command after -- must be a program in PATH, or the path of one"}
	}
	return nil
}

func hostKeyHints(e *tunnel.HostKeyError) []string {
	switch {
	case e.Revoked:
		return []string{"this key must not be trusted any more; ask the server's owner for the new one"}
	case e.File != "":
		return []string{
			"somebody may be listening in, or the server was set up anew: ask its owner for the fingerprint",
			fmt.Sprintf("if the change is right, `ssh-keygen -R %q -f %q` removes the old key, line %d", e.Addr, e.File, e.Line),
		}
	case e.Err != nil:
		return []string{"ask the server's owner for the fingerprint"}
	}
	return []string{fmt.Sprintf("run `ssh %s` once and compare the fingerprint with its owner, or run pasvport on a terminal", e.Host)}
}

func connectHints(e *tunnel.ConnectError) []string {
	dns, isDNS := errors.AsType[*net.DNSError](e.Err)
	switch {
	case is[*tunnel.ProxyCommandError](e.Err):
		return []string{fmt.Sprintf("`ssh -G %s` shows the ProxyCommand in force; it has to reach the SSH server when run by hand", e.Host)}
	case isDNS && dns.IsNotFound:
		return []string{fmt.Sprintf("is the name right? `ssh -G %s` shows what ~/.ssh/config makes of it", e.Host)}
	case errors.Is(e.Err, syscall.ECONNREFUSED):
		return []string{"no SSH server listens there; -p PORT picks another port"}
	}
	return []string{fmt.Sprintf("see whether `ssh %s` gets through", e.Host)}
}

func openHints(e *tunnel.OpenError) []string {
	if e.Reason == ssh.Prohibited {
		return []string{"on the SSH server, see AllowTcpForwarding and PermitOpen in sshd_config, and permitopen= and restrict in authorized_keys"}
	}
	return []string{
		fmt.Sprintf("is an FTP server running at %s, as seen from the SSH server?", e.Addr),
		"-L 2121:HOST:PORT names another FTP server",
	}
}
