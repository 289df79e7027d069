package tunnel

import (
	"context"
	"sync"
	"time"
)

const (
	// clockEvery is how often the clock is looked at.
	clockEvery = 2 * time.Second
	// clockJump is how far it may be off: a machine that has a lot to do is late as well.
	clockJump = 5 * time.Second
)

// Senses tell of changes around us. Nil fields are the system's own.
type senses struct {
	wall    func() time.Time // the time of day, without a reading of the monotonic clock
	network func(ctx context.Context, wake func()) error
}

// watchClock calls wake when the time of day has moved by something else than the time
// between two looks, until ctx is done: the machine has slept, or its clock was set.
// Timers stand still over a sleep on most systems, and fire late on the others.
func (s senses) watchClock(ctx context.Context, wake func()) {
	wall := s.wall
	if wall == nil {
		wall = func() time.Time { return time.Now().Round(0) }
	}
	ticker := time.NewTicker(clockEvery)
	defer ticker.Stop()
	for last := wall(); ; {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		now := wall()
		if off := now.Sub(last) - clockEvery; off > clockJump || off < -clockJump {
			wake()
		}
		last = now
	}
}

// watch has signs that the network may be another one than before arrive in wakes,
// which holds one, until stop is called. stop waits for the watchers.
func (t *Tunnel) watch() (wakes chan struct{}, stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	wakes = make(chan struct{}, 1)
	wake := func() { leave(wakes) }
	network := t.senses.network
	if network == nil {
		network = watchNetwork
	}
	var wg sync.WaitGroup
	wg.Go(func() { t.senses.watchClock(ctx, wake) })
	wg.Go(func() {
		if err := network(ctx, wake); err != nil {
			t.log.Warn("changes of the network are not noticed", "err", err)
		}
	})
	return wakes, func() {
		cancel()
		wg.Wait()
	}
}

// leave leaves a sign in c, unless there is one.
func leave(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
