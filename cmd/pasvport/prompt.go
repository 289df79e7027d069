package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	"golang.org/x/term"

	"github.com/pasvport/pasvport/tunnel"
)

// prompter asks while the tunnel is being opened. Later on the terminal belongs
// to somebody else, and a dialog would come out of nowhere, so that a reconnect
// has to do with what was answered then.
type prompter struct {
	ask tunnel.Prompter

	mu      sync.Mutex
	closed  bool
	answers map[string]*kept // by prompt
}

// kept is an answer for a reconnect.
type kept struct {
	answer string
	conn   context.Context // of the connection that it was given to last
	mixed  bool            // two connections asked the same and got different answers
}

var errNoPrompt = errors.New("nobody is asked once the tunnel is open")

// close ends the asking.
func (p *prompter) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
}

// Secret asks, or gives the last answer to the same prompt. It gives that once a
// connection: who asks again has refused it, and a server that sees the same wrong
// password at every reconnect locks its user out. An answer is given to nobody if two
// hosts asked the same, which ports and aliases do not tell apart in a prompt.
func (p *prompter) Secret(ctx context.Context, prompt string) (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	k := p.answers[prompt]
	if p.closed {
		switch {
		case k == nil, k.mixed:
			return "", errNoPrompt
		case k.conn == ctx:
			delete(p.answers, prompt)
			return "", errNoPrompt
		}
		k.conn = ctx
		return k.answer, nil
	}
	answer, err := p.ask.Secret(ctx, prompt)
	if err != nil {
		return answer, err
	}
	if p.answers == nil {
		p.answers = make(map[string]*kept)
	}
	mixed := k != nil && (k.mixed || k.conn != ctx && k.answer != answer)
	p.answers[prompt] = &kept{answer, ctx, mixed}
	return answer, nil
}

// Ask asks; its answers are not kept.
func (p *prompter) Ask(ctx context.Context, prompt string) (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return "", errNoPrompt
	}
	return p.ask.Ask(ctx, prompt)
}

// onTerminal tells whether a person sees what the program says.
func (p *prompter) onTerminal() bool {
	_, ok := p.ask.(*terminal)
	return ok
}

// terminal asks on the terminal that the program was started from.
type terminal struct {
	in, out *os.File
	hidden  *term.Terminal // reads without echo
}

func newTerminal(in, out *os.File) *terminal {
	return &terminal{in, out, term.NewTerminal(struct {
		io.Reader
		io.Writer
	}{in, out}, "")}
}

// Secret switches the echo off before it shows the prompt, so that nothing is
// seen of what is typed early. The keys of signals are no signals meanwhile;
// Ctrl-C is taken as what it means.
func (t *terminal) Secret(ctx context.Context, prompt string) (string, error) {
	return t.read(ctx, func() (string, error) {
		before, err := term.MakeRaw(int(t.in.Fd()))
		if err != nil {
			return "", err
		}
		defer term.Restore(int(t.in.Fd()), before)
		secret, err := t.hidden.ReadPassword(prompt)
		if err == io.EOF {
			fmt.Fprint(t.out, "\r\n") // what comes next is not part of the question
			err = context.Canceled
		}
		return secret, err
	})
}

func (t *terminal) Ask(ctx context.Context, prompt string) (string, error) {
	return t.read(ctx, func() (string, error) {
		fmt.Fprint(t.out, prompt)
		line, err := bufio.NewReader(t.in).ReadString('\n')
		return strings.TrimRight(line, "\r\n"), err
	})
}

// read waits for what get reads, or for the end of ctx; then the terminal is as
// it was, and get stays behind until the program ends.
func (t *terminal) read(ctx context.Context, get func() (string, error)) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	before, _ := term.GetState(int(t.in.Fd()))
	type answer struct {
		text string
		err  error
	}
	answers := make(chan answer, 1)
	go func() {
		text, err := get()
		answers <- answer{text, err}
	}()
	select {
	case a := <-answers:
		return a.text, a.err
	case <-ctx.Done():
		if before != nil {
			term.Restore(int(t.in.Fd()), before)
		}
		fmt.Fprintln(t.out)
		return "", ctx.Err()
	}
}
