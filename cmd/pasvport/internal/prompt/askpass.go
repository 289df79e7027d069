package prompt

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"

	"golang.org/x/term"

	"github.com/pasvport/pasvport/tunnel"
)

const (
	defaultAskpass = "/usr/bin/ssh-askpass"
	maxAnswer      = 1023 // as much as ssh reads
)

// Choose returns whom to ask, chosen as ssh does: the terminal, or a program
// where there is none, or where SSH_ASKPASS_REQUIRE wants it. It is nil where
// there is nobody.
func Choose() tunnel.Prompter {
	allowed, wanted := askpassRules(os.LookupEnv)
	program := newAskpass(os.LookupEnv)
	if allowed && wanted {
		return program.orNil()
	}
	if tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0); err == nil {
		return NewTerminal(tty, tty)
	}
	if allowed {
		return program.orNil()
	}
	if term.IsTerminal(int(os.Stdin.Fd())) {
		return NewTerminal(os.Stdin, os.Stderr)
	}
	return nil
}

// Program returns the program in SSH_ASKPASS where ssh would ask that without a
// terminal; else nil.
func Program() tunnel.Prompter {
	if allowed, _ := askpassRules(os.LookupEnv); !allowed {
		return nil
	}
	return newAskpass(os.LookupEnv).orNil()
}

// askpassRules tells whether a program may be asked, and whether it is to be
// asked even where there is a terminal.
func askpassRules(env func(string) (string, bool)) (allowed, wanted bool) {
	for _, name := range []string{"DISPLAY", "WAYLAND_DISPLAY"} {
		display, _ := env(name)
		allowed = allowed || display != ""
	}
	switch require, _ := env("SSH_ASKPASS_REQUIRE"); strings.ToLower(require) {
	case "force":
		return true, true
	case "prefer":
		return allowed, allowed
	case "never":
		return false, false
	}
	return allowed, false
}

// askpass asks through a program, which gets the question as its argument and
// writes the answer to its standard output.
type askpass struct{ program string }

func newAskpass(env func(string) (string, bool)) askpass {
	if program, ok := env("SSH_ASKPASS"); ok {
		return askpass{program}
	}
	return askpass{defaultAskpass}
}

// orNil is nil where the program is the usual one and not there: nobody said
// that there is somebody to ask.
func (a askpass) orNil() tunnel.Prompter {
	if _, err := os.Stat(a.program); err != nil && a.program == defaultAskpass {
		return nil
	}
	return a
}

func (a askpass) Secret(ctx context.Context, prompt string) (string, error) {
	return a.ask(ctx, prompt)
}

// Ask gives the program no hint of what is asked, as ssh for its question about
// host keys: "yes" or a fingerprint has to be typed.
func (a askpass) Ask(ctx context.Context, prompt string) (string, error) {
	return a.ask(ctx, prompt)
}

var errDismissed = errors.New("the question was dismissed")

// ask returns the first line that the program writes. A program that ends with
// anything but 0 says that there is no answer.
func (a askpass) ask(ctx context.Context, prompt string) (string, error) {
	cmd := exec.CommandContext(ctx, a.program, prompt)
	cmd.Stdin, cmd.Stderr = os.Stdin, os.Stderr
	stdout, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return "", fmt.Errorf("asking through SSH_ASKPASS: %w", err)
	}
	defer context.AfterFunc(ctx, func() { stdout.Close() })() // a child of the program may hold it
	answer, err := io.ReadAll(io.LimitReader(stdout, maxAnswer))
	stdout.Close()
	if failed := cmd.Wait(); failed != nil {
		err = fmt.Errorf("asking through %s: %w (%v)", a.program, errDismissed, failed)
	}
	switch {
	case ctx.Err() != nil:
		return "", ctx.Err()
	case err != nil:
		return "", err
	}
	line := string(answer)
	if i := strings.IndexAny(line, "\r\n"); i >= 0 {
		line = line[:i]
	}
	return line, nil
}
