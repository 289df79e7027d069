//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Condition is how a link is.
type condition struct {
	rtt  time.Duration
	rate float64 // Mbit/s; 0 is no limit
	loss float64 // share
}

func (c condition) String() string {
	text := fmt.Sprintf("RTT %v ms", float64(c.rtt)/float64(time.Millisecond))
	if c.loss > 0 {
		text += fmt.Sprintf(", loss %v %%", c.loss*100)
	}
	return text
}

// connect lays a wire between the two hosts, until disconnect is called.
func (l *lab) connect(ctx context.Context, c condition) (disconnect func(), err error) {
	if !l.emulated() {
		r, err := startRelay(l.sshPort, l.sshdPort, c.rtt/2)
		if err != nil {
			return nil, err
		}
		return r.stop, nil
	}
	wire, err := host{}.start(ctx, l.path("wan.log"), nil, l.path("wan"), "-near", l.near.namespace, "-far", l.far.namespace,
		"-rtt", c.rtt.String(), "-rate", fmt.Sprint(c.rate), "-loss", fmt.Sprint(c.loss))
	if err != nil {
		return nil, err
	}
	err = wire.wait(ctx, func() bool {
		text, _ := os.ReadFile(wire.log)
		return string(text) == "ready\n"
	})
	for _, h := range []host{l.near, l.far} {
		if err == nil {
			_, err = h.run(ctx, "ip", "addr", "add", h.addr.String()+"/24", "dev", "wan0")
		}
		if err == nil {
			_, err = h.run(ctx, "ip", "link", "set", "wan0", "up")
		}
	}
	if err != nil {
		wire.stop()
		return nil, err
	}
	return wire.stop, nil
}

// addNamespaces makes the two hosts; remove takes them away again, with all that still
// runs there: a session of sshd waits for ever for a client that the link has cut off.
func (l *lab) addNamespaces(ctx context.Context) (remove func(), err error) {
	var added []string
	remove = func() {
		for _, name := range added {
			pids, _ := host{}.run(context.WithoutCancel(ctx), "ip", "netns", "pids", name)
			for _, pid := range strings.Fields(pids) {
				if n, err := strconv.Atoi(pid); err == nil {
					syscall.Kill(n, syscall.SIGKILL)
				}
			}
			host{}.run(context.WithoutCancel(ctx), "ip", "netns", "del", name)
		}
	}
	for _, h := range []host{l.near, l.far} {
		if _, err := (host{}).run(ctx, "ip", "netns", "add", h.namespace); err != nil {
			remove()
			return nil, err
		}
		added = append(added, h.namespace)
		if _, err := h.run(ctx, "ip", "link", "set", "lo", "up"); err != nil {
			remove()
			return nil, err
		}
	}
	return remove, nil
}

func (l *lab) path(name string) string { return filepath.Join(l.dir, name) }
