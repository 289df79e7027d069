package prompt

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// A Terminal asks on the terminal that the program was started from.
type Terminal struct {
	in, out *os.File
	hidden  *term.Terminal // reads without echo
}

// NewTerminal asks on the terminal that is in and out.
func NewTerminal(in, out *os.File) *Terminal {
	return &Terminal{in, out, term.NewTerminal(struct {
		io.Reader
		io.Writer
	}{in, out}, "")}
}

// Secret switches the echo off before it shows the prompt, so that nothing is
// seen of what is typed early. The keys of signals are no signals meanwhile;
// Ctrl-C is taken as what it means. The terminal is as it was when Secret returns.
func (t *Terminal) Secret(ctx context.Context, prompt string) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	before, err := term.MakeRaw(int(t.in.Fd()))
	if err != nil {
		return "", err
	}
	defer term.Restore(int(t.in.Fd()), before)
	return t.read(ctx, func() (string, error) {
		secret, err := t.hidden.ReadPassword(prompt)
		if err == io.EOF {
			fmt.Fprint(t.out, "\r\n") // what comes next is not part of the question
			err = context.Canceled
		}
		return secret, err
	})
}

// Ask shows what is typed.
func (t *Terminal) Ask(ctx context.Context, prompt string) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	return t.read(ctx, func() (string, error) {
		fmt.Fprint(t.out, prompt)
		line, err := bufio.NewReader(t.in).ReadString('\n')
		return strings.TrimRight(line, "\r\n"), err
	})
}

// read waits for what get reads, or for the end of ctx; get stays behind then until
// the program ends.
func (t *Terminal) read(ctx context.Context, get func() (string, error)) (string, error) {
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
		fmt.Fprint(t.out, "\r\n")
		return "", ctx.Err()
	}
}
