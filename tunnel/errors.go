package tunnel

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"strconv"
	"strings"
	"unicode"

	"golang.org/x/crypto/ssh"

	"github.com/pasvport/pasvport/sshconf"
)

// A ConnectError tells that no SSH connection could be made to a host: no
// address, no TCP connection, no SSH server behind it, or too slow.
type ConnectError struct {
	Host string // as in the configuration
	Addr string // what was dialled, numeric where known
	Err  error
}

func (e *ConnectError) Error() string {
	return fmt.Sprintf("connecting to %s (%s): %v", e.Host, e.Addr, e.Err)
}

func (e *ConnectError) Unwrap() error { return e.Err }

// An AuthError tells that the server let none of our identities in.
type AuthError struct {
	User, Host string
	// Tried names what was offered or why it was not, in order: keys with
	// file or comment and fingerprint, then the other methods.
	Tried []string
	// Allowed are the methods that the server would still take; nil if it did not say.
	Allowed []string
	Err     error

	cut bool // the connection ended; what was refused, if anything, is not known
}

func (e *AuthError) Error() string {
	tried, takes := "nothing to offer", ""
	if len(e.Tried) > 0 {
		tried = "tried " + strings.Join(e.Tried, ", ")
	}
	if len(e.Allowed) > 0 {
		takes = "; the server takes " + clean(strings.Join(e.Allowed, ", "))
	}
	return fmt.Sprintf("logging in to %s as %s: %s%s: %s", e.Host, e.User, tried, takes, clean(e.Err.Error()))
}

func (e *AuthError) Unwrap() error { return e.Err }

// A HostKeyError tells that the server's host key was refused. It is unknown when
// File is empty and Err nil; else it conflicts with, or is revoked by, that line.
type HostKeyError struct {
	Host        string // as in the configuration
	Addr        string // as known_hosts writes it
	KeyType     string
	Fingerprint string // SHA256:...
	File        string // of the line that speaks against the key
	Line        int    // 0 for a file without lines
	Known       string // the type of the key in that line, when it is another key
	Revoked     bool
	Err         error // what else was wrong: a bad certificate, a question without an answer
}

func (e *HostKeyError) Error() string {
	key := fmt.Sprintf("host key of %s (%s %s)", e.Addr, e.KeyType, e.Fingerprint)
	if e.KeyType == "" { // none was seen yet
		key = "host key of " + e.Addr
	}
	switch {
	case e.Revoked:
		return fmt.Sprintf("%s is revoked by %s", key, place(e.File, e.Line))
	case e.File != "":
		text := fmt.Sprintf("%s is not the one in %s", key, place(e.File, e.Line))
		if e.Known != "" && e.Known != e.KeyType {
			text += ", which is " + e.Known
		}
		if e.Err != nil {
			text += "; " + e.Err.Error()
		}
		return text
	case e.Err != nil:
		return fmt.Sprintf("%s is refused: %v", key, e.Err)
	}
	return key + " is unknown"
}

func (e *HostKeyError) Unwrap() error { return e.Err }

// An OpenError is the server's refusal to open a stream (RFC 4254, section 5.1).
type OpenError struct {
	Addr    string
	Reason  ssh.RejectionReason // 0 if not known: ssh's master does not tell
	Message string              // the server's words, or the master's
	Others  bool                // it has opened streams to other addresses over this connection
	Err     error
}

// Error names the settings of sshd_config and authorized_keys that refuse: a
// server that has opened others goes by a list of what it opens.
func (e *OpenError) Error() string {
	switch e.Reason {
	case ssh.Prohibited:
		if e.Others {
			return fmt.Sprintf("sshd allows connections to listed ports only, and not to %s (PermitOpen or permitopen=)", e.Addr)
		}
		return fmt.Sprintf("sshd does not allow a connection to %s (AllowTcpForwarding, PermitOpen, DisableForwarding, or restrict or permitopen= in authorized_keys)", e.Addr)
	case ssh.ConnectionFailed:
		return fmt.Sprintf("sshd cannot connect to %s: %s", e.Addr, clean(e.Message))
	case 0:
		return fmt.Sprintf("sshd opens no channel to %s, and ssh's master does not tell why: %s", e.Addr, clean(e.Message))
	}
	return fmt.Sprintf("sshd opens no channel to %s: %v: %s", e.Addr, e.Reason, clean(e.Message))
}

func (e *OpenError) Unwrap() error { return e.Err }

// A ForwardError is the server's refusal to listen for us, for which it gives no
// reason, or our own not to ask for it, for that in Err.
type ForwardError struct {
	Addr string
	Err  error // nil if the server refused
}

func (e *ForwardError) Unwrap() error { return e.Err }

func (e *ForwardError) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("sshd cannot listen on %s for us: %v", e.Addr, e.Err)
	}
	return fmt.Sprintf("sshd does not listen on %s for us (AllowTcpForwarding, PermitListen, DisableForwarding, restrict, or the port is taken)", e.Addr)
}

// A LostError tells that the SSH connection under a stream or listener is gone,
// or cannot be shown to be alive. It is an io.ErrUnexpectedEOF, and never io.EOF.
type LostError struct {
	Host string
	Err  error // why; net.ErrClosed when the tunnel was closed on this side
}

func (e *LostError) Error() string {
	return fmt.Sprintf("SSH connection to %s lost: %s", e.Host, clean(e.Err.Error()))
}

func (e *LostError) Unwrap() []error { return []error{io.ErrUnexpectedEOF, e.Err} }

// A ProxyCommandError tells how a ProxyCommand failed to be a connection. It is
// the cause of a [ConnectError], or of a [LostError] when it ended later.
type ProxyCommandError struct {
	Command string
	Code    int      // what it exited with; -1 if it did not
	Stderr  []string // its last lines
	Err     error    // how it ended, or why it had to
}

func (e *ProxyCommandError) Error() string {
	text := fmt.Sprintf("ProxyCommand %s: %v", brief(e.Command), e.Err)
	if len(e.Stderr) > 0 {
		text += "; it says: " + strings.Join(e.Stderr, " / ")
	}
	return text
}

func (e *ProxyCommandError) Unwrap() error { return e.Err }

// A GreetingError tells that something was reached which did not begin as an SSH
// server does. It is the cause of a [ConnectError].
type GreetingError struct {
	Said     string // the beginning of its words, made fit for one line; may be ""
	Protocol string // what it speaks instead of SSH, or ""
	Settings string // of sshd_config that have sshd say this, or ""
	Err      error  // how it ended
}

func (e *GreetingError) Error() string {
	switch {
	case e.Protocol != "" && e.Said != "":
		return fmt.Sprintf("no SSH server but one of %s: it says: %s", e.Protocol, e.Said)
	case e.Protocol != "":
		return "no SSH server but one of " + e.Protocol
	case e.Settings != "":
		return fmt.Sprintf("the server says: %s (see %s in sshd_config)", e.Said, e.Settings)
	case e.Said != "":
		return fmt.Sprintf("the server says: %s; %v", e.Said, e.Err)
	}
	return fmt.Sprintf("the server says nothing: %v", e.Err)
}

func (e *GreetingError) Unwrap() error { return e.Err }

// An AlgorithmError tells that the configuration leaves no algorithm to offer, or
// that the server has none of those offered. It is the cause of a [ConnectError].
type AlgorithmError struct {
	Keyword string   // of ssh_config(5): KexAlgorithms, Ciphers, MACs or HostKeyAlgorithms
	Said    string   // what the configuration says there, or ""
	Ours    []string // offered; or when nothing is left to offer, all that there are
	Theirs  []string // the server's; nil if it was not asked
	Err     error    // nil if it was not asked
}

func (e *AlgorithmError) Error() string {
	ours := strings.Join(e.Ours, ",")
	if e.Err == nil {
		return fmt.Sprintf("%s %s leaves nothing to offer; supported are %s", e.Keyword, brief(e.Said), ours)
	}
	return fmt.Sprintf("no algorithm in common (%s): we offer %s, the server has %s",
		e.Keyword, ours, clean(strings.Join(e.Theirs, ",")))
}

func (e *AlgorithmError) Unwrap() error { return e.Err }

var (
	errPeerClosed = errors.New("the server closed the connection")
	errStuck      = errors.New("the SSH library has locked itself up in a key exchange")
	errNotYet     = errors.New("the connection is not up yet")
	errSilent     = fmt.Errorf("no answer to keepalives: %w", os.ErrDeadlineExceeded)
)

// noEOF keeps io.EOF out of an error's chain, where it would pass for a clean end.
func noEOF(err error) error {
	switch {
	case !errors.Is(err, io.EOF):
		return err
	case err == io.EOF:
		return errPeerClosed
	}
	return errors.New(strings.TrimSuffix(err.Error(), "EOF") + errPeerClosed.Error())
}

// dialError turns what package net says into a ConnectError that says it once.
func dialError(h *sshconf.Host, addr string, err error) error {
	if op, ok := err.(*net.OpError); ok && op.Addr != nil {
		addr = op.Addr.String()
	}
	return &ConnectError{Host: display(h), Addr: addr, Err: noEOF(bare(err))}
}

// bare is an error without the addresses, the file and the system call around it.
func bare(err error) error {
	if path, ok := err.(*fs.PathError); ok {
		err = path.Err
	}
	if op, ok := err.(*net.OpError); ok {
		err = op.Err
	}
	if sys, ok := err.(*os.SyscallError); ok {
		err = sys.Err
	}
	return err
}

// clean makes a server's words fit for a terminal and for one line.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if r == unicode.ReplacementChar || !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, s)
}

// display is how a host is called in messages: as the user calls it.
func display(h *sshconf.Host) string {
	if h.Alias != "" {
		return h.Alias
	}
	return h.HostName
}

// address is where a host is dialled.
func address(h *sshconf.Host) string {
	return net.JoinHostPort(h.HostName, strconv.Itoa(int(port(h))))
}
