package tunnel

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/pasvport/pasvport/sshconf"
)

var (
	// ErrPasswordExpired tells that the server wants a new password before it lets anyone in
	// (RFC 4252, section 8).
	ErrPasswordExpired = errors.New("the password has expired, and the server wants a new one")

	errNobody = errors.New("nobody is there to ask")
	errDenied = errors.New("permission denied")
	errSpent  = errors.New("no more tries")
)

// An auth logs in to one host.
type auth struct {
	ask      asker
	host     *sshconf.Host
	wire     *wire
	accepted []string   // PubkeyAcceptedAlgorithms
	agent    *agentConn // nil without one
	all      []*identity
	ids      []*identity // those worth a question to the server, in order

	began      bool     // the server has named its methods
	allowed    []string // them
	turn       int      // in the preferred methods
	spent      map[string]bool
	partial    int             // successes that were not enough
	refused    map[string]bool // public keys
	passwords  int             // asked for
	sent       bool            // a password, and no refusal of it was seen
	challenged bool            // by keyboard-interactive

	tried     []string
	last      string // of them
	succeeded string // by what, once it has: "publickey with key FILE (SHA256:...)"
	before    string // of that, what was accepted and not enough
	stop      error  // from the Prompter: no more questions
}

// newAuth prepares a login: it reads the keys and asks the agent for its own. Call close in the end.
func newAuth(t *Tunnel, lim *limit, h *sshconf.Host, w *wire) *auth {
	a := &auth{ask: asker{t, lim}, host: h, wire: w, succeeded: "none",
		spent: make(map[string]bool), refused: make(map[string]bool),
		accepted: Algorithms(h)["pubkeyacceptedalgorithms"]}
	if a.without("publickey") != "" {
		return a
	}
	var err error
	if a.agent, err = dialAgent(lim.ctx, h.IdentityAgent); err != nil {
		t.log.Debug("no keys of an agent", "err", err)
		a.try(fmt.Sprintf("agent (%s)", reason(err)))
	}
	a.identify()
	return a
}

func (a *auth) close() { a.agent.close() }

func (a *auth) error(err error) *AuthError {
	// SSH_MSG_USERAUTH_PASSWD_CHANGEREQ is 60, and x/crypto/ssh tells no more of it.
	if a.sent && strings.Contains(err.Error(), "unexpected message type 60 ") {
		err = ErrPasswordExpired
	}
	return &AuthError{User: a.host.User, Host: display(a.host), Tried: a.tried, Allowed: a.allowed, Err: err}
}

// try notes what was tried, once.
func (a *auth) try(what string) {
	if !slices.Contains(a.tried, what) {
		a.tried = append(a.tried, what)
	}
}

// attempt notes what is being tried. What it was last has succeeded, if anything has.
func (a *auth) attempt(tried, what string) {
	a.try(tried)
	a.last, a.succeeded = tried, a.before+what
}

// usual is the order of methods without PreferredAuthentications.
var usual = []string{"gssapi-with-mic", "hostbased", "publickey", "keyboard-interactive", "password"}

func (a *auth) preferred() []string {
	if a.host.PreferredAuthentications == nil {
		return usual
	}
	return a.host.PreferredAuthentications
}

// A method is a way to log in.
type method struct {
	keyword string // that switches it on or off
	on      bool
	person  bool                  // it takes one
	next    func() ssh.AuthMethod // what to try next, or nil when it is spent
}

func (a *auth) methods() map[string]method {
	h := a.host
	return map[string]method{
		"publickey":            {"PubkeyAuthentication", h.PubkeyAuthentication, false, a.publicKeys},
		"keyboard-interactive": {"KbdInteractiveAuthentication", h.KbdInteractiveAuthentication, true, a.interactive},
		"password":             {"PasswordAuthentication", h.PasswordAuthentication, true, a.byPassword},
	}
}

// without tells why a method is not to be had; "" if it is.
func (a *auth) without(name string) string {
	m, ok := a.methods()[name]
	switch {
	case !ok:
		return "not supported"
	case !m.on:
		return m.keyword + " no"
	case !slices.Contains(a.preferred(), name):
		return "not in PreferredAuthentications"
	case m.person:
		return a.alone()
	}
	return ""
}

// alone tells why nobody can be asked for a secret; "" if somebody can.
func (a *auth) alone() string {
	switch {
	case a.host.BatchMode:
		return "BatchMode yes"
	case a.ask.tunnel.opts.Prompter == nil:
		return errNobody.Error()
	case a.host.NumberOfPasswordPrompts <= 0:
		return "NumberOfPasswordPrompts 0"
	}
	return ""
}

// next is the ssh.ClientAuthCallback: the preferred method that the server takes, until
// it is spent, then the next, as ssh does. A server that takes others than before has
// ssh, and us, start over.
func (a *auth) next(ctx *ssh.ClientAuthContext) (ssh.AuthMethod, error) {
	if err := a.wire.ended(); err != nil {
		return nil, err // no use in asking for a password now
	}
	if !slices.Equal(a.allowed, ctx.AllowedMethods) {
		a.turn = 0
	}
	a.began, a.allowed = true, ctx.AllowedMethods
	a.settle(ctx.PartialSuccessMethods)
	switch {
	case a.stop != nil:
		return nil, a.stop
	case a.sent:
		return nil, nil // has x/crypto/ssh return its error: the answer was none
	}
	for preferred := a.preferred(); a.turn < len(preferred); a.turn++ {
		name := preferred[a.turn]
		if !slices.Contains(a.allowed, name) || a.spent[name] || a.without(name) != "" {
			continue
		}
		if m := a.methods()[name].next(); m != nil {
			return m, nil
		}
		if a.stop != nil {
			return nil, a.stop
		}
		a.spent[name] = true
	}
	return nil, a.denied()
}

// denied notes why the methods that the server takes were not all tried.
func (a *auth) denied() error {
	for _, name := range a.allowed {
		if why := a.without(name); why != "" {
			a.try(fmt.Sprintf("%s (%s)", clean(name), why))
		}
	}
	usable := func(name string) bool { _, ok := a.methods()[name]; return ok }
	if !slices.ContainsFunc(a.preferred(), usable) {
		for _, name := range a.preferred() {
			a.try(fmt.Sprintf("%s (%s)", clean(name), a.without(name)))
		}
	}
	return errDenied
}

// settle takes in how the last attempt went. Success that is not enough has the
// other keys offered anew, those that have not had their turn first, as with ssh.
func (a *auth) settle(by []string) {
	for _, id := range a.ids {
		switch {
		case !id.asked || id.used:
		case !id.offered:
			a.try(fmt.Sprintf("%v (PubkeyAcceptedAlgorithms has no signature algorithm for it that the server takes)", id))
		case !id.taken:
			a.refused[string(id.pub.Marshal())] = true
		}
	}
	if len(by) == a.partial {
		return
	}
	a.partial = len(by)
	if i := slices.Index(a.tried, a.last); i >= 0 {
		a.tried[i] += " (accepted, and more is wanted)"
	}
	a.before = a.succeeded + ", then "
	a.sent, a.challenged = false, false
	if by[len(by)-1] != "publickey" {
		return
	}
	clear(a.refused)
	var first, then []*identity
	for _, id := range a.ids {
		id.used = id.used || id.signed
		if id.asked {
			then = append(then, id)
		} else {
			first = append(first, id)
		}
		id.asked, id.offered, id.taken, id.signed = false, false, false, false
	}
	a.ids = slices.Concat(first, then)
}

// publicKeys are the keys that had no turn yet, up to one that has to be opened before it
// can be offered. None is offered again that was refused under another name.
func (a *auth) publicKeys() ssh.AuthMethod {
	var signers []ssh.Signer
	seen := make(map[string]bool)
	for _, id := range a.ids {
		if id.asked || id.used {
			continue
		}
		if id.pub == nil && len(signers) > 0 {
			break
		}
		if id.pub == nil {
			if err := a.reveal(id); err != nil {
				id.used = true
				a.try(fmt.Sprintf("%v (%s)", id, reason(err)))
				if a.stop != nil {
					return nil
				}
				continue
			}
		}
		blob := string(id.pub.Marshal())
		if a.refused[blob] || seen[blob] {
			continue
		}
		seen[blob] = true
		signers = append(signers, id)
	}
	if signers == nil {
		return nil
	}
	return ssh.PublicKeys(signers...)
}
