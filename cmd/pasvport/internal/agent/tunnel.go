package agent

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"time"

	"github.com/pasvport/pasvport/cmd/pasvport/internal/api"
	"github.com/pasvport/pasvport/cmd/pasvport/internal/config"
	"github.com/pasvport/pasvport/cmd/pasvport/internal/prompt"
)

// A tunnel is one that the agent knows, open or not. Who opens or closes it has its
// turn; the fields behind are the agent's mutex's.
type tunnel struct {
	agent *Agent
	name  string
	asker prompt.Asker
	turn  chan struct{}

	settings   config.Tunnel
	configured bool
	downs      int                // how often it was to be closed; what began before ends
	asOf       int                // downs when whoever has the turn came, to open it
	restarting bool               // closed to be opened again, and not forgotten meanwhile
	line       Line               // nil when it is closed
	end        context.CancelFunc // of line's Serve; nil while it is being opened
	ended      chan struct{}      // Serve has returned
	giveUp     context.CancelFunc // ends the opening under way; or nil
	state      api.State
	since      time.Time
	retry      time.Time
	err        *api.Error // the last
}

// errForgotten tells that the tunnel is not the agent's any more: who wants it looks
// for it anew.
var errForgotten = errors.New("the tunnel was closed meanwhile")

// take waits for its turn until ctx is done, and for the end of a line that whoever
// closed it has not waited for; give ends it.
func (t *tunnel) take(ctx context.Context) error {
	select {
	case t.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	t.agent.mu.Lock()
	ending, ended := t.state == api.Stopping, t.ended
	t.agent.mu.Unlock()
	if !ending {
		return nil
	}
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		t.give()
		return ctx.Err()
	}
}

// takeToOpen is take for whoever is to open the tunnel. It may have been closed or
// forgotten, or the agent be stopping, once it is its turn.
func (t *tunnel) takeToOpen(ctx context.Context) (err error) {
	t.agent.mu.Lock()
	asOf := t.downs
	t.agent.mu.Unlock()
	if err := t.take(ctx); err != nil {
		return err
	}
	t.agent.mu.Lock()
	defer t.agent.mu.Unlock()
	t.asOf = asOf
	if err = t.overtaken(); err == nil && t.agent.tunnels[t.name] != t {
		err = errForgotten
	}
	if err != nil {
		t.give()
	}
	return err
}

// overtaken is why whoever has its turn, to open the tunnel, is not to do it any more;
// the mutex is held.
func (t *tunnel) overtaken() error {
	switch {
	case t.agent.closing:
		return errStopping()
	case t.downs != t.asOf:
		return &api.Error{Text: t.name + " was closed or restarted by another command meanwhile", Hints: []string{"pasvport status shows how it is now"}, Code: 1, Time: time.Now()}
	}
	return nil
}

func (t *tunnel) give() { <-t.turn }

// up opens the tunnel, or connects one that waits for somebody.
func (t *tunnel) up(ctx context.Context, o api.Opening, ask api.Ask) error {
	if err := t.takeToOpen(ctx); err != nil {
		return err
	}
	defer t.give()
	t.agent.mu.Lock()
	line, state, settings := t.line, t.state, t.settings
	if file, ok := t.agent.file.Tunnels[t.name]; ok && line == nil {
		settings = file // without what the flags said of it the last time
	}
	err := overlay(&settings, o)
	other := !reflect.DeepEqual(settings, t.settings)
	if err == nil && line == nil {
		t.settings = settings
	}
	t.agent.mu.Unlock()
	switch {
	case err != nil:
		return err
	case line == nil:
		return t.open(ctx, ask)
	case other:
		return &api.Error{
			Text:   fmt.Sprintf("%s is up with other settings", t.name),
			Hints:  []string{fmt.Sprintf("pasvport restart %s, with these flags, opens it anew; its sessions end then", t.name)},
			Code:   1,
			Time:   time.Now(),
			Status: http.StatusConflict,
		}
	case state == api.Up:
		return nil
	}
	defer t.attend(ask)()
	err = t.try(ctx, line.Connect)
	if ask != nil && errors.Is(err, prompt.ErrNobody) { // it was asked for an attempt that had begun before
		err = t.try(ctx, line.Connect)
	}
	return err
}

// attend has the person in front of a command asked, until it is undone.
func (t *tunnel) attend(ask api.Ask) (leave func()) {
	if ask == nil {
		return func() {}
	}
	t.asker.Attend(asked(ask))
	return func() { t.asker.Attend(nil) }
}

// try runs a part of the opening, which a down ends.
func (t *tunnel) try(ctx context.Context, part func(context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	t.agent.mu.Lock()
	err := t.overtaken()
	t.giveUp = cancel
	t.agent.mu.Unlock()
	if err == nil {
		err = part(ctx)
	}
	t.agent.mu.Lock()
	defer t.agent.mu.Unlock()
	t.giveUp = nil
	if overtaken := t.overtaken(); err != nil && overtaken != nil {
		return overtaken // why ctx was done
	}
	return err
}

// open makes the line, connects it, looks for the FTP servers, and only then listens.
// It is its turn.
func (t *tunnel) open(ctx context.Context, ask api.Ask) error {
	defer t.attend(ask)()
	line, err := t.make()
	if err == nil {
		err = t.try(ctx, func(ctx context.Context) error {
			if err := line.Connect(ctx); err != nil {
				return err
			}
			return line.Greets(ctx)
		})
	}
	if err == nil {
		err = line.Listen(t.agent.opts.Passed[t.name])
	}
	if err != nil {
		t.failed(line, err)
		return err
	}
	t.serve(line)
	t.agent.mu.Lock()
	defer t.agent.mu.Unlock()
	if t.state == api.Connecting {
		t.set(api.Up)
	}
	return nil
}

// begin waits for its turn and starts the tunnel.
func (t *tunnel) begin() {
	if t.takeToOpen(context.Background()) != nil {
		return
	}
	defer t.give()
	t.start()
}

// start opens the tunnel with nobody there: its listeners are there at once, and the
// connection when it can be made. It is its turn.
func (t *tunnel) start() {
	t.agent.mu.Lock()
	open := t.line != nil
	t.agent.mu.Unlock()
	if open {
		return
	}
	line, err := t.make()
	if err == nil {
		err = line.Listen(t.agent.opts.Passed[t.name])
	}
	if err != nil {
		t.failed(line, err)
		return
	}
	t.serve(line)
}

// make has the line made.
func (t *tunnel) make() (Line, error) {
	t.agent.mu.Lock()
	settings, err := t.settings, t.overtaken()
	t.agent.mu.Unlock()
	if err != nil {
		return nil, err
	}
	line, err := t.agent.opts.Open(t.name, settings, &t.asker, t.changed)
	if err != nil {
		return nil, err
	}
	t.agent.mu.Lock()
	t.line = line
	t.err = nil // of an earlier line
	t.set(api.Connecting)
	t.agent.mu.Unlock()
	t.agent.changed()
	return line, nil
}

// failed is for a tunnel that could not be opened.
func (t *tunnel) failed(line Line, err error) {
	t.agent.mu.Lock()
	t.line = nil // of whose end there is no news
	t.err = t.agent.explain(err)
	t.set(api.Failed)
	t.agent.mu.Unlock()
	if line != nil {
		line.Close()
	}
	t.asker.Forget()
	t.agent.mu.Lock()
	t.forget()
	t.agent.mu.Unlock()
	t.agent.log.Warn("tunnel not opened", "tunnel", t.name, "error", err)
	t.agent.changed()
}

// forget removes a closed tunnel that is in no configuration; the mutex is held. Whoever
// waits for its turn, to open it, finds it gone.
func (t *tunnel) forget() {
	if !t.configured && !t.restarting && t.agent.tunnels[t.name] == t {
		delete(t.agent.tunnels, t.name)
	}
}

// serve starts the line's serving.
func (t *tunnel) serve(line Line) {
	ctx, end := context.WithCancel(context.Background())
	ended := make(chan struct{})
	t.agent.mu.Lock()
	t.end, t.ended = end, ended
	t.agent.mu.Unlock()
	t.agent.log.Info("tunnel open", "tunnel", t.name)
	go func() {
		err := line.Serve(ctx)
		stopped := ctx.Err() != nil
		end()
		t.agent.mu.Lock()
		t.line, t.end = nil, nil
		t.set(api.Down)
		if err != nil && !stopped {
			t.err = t.agent.explain(err)
			t.set(api.Failed)
		}
		t.forget()
		t.agent.mu.Unlock()
		t.agent.log.Info("tunnel closed", "tunnel", t.name, "error", err)
		t.agent.changed()
		close(ended)
	}()
}

// down closes the tunnel, and an opening that is under way. The end of ctx ends the
// waiting alone.
func (t *tunnel) down(ctx context.Context) error {
	t.overtake()
	if err := t.take(ctx); err != nil {
		return err
	}
	defer t.give()
	err := t.close(ctx)
	t.asker.Forget() // the line's end has ended its questions
	return err
}

// close does it; it is its turn.
func (t *tunnel) close(ctx context.Context) error {
	t.agent.mu.Lock()
	end, ended := t.end, t.ended
	t.err = nil // whoever closes it has seen it
	if end == nil {
		t.set(api.Down)
		t.forget()
		t.agent.mu.Unlock()
		return nil
	}
	t.set(api.Stopping)
	t.agent.mu.Unlock()
	t.agent.changed()
	end()
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// restart closes the tunnel, changes its settings, and opens it again by again.
func (t *tunnel) restart(ctx context.Context, change func(*config.Tunnel) error, again func() error) error {
	t.overtake()
	if err := t.takeToOpen(ctx); err != nil {
		return err
	}
	defer t.give()
	if err := t.bears(change); err != nil {
		return err
	}
	t.agent.mu.Lock()
	t.restarting = true
	t.agent.mu.Unlock()
	err := t.close(ctx)
	t.agent.mu.Lock()
	t.restarting = false
	settings := t.settings
	if err == nil {
		err = change(&settings)
	}
	if err == nil {
		t.settings = settings
	} else if t.line == nil {
		t.forget()
	}
	t.agent.mu.Unlock()
	if err != nil {
		return err
	}
	return again()
}

// bears tells whether a line could be made after the change, before an old one is closed.
func (t *tunnel) bears(change func(*config.Tunnel) error) error {
	t.agent.mu.Lock()
	settings := t.settings
	err := change(&settings)
	t.agent.mu.Unlock()
	if err != nil {
		return err
	}
	line, err := t.agent.opts.Open(t.name, settings, &t.asker, func(Change) {})
	if err == nil {
		line.Close()
	}
	return err
}

// overtake ends an opening that is under way, and those that wait for their turn.
func (t *tunnel) overtake() {
	t.agent.mu.Lock()
	defer t.agent.mu.Unlock()
	t.downs++
	if t.giveUp != nil {
		t.giveUp()
	}
}

// changed takes note of what became of the SSH connection.
func (t *tunnel) changed(c Change) {
	t.agent.mu.Lock()
	if t.state == api.Stopping || t.line == nil { // its end is of our making
		t.agent.mu.Unlock()
		return
	}
	if t.end == nil && c.State == api.Up {
		c.State = api.Connecting // until FTP clients can come
	}
	news := t.state != c.State
	t.set(c.State)
	t.retry = c.Retry
	if c.Err != nil {
		t.err = t.agent.explain(c.Err)
	}
	t.agent.mu.Unlock()
	if news {
		t.agent.log.Info("tunnel is "+string(c.State), "tunnel", t.name, "error", c.Err)
	}
	t.agent.changed()
}

// set changes the state; the mutex is held.
func (t *tunnel) set(state api.State) {
	if t.state != state {
		t.state, t.since = state, time.Now()
	}
	t.retry = time.Time{}
}

// show is the tunnel as commands see it.
func (t *tunnel) show() *api.Tunnel {
	t.agent.mu.Lock()
	line := t.line
	s := &api.Tunnel{
		Name:       t.name,
		State:      t.state,
		Since:      t.since,
		Host:       t.settings.Host,
		Configured: t.configured,
		Listens:    []api.Listen{},
		Sessions:   []api.Session{},
		Retry:      t.retry,
		Error:      t.err,
	}
	t.agent.mu.Unlock()
	if s.State == api.NeedsLogin {
		s.Mend = "pasvport up " + t.name
	}
	if line != nil {
		line.Show(s)
	}
	return s
}

// asked is a command's Ask as package tunnel asks.
type asked api.Ask

func (a asked) Secret(ctx context.Context, text string) (string, error) {
	return a.ask(ctx, text, true)
}
func (a asked) Ask(ctx context.Context, text string) (string, error) { return a.ask(ctx, text, false) }

func (a asked) ask(ctx context.Context, text string, secret bool) (string, error) {
	answer, err := a(ctx, api.Prompt{Text: text, Secret: secret})
	switch {
	case err != nil:
		return "", err
	case answer.Refused:
		return "", context.Canceled
	}
	return string(answer.Text), nil
}
