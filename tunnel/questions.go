package tunnel

import (
	"fmt"
	"strings"

	"golang.org/x/crypto/ssh"
)

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

// byPassword lets the callback be called once more than a password may be asked for:
// that is how a refusal of the last one shows.
func (a *auth) byPassword() ssh.AuthMethod {
	left := a.host.NumberOfPasswordPrompts - a.passwords
	if left <= 0 {
		return nil
	}
	return ssh.RetryableAuthMethod(ssh.PasswordCallback(a.password), left+1)
}

func (a *auth) password() (string, error) {
	if a.sent {
		a.ask.tunnel.log.Info("the server refuses the password", "host", display(a.host))
	}
	a.sent = false
	if a.passwords == a.host.NumberOfPasswordPrompts {
		return "", errSpent
	}
	a.passwords++
	a.attempt("password", "password")
	answer, err := a.question(fmt.Sprintf("%s's password: ", a.who()), true)
	a.sent = err == nil
	return answer, err
}

func (a *auth) interactive() ssh.AuthMethod {
	if a.challenged {
		return nil
	}
	a.challenged = true
	return ssh.RetryableAuthMethod(ssh.KeyboardInteractive(a.challenge), a.host.NumberOfPasswordPrompts)
}

// challenge asks what the server asks. What it says besides stands above its first
// question; where it asks nothing, that goes to the log.
func (a *auth) challenge(name, instruction string, questions []string, echos []bool) ([]string, error) {
	a.attempt("keyboard-interactive", "keyboard-interactive")
	var said string
	for _, s := range []string{name, instruction} {
		if s = strings.TrimRight(lines(s), "\n"); s != "" {
			said += s + "\n"
		}
	}
	if len(questions) == 0 && said != "" {
		a.ask.tunnel.log.Info("the server says", "host", display(a.host), "text", strings.TrimSpace(said))
	}
	answers := make([]string, len(questions))
	for i, q := range questions {
		var err error
		prompt := fmt.Sprintf("%s(%s) %s", said, a.who(), lines(q))
		if answers[i], err = a.question(prompt, !echos[i]); err != nil {
			return nil, err
		}
		said = ""
	}
	return answers, nil
}

// who is user@host as ssh's questions have it.
func (a *auth) who() string {
	host := a.host.HostName
	if a.host.HostKeyAlias != "" {
		host = a.host.HostKeyAlias
	}
	return a.host.User + "@" + host
}

// question asks, and remembers it if the person would rather not.
func (a *auth) question(prompt string, secret bool) (string, error) {
	answer, err := a.ask.ask(prompt, secret)
	if err != nil {
		a.stop = fmt.Errorf("asking: %w", noEOF(err))
	}
	return answer, err
}

// lines makes a server's words fit for a terminal, of several lines if need be.
func lines(s string) string {
	list := strings.Split(strings.ReplaceAll(s, "\r\n", "\n"), "\n")
	for i, line := range list {
		list[i] = clean(line)
	}
	return strings.Join(list, "\n")
}
