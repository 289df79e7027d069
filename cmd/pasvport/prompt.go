package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"

	"github.com/pasvport/pasvport/tunnel"
)

// terminal asks on the terminal that the program was started from.
type terminal struct {
	in, out *os.File
	hidden  *term.Terminal // reads without echo
}

// newPrompter returns nil where there is no terminal.
func newPrompter() tunnel.Prompter {
	in, out := os.Stdin, os.Stderr
	if tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0); err == nil {
		in, out = tty, tty
	} else if !term.IsTerminal(int(in.Fd())) {
		return nil
	}
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
