// Package top is the live view of the agent: its tunnels with their throughput, FTP
// sessions, and each transfer under way. It polls a Source and draws with bubbletea;
// the model is pure, so that tests drive it with messages and a clock of their own.
//
// Nothing on the screen wraps, whatever its size: a line that has no room drops its
// least columns and shortens names. Colour only repeats what words and signs tell.
package top

import (
	"context"
	"errors"
	"io"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/pasvport/pasvport/cmd/pasvport/internal/api"
)

// Source is the agent, as far as top needs it. Both calls end with their context.
// An error means that the agent is away just now; the next call may find it again.
type Source interface {
	Status(ctx context.Context) (*api.Status, error)
	StopSession(ctx context.Context, id int64) error
}

const (
	interval = 500 * time.Millisecond // between a reply and the next question
	patience = 5 * time.Second        // for one reply
)

// Run shows what source tells, on the terminal that in and out are, until the user
// quits or ctx ends; both are nil. It leaves the terminal as it was. NO_COLOR and
// TERM in the environment choose the colours.
func Run(ctx context.Context, source Source, in io.Reader, out io.Writer) error {
	m := newModel(ctx, source)
	_, err := tea.NewProgram(m, tea.WithContext(ctx), tea.WithInput(in), tea.WithOutput(out)).Run()
	if errors.Is(err, tea.ErrInterrupted) || ctx.Err() != nil {
		return nil
	}
	return err
}
