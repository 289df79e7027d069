//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

// A result is what was measured of a work under one condition.
type result struct {
	Work   string               `json:"work"`
	Server string               `json:"server"`
	Link   string               `json:"link"`
	Unit   unit                 `json:"unit"`
	Values map[string][]float64 `json:"values"` // by way; a value for each round
	Goals  []outcome            `json:"goals,omitempty"`

	work work
	rtt  time.Duration
}

// measure does all chosen works.
func measure(ctx context.Context, rounds, files int, chosen *regexp.Regexp) ([]*result, error) {
	l, err := newLab(ctx, files)
	if err != nil {
		return nil, err
	}
	defer l.close()
	list := works(files)
	if !l.emulated() {
		fmt.Println("Not root, so no link is emulated: only the ways through SSH are measured, with pyftpdlib, over a relay that delays. It has no rate, and TCP sees no delay.")
		list = l.withoutLink(list)
	}
	var all []*result
	for _, c := range []condition{rtt80, rtt20, near, none, lossy} {
		var todo []*result
		for _, w := range list {
			if slices.Contains(w.at, c) && chosen.MatchString(w.name) {
				todo = append(todo, &result{Work: w.name, Server: w.server, Link: c.String(), Unit: w.unit, Values: map[string][]float64{}, work: w, rtt: c.rtt})
			}
		}
		if err := l.measureAt(ctx, c, rounds, todo); err != nil {
			return nil, fmt.Errorf("%v: %w", c, err)
		}
		all = append(all, todo...)
	}
	for _, r := range all {
		r.judge()
	}
	return all, nil
}

// measureAt fills the results that belong to one link.
func (l *lab) measureAt(ctx context.Context, c condition, rounds int, todo []*result) error {
	if len(todo) == 0 {
		return nil
	}
	disconnect, err := l.connect(ctx, c)
	if err != nil {
		return err
	}
	defer disconnect()
	if err := l.describe(ctx, c); err != nil {
		return err
	}
	// What waits for the link does so side by side, but at RTT 20 four times as often:
	// the processor must stay idle for the larger part.
	sideBySide := max(1, int(24*c.rtt/rtt80.rtt))
	var waiting, busy []*result
	for _, r := range todo {
		if r.work.waits {
			waiting = append(waiting, r)
		} else {
			busy = append(busy, r)
		}
	}
	return errors.Join(l.rounds(ctx, rounds, sideBySide, waiting), l.rounds(ctx, rounds, 1, busy))
}

// rounds does each work once by each way, and again, so many at the same time.
func (l *lab) rounds(ctx context.Context, rounds, sideBySide int, todo []*result) error {
	routes := map[*result][]*route{}
	defer func() {
		for _, list := range routes {
			for _, r := range list {
				r.close()
			}
		}
	}()
	for _, res := range todo {
		for _, run := range res.work.runs {
			r, err := l.open(ctx, run.way, res.work.server)
			if err != nil {
				return err
			}
			routes[res] = append(routes[res], r)
		}
	}
	for round := range rounds {
		began := time.Now()
		var (
			group  sync.WaitGroup
			places = make(chan bool, sideBySide)
			mu     sync.Mutex
			failed error
		)
		for _, res := range todo {
			for i := range res.work.runs {
				i = (i + round) % len(res.work.runs) // none is always the first
				places <- true
				group.Go(func() {
					defer func() { <-places }()
					value, err := l.once(ctx, res.work, res.work.runs[i], routes[res][i])
					mu.Lock()
					defer mu.Unlock()
					name := res.work.runs[i].way.name
					if err != nil {
						failed = errors.Join(failed, fmt.Errorf("%s, %s, %s: %w", res.Work, res.Server, name, err))
					}
					res.Values[name] = append(res.Values[name], value)
				})
			}
		}
		group.Wait()
		if failed != nil {
			return failed
		}
		if len(todo) > 0 {
			fmt.Printf("round %d of %d: %.0f s\n", round+1, rounds, time.Since(began).Seconds())
		}
	}
	return nil
}

// once does a work by one way, once.
func (l *lab) once(ctx context.Context, w work, run run, r *route) (float64, error) {
	if w.fresh {
		own, err := l.open(ctx, run.way, w.server)
		if err != nil {
			return 0, err
		}
		defer own.close()
		r = own
	}
	return run.client(ctx, r)
}

// describe prints what the link really gives.
func (l *lab) describe(ctx context.Context, c condition) error {
	const script = `
import socket, sys, time
took = []
for i in range(5):
    with socket.create_connection((sys.argv[1], int(sys.argv[2]))) as c:
        c.recv(100)
        began = time.time()
        c.send(b"nothing that SSH knows\r\n")
        c.recv(100)
        took.append(time.time() - began)
print("%.2f" % (sorted(took)[2] * 1000))
`
	out, err := l.near.run(ctx, "/usr/bin/python3", "-c", script, l.far.addr.String(), fmt.Sprint(l.sshPort))
	if err != nil {
		return err
	}
	fmt.Printf("\n%v: the way to the SSH server and back takes %s ms (median of 5)\n", c, strings.TrimSpace(out))
	if !l.emulated() {
		return nil
	}
	r, err := l.open(ctx, plainFTP, "vsftpd")
	if err != nil {
		return err
	}
	rate, err := speed(4*bigSize, severalCurls(4, bigDown))(ctx, r)
	if err == nil {
		fmt.Printf("four plain downloads at once get %.0f Mbit/s\n", rate*8)
	}
	return err
}
