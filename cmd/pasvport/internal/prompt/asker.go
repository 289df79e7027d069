// Package prompt asks the person in front of the program for passwords, passphrases
// and the word on host keys: on a terminal, or through the program in SSH_ASKPASS as
// ssh does. What was answered is kept in memory, and nowhere else, for connections
// that are made when nobody can be asked.
package prompt

import (
	"context"
	"errors"
	"sync"

	"github.com/pasvport/pasvport/tunnel"
)

// A Prompter asks, as package tunnel wants it.
type Prompter = tunnel.Prompter

// ErrNobody tells that a question had nobody to answer it.
var ErrNobody = errors.New("nobody is there to answer the question")

// An Asker asks whoever attends. When nobody does, because the terminal belongs to
// somebody else by then, it gives what was answered before to the same prompt, and
// asks Away for the rest.
type Asker struct {
	// Away is asked when nobody attends; nil is nobody.
	Away tunnel.Prompter

	make      sync.Once
	held      chan struct{} // takes one, while a question is asked as well
	attending tunnel.Prompter
	answers   map[string]*kept // by prompt

	away away
}

// kept is an answer for a reconnect.
type kept struct {
	answer string
	conn   context.Context // of the connection that it was given to last
	mixed  bool            // two connections asked the same and got different answers
}

// Attend has p asked from now on; nil is nobody. It waits for a question under way, but
// when somebody comes, Away has to leave its one.
func (a *Asker) Attend(p tunnel.Prompter) {
	if p != nil {
		a.away.leave()
	}
	a.hold(context.Background())
	defer a.release()
	a.attending = p
}

// hold waits for the end of a question under way, or of ctx.
func (a *Asker) hold(ctx context.Context) error {
	a.make.Do(func() { a.held = make(chan struct{}, 1) })
	select {
	case a.held <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (a *Asker) release() { <-a.held }

// Forget drops the answers that are kept.
func (a *Asker) Forget() {
	a.hold(context.Background())
	defer a.release()
	a.answers = nil
}

// Secret asks, or gives the last answer to the same prompt. It gives that once a
// connection: who asks again has refused it, and a server that sees the same wrong
// password at every reconnect locks its user out. An answer is given to nobody if two
// hosts asked the same, which ports and aliases do not tell apart in a prompt.
func (a *Asker) Secret(ctx context.Context, prompt string) (string, error) {
	if err := a.hold(ctx); err != nil {
		return "", err
	}
	defer a.release()
	k := a.answers[prompt]
	if a.attending == nil {
		switch {
		case k == nil, k.mixed:
			return a.away.ask(ctx, a.Away, tunnel.Prompter.Secret, prompt)
		case k.conn == ctx:
			delete(a.answers, prompt)
			return a.away.ask(ctx, a.Away, tunnel.Prompter.Secret, prompt)
		}
		k.conn = ctx
		return k.answer, nil
	}
	answer, err := a.attending.Secret(ctx, prompt)
	if err != nil {
		return answer, err
	}
	if a.answers == nil {
		a.answers = make(map[string]*kept)
	}
	mixed := k != nil && (k.mixed || k.conn != ctx && k.answer != answer)
	a.answers[prompt] = &kept{answer, ctx, mixed}
	return answer, nil
}

// Ask asks; its answers are not kept.
func (a *Asker) Ask(ctx context.Context, prompt string) (string, error) {
	if err := a.hold(ctx); err != nil {
		return "", err
	}
	defer a.release()
	if a.attending == nil {
		return a.away.ask(ctx, a.Away, tunnel.Prompter.Ask, prompt)
	}
	return a.attending.Ask(ctx, prompt)
}

// away is the question that Away is asked.
type away struct {
	mu   sync.Mutex
	stop context.CancelFunc // nil without one
}

// ask asks who, by how; nobody is ErrNobody, and so is one who had to leave.
func (a *away) ask(ctx context.Context, who tunnel.Prompter, how func(tunnel.Prompter, context.Context, string) (string, error), prompt string) (string, error) {
	if who == nil {
		return "", ErrNobody
	}
	asking, stop := context.WithCancel(ctx)
	a.set(stop)
	answer, err := how(who, asking, prompt)
	a.set(nil)
	if asking.Err() != nil && ctx.Err() == nil {
		err = ErrNobody
	}
	stop()
	return answer, err
}

func (a *away) set(stop context.CancelFunc) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.stop = stop
}

func (a *away) leave() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.stop != nil {
		a.stop()
	}
}

// OnTerminal tells whether a person attends who sees what the program says.
func (a *Asker) OnTerminal() bool {
	a.hold(context.Background())
	defer a.release()
	_, ok := a.attending.(*Terminal)
	return ok
}
