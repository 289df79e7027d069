package tunnel

import (
	"slices"
	"time"
)

// A Phase is what a Tunnel is at.
type Phase string

// The phases. Without Keep there are the first three.
const (
	Idle       Phase = "idle"       // not connected, and nobody tries; so is a closed one
	Connecting Phase = "connecting" // an attempt is under way
	Up         Phase = "up"         // the connection is there, as far as is known
	Waiting    Phase = "waiting"    // it never came up or was lost; the next attempt is at Retry
	Resting    Phase = "resting"    // not tried again before a Connect succeeds; Err tells why
)

// A State tells how a Tunnel is.
type State struct {
	Phase Phase
	Since time.Time // of the phase
	// Err is what the last attempt failed with, or how the connection was lost; nil
	// when it is up and before the first attempt. When Resting, it is the reason for that.
	Err   error
	Retry time.Time // when the next attempt begins, if Waiting; an event may bring it forward
	Made  int       // SSH connections to the destination made so far
	Live  int       // those that are up; those of Spread are told by Tunnel.State alone
}

// State tells how the tunnel is. It blocks on nothing, and connects nothing.
func (t *Tunnel) State() State {
	further := t.spread.live()
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.state
	s.Live += further
	return s
}

// note works out the state from the facts. It is called under mu whenever one of
// them has changed; there is nothing new after the close.
func (t *Tunnel) note() {
	s := State{Err: t.err, Made: t.made}
	switch {
	case t.closed:
		s.Phase, s.Err = Idle, t.errClosed()
	case t.link != nil && t.link.alive():
		s.Phase, s.Err, s.Live = Up, nil, 1
	case t.attempt != nil:
		s.Phase = Connecting
	case !t.keeping:
		s.Phase = Idle
	case t.rest:
		s.Phase = Resting
	default:
		s.Phase, s.Retry = Waiting, t.due()
	}
	if s.Phase == t.state.Phase && s.Retry.Equal(t.state.Retry) {
		return
	}
	if s.Since = t.state.Since; s.Phase != t.state.Phase {
		s.Since = time.Now()
	}
	t.state = s
	close(t.moved)
	t.moved = make(chan struct{})
	if t.opts.Changed == nil {
		return
	}
	t.untold = append(t.untold, s)
	if len(t.untold) == 1 {
		t.wg.Go(t.tell)
	}
}

// tell passes on what has changed. It has no lock while it does, so that who is
// told may ask back, and stays until all is told.
func (t *Tunnel) tell() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for len(t.untold) > 0 {
		s := t.untold[0]
		t.mu.Unlock()
		t.opts.Changed(s)
		t.mu.Lock()
		t.untold = slices.Delete(t.untold, 0, 1)
	}
}

// due is when Keep may try next.
func (t *Tunnel) due() time.Time {
	if soonest := t.tried.Add(minPause); t.backoff.until.Before(soonest) {
		return soonest
	}
	return t.backoff.until
}

// failed notes what an attempt ended with. What Keep rests for stays the reason, until
// there is a connection or a better one. A login that was cut off counts as refused
// the second time.
func (t *Tunnel) failed(err error) {
	again := t.cut
	t.cut = cut(err)
	rest := refused(err) && (again || !t.cut)
	if rest || !t.rest {
		t.rest, t.err = rest, err
	}
}

// lost notes the end of a connection, which Keep is to make anew.
func (t *Tunnel) lost(l *link) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.link != l {
		return // there is a newer one
	}
	if t.keeping {
		t.backoff.lost(time.Since(t.upSince))
	}
	if t.err == nil {
		t.err = l.err
	}
	t.note()
}
