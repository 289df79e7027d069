//go:build linux

package main

import (
	"bytes"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// withoutLink are those works, and ways to do them, for which a relay in front of sshd
// will do: nothing that goes to an FTP server without SSH, or needs a rate or loss. They
// are done with the one FTP server that needs no root.
func (l *lab) withoutLink(list []work) []work {
	var kept []work
	for _, w := range list {
		w.at = slices.DeleteFunc(slices.Clone(w.at), func(c condition) bool { return c.loss > 0 || c == near })
		w.runs = slices.DeleteFunc(slices.Clone(w.runs), func(r run) bool { return r.way.name == plainFTP.name })
		if w.server == "vsftpd" && len(w.at) > 0 && len(w.runs) > 0 && !w.fresh {
			w.server, w.goals = "pyftpdlib", nil // they are for other servers, and TCP over the link
			kept = append(kept, w)
		}
	}
	return kept
}

// A relay carries connections from a port of this machine to another, later.
type relay struct {
	ln    net.Listener
	to    string
	delay time.Duration // each way
}

func startRelay(port, to int, delay time.Duration) (*relay, error) {
	ln, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return nil, err
	}
	r := &relay{ln: ln, to: fmt.Sprintf("127.0.0.1:%d", to), delay: delay}
	go r.serve()
	return r, nil
}

// stop takes no more connections. Those that are there end with their peers.
func (r *relay) stop() { r.ln.Close() }

func (r *relay) serve() {
	for {
		near, err := r.ln.Accept()
		if err != nil {
			return
		}
		go r.join(near)
	}
}

// join carries one connection until both directions have ended.
func (r *relay) join(near net.Conn) {
	defer near.Close()
	sleepUntil(time.Now().Add(2 * r.delay)) // TCP's handshake
	far, err := net.Dial("tcp", r.to)
	if err != nil {
		return
	}
	defer far.Close()
	var both sync.WaitGroup
	both.Go(func() { r.carry(far, near) })
	both.Go(func() { r.carry(near, far) })
	both.Wait()
}

// A part is on its way.
type part struct {
	bytes []byte
	due   time.Time
}

// What a relay has of one direction is 8 MiB at most; then the sender has to wait.
const (
	partSize      = 32 << 10
	partsUnderWay = 256
)

// carry passes on what comes from src, each part when it is due, and the end after it.
// When dst takes no more, the rest is thrown away.
func (r *relay) carry(dst, src net.Conn) {
	underWay := make(chan part, partsUnderWay)
	go func() {
		defer close(underWay)
		buffer := make([]byte, partSize)
		for {
			n, err := src.Read(buffer)
			underWay <- part{bytes.Clone(buffer[:n]), time.Now().Add(r.delay)}
			if err != nil {
				return
			}
		}
	}()
	var failed error
	for p := range underWay {
		sleepUntil(p.due)
		if failed == nil {
			_, failed = dst.Write(p.bytes)
		}
	}
	dst.(*net.TCPConn).CloseWrite()
}

// sleepUntil sleeps by the system's own clock, for Go's timers may be a millisecond late.
func sleepUntil(due time.Time) {
	for wait := time.Until(due); wait > 0; wait = time.Until(due) {
		ts := unix.NsecToTimespec(int64(wait))
		unix.Nanosleep(&ts, nil)
	}
}
