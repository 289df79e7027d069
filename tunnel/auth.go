package tunnel

import (
	"errors"
	"fmt"
	"slices"

	"golang.org/x/crypto/ssh"

	"github.com/pasvport/pasvport/sshconf"
)

// tries is how often a password or passphrase may be mistyped.
const tries = 3

var errNobody = errors.New("nobody is there to ask")

// An asker puts questions for one connection, whose clock stands meanwhile.
type asker struct {
	tunnel *Tunnel
	lim    *limit
}

func (a asker) ask(prompt string, secret bool) (string, error) {
	p := a.tunnel.opts.Prompter
	if p == nil {
		return "", errNobody
	}
	a.tunnel.prompt.Lock()
	defer a.tunnel.prompt.Unlock()
	defer a.lim.pause()()
	if secret {
		return p.Secret(a.lim.ctx, prompt)
	}
	return p.Ask(a.lim.ctx, prompt)
}

// An auth logs in to one host.
type auth struct {
	ask     asker
	host    *sshconf.Host
	wire    *wire
	ids     []*identity
	began   bool // the server has named its methods
	allowed []string
	tried   []string
	stop    error // from the Prompter: no more questions
}

func (a *auth) error(err error) error {
	return &AuthError{User: a.host.User, Host: display(a.host), Tried: a.tried, Allowed: a.allowed, Err: err}
}

// methods are those that need a person. Keys are handed out by next.
func (a *auth) methods() []ssh.AuthMethod {
	if a.ask.tunnel.opts.Prompter == nil {
		return nil
	}
	return []ssh.AuthMethod{
		ssh.RetryableAuthMethod(ssh.KeyboardInteractive(a.challenge), tries),
		ssh.RetryableAuthMethod(ssh.PasswordCallback(a.password), tries),
	}
}

// next is the ssh.ClientAuthCallback: the keys that were not offered yet, then
// what methods has. Keys whose public half is unknown come last, one by one.
func (a *auth) next(ctx *ssh.ClientAuthContext) (ssh.AuthMethod, error) {
	a.began, a.allowed = true, ctx.AllowedMethods
	if a.stop != nil {
		return nil, a.stop
	}
	if err := a.wire.ended(); err != nil {
		return nil, err // no use in asking for a password now
	}
	if !slices.Contains(ctx.AllowedMethods, "publickey") {
		return nil, nil
	}
	var signers []ssh.Signer
	for _, id := range a.ids {
		if id.pub != nil && !id.offered {
			signers = append(signers, id)
		}
	}
	for _, id := range a.ids {
		if len(signers) > 0 {
			break
		}
		if id.pub == nil && !id.offered {
			if _, err := id.open(); err == nil {
				signers = append(signers, id)
			} else if a.stop != nil {
				return nil, a.stop
			}
		}
	}
	if len(signers) == 0 {
		return nil, nil
	}
	return ssh.PublicKeys(signers...), nil
}

// try notes what was tried, once.
func (a *auth) try(what string) {
	if !slices.Contains(a.tried, what) {
		a.tried = append(a.tried, what)
	}
}

func (a *auth) password() (string, error) {
	a.try("password")
	return a.question(fmt.Sprintf("%s@%s's password: ", a.host.User, a.host.HostName), true)
}

func (a *auth) challenge(name, instruction string, questions []string, echos []bool) ([]string, error) {
	a.try("keyboard-interactive")
	answers := make([]string, len(questions))
	for i, q := range questions {
		if i == 0 && instruction != "" {
			q = instruction + " " + q
		}
		prompt := fmt.Sprintf("(%s@%s) %s", a.host.User, a.host.HostName, clean(q))
		var err error
		if answers[i], err = a.question(prompt, !echos[i]); err != nil {
			return nil, err
		}
	}
	return answers, nil
}

// question asks, and remembers it if the person would rather not.
func (a *auth) question(prompt string, secret bool) (string, error) {
	answer, err := a.ask.ask(prompt, secret)
	if err != nil {
		a.stop = fmt.Errorf("asking: %w", noEOF(err))
	}
	return answer, err
}

// identify lists the keys to offer: for each IdentityFile the agent's copy of it or
// the file, then what else the agent has, unless IdentitiesOnly. Locked ones come last.
func (a *auth) identify(agent []*identity) {
	listed := make(map[string]bool) // by public key
	add := func(id *identity) {
		if id.pub != nil {
			blob := string(id.pub.Marshal())
			if listed[blob] {
				return
			}
			listed[blob] = true
		}
		id.auth = a
		a.ids = append(a.ids, id)
	}
	for _, path := range a.host.IdentityFiles {
		id, err := readIdentity(path)
		if err != nil {
			a.ask.tunnel.log.Debug("key not used", "err", err)
			var refused *keyFileError
			if errors.As(err, &refused) {
				a.try(err.Error())
			}
		}
		if id == nil {
			continue
		}
		if i := slices.IndexFunc(agent, id.same); i >= 0 {
			id = agent[i]
		}
		if id.pem == nil && id.signer == nil {
			continue // the public half of a key that the agent does not have
		}
		if id.signer == nil && a.ask.tunnel.opts.Prompter == nil && !a.ask.tunnel.keys.has(id.pem) {
			a.try(fmt.Sprintf("key %s (needs its passphrase)", path))
			continue
		}
		add(id)
	}
	if !a.host.IdentitiesOnly {
		for _, id := range agent {
			add(id)
		}
	}
	// No passphrase is asked for while a key without one may do.
	slices.SortStableFunc(a.ids, func(x, y *identity) int { return x.locked() - y.locked() })
}
