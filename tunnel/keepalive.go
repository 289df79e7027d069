package tunnel

import (
	"errors"
	"net"
	"sync"
	"time"

	"github.com/pasvport/pasvport/sshconf"
)

// What holds where the configuration says nothing: a peer that falls silent is
// given up after 40 s.
const (
	defaultInterval = sshconf.ServerAliveDefault
	defaultCount    = 3
)

// A pinger makes round trips over a link. A global request has no number, so that
// only one is under way at a time; who comes meanwhile shares the next.
type pinger struct {
	mu   sync.Mutex
	next *ping // not begun; nil when nobody waits
	busy bool  // a goroutine is making round trips
}

type ping struct {
	done chan struct{}
	err  error
}

// ping returns a round trip that has not begun yet. Any answer makes it a success,
// a refusal too.
func (l *link) ping() *ping {
	g := &l.pinger
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.next == nil {
		g.next = &ping{done: make(chan struct{})}
	}
	p := g.next
	if !g.busy {
		g.busy = l.goes(l.pings) // else the link is dead, and who waits sees that
	}
	return p
}

func (l *link) pings() {
	g := &l.pinger
	for {
		g.mu.Lock()
		p := g.next
		g.next = nil
		g.busy = p != nil
		g.mu.Unlock()
		if p == nil {
			return
		}
		p.err = l.roundTrip()
		close(p.done)
	}
}

// roundTrip asks for an answer. A master that is not ours gets no global request:
// OpenSSH's would drop us for it, or die.
func (l *link) roundTrip() error {
	if l.master != nil {
		return l.master.ping()
	}
	_, _, err := l.ssh.SendRequest("keepalive@openssh.com", true, nil)
	return err
}

// await waits for p until the peer has been silent for the given time, counted
// from now at the earliest; whatever it sends is a sign of life, for an answer may
// be queued behind a lot of data. A closed stop ends it too.
func (l *link) await(p *ping, silence time.Duration, stop <-chan struct{}) error {
	began := time.Now()
	timer := time.NewTimer(silence)
	defer timer.Stop()
	for {
		select {
		case <-p.done:
			if p.err != nil {
				return l.broken(p.err)
			}
			return nil
		case <-timer.C:
			rest := silence - min(l.raw.quiet(), time.Since(began))
			if rest <= 0 {
				return &LostError{Host: l.host, Err: errSilent}
			}
			timer.Reset(rest)
		case <-stop:
			return net.ErrClosed
		case <-l.done:
			select {
			case <-p.done: // it was answered before the end
				if p.err == nil {
					return nil
				}
			default:
			}
			return l.err
		}
	}
}

// prove is for who was told of the end of a stream. It returns nil if the peer
// has ended it, and an error if it was the end of the link.
//
// The library ends all streams when its loop that reads the connection has ended: after a
// failure to read, a bad MAC, a disconnect message. So if that loop goes on
// reading, the end came in a packet of the peer's. Under load it may have done so and be
// at work again when this is looked at, so each beginning counts. Failures of the connection
// below are noted before the library hears of them. What is left is a peer that breaks the
// protocol inside of good packets; it could as well send a false end.
//
// A master answers no more when it has lost its connection, and its pipes end after that.
func (l *link) prove(stop <-chan struct{}) error {
	if l.master != nil {
		return l.await(l.ping(), l.silence, stop)
	}
	told := l.raw.turns.Load()
	for {
		yes, changed := l.raw.readsOn(told)
		if yes {
			return nil
		}
		if err := l.raw.ended(); err != nil {
			return l.broken(err)
		}
		select {
		case <-changed:
		case <-stop:
			return net.ErrClosed
		case <-l.done:
			return l.err
		}
	}
}

// keepAlive has the link notice a peer that has been silent for interval*(count+1).
// A write that blocks, blocks neither this nor the end of the link.
func (l *link) keepAlive(interval time.Duration, count int) {
	l.silence, l.asked = interval*time.Duration(count+1), true
	l.goes(func() {
		ticker := time.NewTicker(interval)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
			case <-l.done:
				return
			}
			if l.await(l.ping(), interval*time.Duration(count), nil) != nil {
				l.fail(errSilent)
				return
			}
		}
	})
}

// check ends the link unless the peer is heard of within a few seconds, or stop is
// closed. A peer that is not asked for keepalives, as it does not answer them or ssh
// does that, is not asked here either.
func (l *link) check(stop <-chan struct{}) {
	if !l.asked {
		return
	}
	if err := l.await(l.ping(), min(checkPatience, l.silence), stop); errors.Is(err, errSilent) {
		l.fail(errSilent)
	}
}
