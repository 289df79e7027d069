package tunnel

import (
	"context"
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
// be queued behind a lot of data.
func (l *link) await(ctx context.Context, p *ping, silence time.Duration) error {
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
		case <-ctx.Done():
			return &LostError{Host: l.host, Err: ctx.Err()}
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

// prove returns nil once a round trip that began after the call has come back.
func (l *link) prove(ctx context.Context) error {
	return l.await(ctx, l.ping(), l.silence)
}

// keepAlive has the link notice a peer that has been silent for interval*(count+1).
// A write that blocks, blocks neither this nor the end of the link.
func (l *link) keepAlive(interval time.Duration, count int) {
	l.silence = interval * time.Duration(count+1)
	l.goes(func() {
		ticker := time.NewTicker(interval)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
			case <-l.done:
				return
			}
			if l.await(context.Background(), l.ping(), interval*time.Duration(count)) != nil {
				l.fail(errSilent)
				return
			}
		}
	})
}
