package tunnel

import (
	"context"
	"fmt"
	"time"
)

const (
	// settle is for a burst of events to be over.
	settle = 250 * time.Millisecond
	// checkPatience is for the answer to the question whether a connection is still there.
	checkPatience = 5 * time.Second
)

// Keep keeps the connection up until ctx is done, then returns nil; after Close, it
// returns net.ErrClosed. The connection that is up then stays, until Close. There can
// be one Keep at a time; a second one is an error.
//
// A connection that is up already, be it made by Connect, is kept as one that Keep
// has made. When there is none, or it is lost, Keep connects, and does so again after
// a pause that grows from 1 s to 60 s, of which a random half is left out; never
// within a second of the last attempt. The pause ends early when the network has
// changed (Linux tells) or the wall clock has jumped, as it does over a sleep; a
// connection that is up is then asked for an answer within 5 s, where keepalives are
// on, and is lost without one.
//
// Keep rests when an attempt fails with an [AuthError] or [HostKeyError], which is
// also how a question ends that the Prompter does not answer, or when ssh, with
// [Options].SSH, says the same. A server that ends the connection during the login
// is given a second chance. It is then up to somebody to call Connect: once that
// succeeds, Keep goes on. A tunnel whose last attempt was refused before Keep is
// called rests from the beginning.
//
// While Keep runs, it alone and Connect make connections: DialContext and Listen wait
// for one as [Options].Patience says.
func (t *Tunnel) Keep(ctx context.Context) error {
	if err := t.setKeeping(); err != nil {
		return err
	}
	defer t.wg.Done()
	defer func() {
		t.mu.Lock()
		t.keeping = false
		t.note()
		t.mu.Unlock()
	}()
	wakes, stop := t.watch()
	defer stop()
	for last := (State{}); ctx.Err() == nil; {
		s, moved, closed := t.look()
		if s.Since != last.Since || s.Retry != last.Retry {
			t.report(s)
		}
		last = s
		switch {
		case closed:
			return t.errClosed()
		case s.Phase != Waiting:
			t.sleep(ctx, s.Phase, moved, nil, wakes)
		case time.Now().Before(s.Retry):
			timer := time.NewTimer(time.Until(s.Retry))
			t.sleep(ctx, s.Phase, moved, timer.C, wakes)
			timer.Stop()
		default:
			t.try(ctx, wakes)
		}
	}
	return nil
}

// report logs that there is no connection, and what comes next.
func (t *Tunnel) report(s State) {
	switch log := t.log.With("host", display(t.host), "err", s.Err); {
	case s.Phase == Resting:
		log.Warn("not connected, and not tried again before somebody connects")
	case s.Phase == Waiting && s.Err != nil:
		log.Info("not connected", "next", s.Retry)
	}
}

// setKeeping notes that Keep runs, and has Close wait for it.
func (t *Tunnel) setKeeping() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.closed:
		return t.errClosed()
	case t.keeping:
		return fmt.Errorf("tunnel to %s: it is being kept up already", display(t.host))
	}
	t.wg.Add(1)
	t.keeping = true
	if now := time.Now(); t.backoff.until.Before(now) {
		t.backoff.until = now
	}
	t.note()
	return nil
}

// look returns the state with a channel that is closed when it is another.
func (t *Tunnel) look() (s State, moved <-chan struct{}, closed bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.state, t.moved, t.closed
}

// sleep returns when something has happened. What wakes up during an attempt of
// somebody else is kept for what comes of it.
func (t *Tunnel) sleep(ctx context.Context, phase Phase, moved <-chan struct{}, due <-chan time.Time, wakes chan struct{}) {
	if phase == Connecting {
		wakes = nil
	}
	select {
	case <-ctx.Done():
	case <-moved:
	case <-due:
	case <-wakes:
		select {
		case <-ctx.Done():
		case <-time.After(settle):
		}
		select {
		case <-wakes: // the rest of the burst
		default:
		}
		t.wake(ctx, wakes)
	}
}

// try makes an attempt; how it went is in the state. An attempt that has reached
// nothing when something wakes us may be on a way that is gone: it is given up then,
// unless somebody else waits for it as well.
func (t *Tunnel) try(ctx context.Context, wakes chan struct{}) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	t.reached.Store(len(t.opts.SSH) > 0) // that ssh does not tell
	done := make(chan struct{})
	go func() {
		defer close(done)
		t.up(ctx, true)
	}()
	for woken := wakes; ; {
		select {
		case <-done:
			return
		case <-woken:
			defer leave(wakes) // for what comes of the attempt
			if !t.reached.Load() {
				cancel()
				<-done
				return
			}
			woken = nil
		}
	}
}

// wake is for when the network may be another than before. The connections of Spread are
// looked at, too.
func (t *Tunnel) wake(ctx context.Context, wakes chan<- struct{}) {
	t.mu.Lock()
	l, phase := t.link, t.state.Phase
	if phase == Waiting {
		t.backoff.wake()
		t.note()
	}
	t.mu.Unlock()
	t.log.Debug("the network or the clock has changed", "host", display(t.host), "phase", phase)
	t.spread.check()
	switch phase {
	case Up:
		if l.check(ctx.Done()); !l.alive() {
			leave(wakes) // it is lost, and to be made at once
		}
	case Connecting: // somebody was faster; it is for what comes of that
		leave(wakes)
	}
}

// borrow returns the connection for DialContext and Listen, which make none while
// Keep runs.
func (t *Tunnel) borrow(ctx context.Context) (*link, error) {
	var late <-chan time.Time
	if t.opts.Patience > 0 {
		timer := time.NewTimer(t.opts.Patience)
		defer timer.Stop()
		late = timer.C
	}
	for {
		t.mu.Lock()
		s, moved, l, kept := t.state, t.moved, t.link, t.keeping && !t.closed
		t.mu.Unlock()
		switch {
		case !kept:
			return t.up(ctx, false)
		case l != nil && l.alive():
			return l, ctx.Err()
		case s.Phase == Resting, late == nil && s.Phase == Waiting && time.Now().Before(s.Retry):
			return nil, t.errDown(s)
		}
		select {
		case <-moved:
		case <-late:
			return nil, t.errDown(s)
		case <-ctx.Done():
			return nil, fmt.Errorf("connecting to %s: %w (%w)", display(t.host), ctx.Err(), t.errDown(s))
		}
	}
}

// errDown is why there is no connection in a state.
func (t *Tunnel) errDown(s State) error {
	if s.Err != nil {
		return s.Err
	}
	return &ConnectError{Host: display(t.host), Addr: address(t.host), Err: errNotYet}
}
