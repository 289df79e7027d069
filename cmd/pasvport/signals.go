package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// stopOnSignal returns a context that the first signal to stop ends; a second one
// takes the SSH connection away from what has still its grace.
func (s *serving) stopOnSignal(ctx context.Context) (context.Context, context.CancelFunc) {
	return stopOnSignal(ctx, func() { s.ssh.Close() })
}

// stopOnSignal returns a context that the first signal to stop ends; each further one
// calls again.
func stopOnSignal(ctx context.Context, again func()) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	signals := stopSignals()
	go func() {
		for n := 1; ; n++ {
			if _, ok := <-signals; !ok {
				return
			}
			cancel()
			if n > 1 {
				again()
			}
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		close(signals)
		cancel()
	}
}

// stopSignals are those that ask the program to end. A hang-up that was
// ignored before us, as under nohup, stays ignored.
func stopSignals() chan os.Signal {
	c := make(chan os.Signal, 2)
	signal.Notify(c, os.Interrupt, syscall.SIGTERM)
	if !signal.Ignored(syscall.SIGHUP) {
		signal.Notify(c, syscall.SIGHUP)
	}
	return c
}
