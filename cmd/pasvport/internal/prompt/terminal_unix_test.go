//go:build unix

package prompt

import (
	"bufio"
	"context"
	"reflect"
	"testing"

	"github.com/creack/pty"
	"golang.org/x/term"
)

// over is a context that ends just after it was looked at.
type over struct {
	context.Context
	looked bool
}

func (o *over) Err() error {
	if !o.looked {
		o.looked = true
		return nil
	}
	return o.Context.Err()
}

// TestSecretOverAtOnce withdraws a question as soon as it is asked. Whatever is still
// under way then, the terminal stays as it was.
func TestSecretOverAtOnce(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 20 {
		keyboard, tty, err := pty.Open()
		if err != nil {
			t.Fatal(err)
		}
		defer keyboard.Close()
		defer tty.Close()
		before, err := term.GetState(int(tty.Fd()))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := NewTerminal(tty, tty).Secret(&over{Context: ctx}, "password: "); err != context.Canceled {
			t.Fatalf("got %v, want %v", err, context.Canceled)
		}
		if shown, err := bufio.NewReader(keyboard).ReadString(':'); err != nil {
			t.Fatalf("%q, %v", shown, err)
		}
		after, err := term.GetState(int(tty.Fd()))
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(before, after) {
			t.Fatalf("the terminal is left as %+v, and was %+v", after, before)
		}
	}
}
