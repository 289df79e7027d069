//go:build linux

package main

import (
	"log"
	"math/rand/v2"
	"os"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// A wire carries packets in one direction.
type wire struct {
	in, out *os.File
	delay   time.Duration
	rate    float64 // bytes a second; 0 is no limit
	queue   float64 // bytes that may wait for their turn
	loss    float64
	dice    *rand.Rand

	free time.Time // when the last bit of all before is on the wire
}

// A packet is on its way.
type packet struct {
	bytes []byte
	due   time.Time // when the far end has it
}

// carry takes packets from one end to the other, for ever; those that find the queue
// full are dropped.
func (w *wire) carry() {
	runtime.LockOSThread()
	immediate := w.delay == 0 && w.rate == 0
	underWay := make(chan packet, 1<<16)
	if !immediate {
		go w.deliver(underWay)
	}
	buffer := make([]byte, maxPacket)
	for {
		n := read(w.in, buffer)
		if w.loss > 0 && w.dice.Float64() < w.loss {
			continue
		}
		if immediate {
			write(w.out, buffer[:n])
			continue
		}
		if due, ok := w.schedule(onWire(buffer[:n]), time.Now()); ok {
			underWay <- packet{append(takeBuffer(n), buffer[:n]...), due}
		}
	}
}

// schedule tells when so many bytes that come now are at the far end, or that the queue
// has no room for them.
func (w *wire) schedule(bytes int, now time.Time) (due time.Time, ok bool) {
	if w.rate == 0 {
		return now.Add(w.delay), true
	}
	if w.free.Before(now) {
		w.free = now
	}
	if w.free.Sub(now).Seconds()*w.rate > w.queue {
		return time.Time{}, false
	}
	w.free = w.free.Add(time.Duration(float64(bytes) / w.rate * 1e9))
	return w.free.Add(w.delay), true
}

// deliver hands each packet over when it is due. It sleeps by the system's own clock on a
// thread of its own, for Go's timers may be a millisecond late.
func (w *wire) deliver(underWay <-chan packet) {
	runtime.LockOSThread()
	unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0)
	for p := range underWay {
		for wait := time.Until(p.due); wait > 2*time.Microsecond; wait = time.Until(p.due) {
			ts := unix.NsecToTimespec(int64(wait))
			unix.Nanosleep(&ts, nil)
		}
		write(w.out, p.bytes)
		giveBuffer(p.bytes)
	}
}

// Buffers are used again: small ones for what fits an Ethernet packet, large ones for
// what stands for several.
const smallPacket = 2048

var small, large = make(chan []byte, 1<<16), make(chan []byte, 1<<12)

func takeBuffer(n int) []byte {
	free, size := large, maxPacket
	if n <= smallPacket {
		free, size = small, smallPacket
	}
	select {
	case b := <-free:
		return b[:0]
	default:
		return make([]byte, 0, size)
	}
}

func giveBuffer(b []byte) {
	free := large
	if cap(b) < maxPacket {
		free = small
	}
	select {
	case free <- b:
	default:
	}
}

// read blocks its thread, and not Go's poller: it is quicker so.
func read(file *os.File, buffer []byte) int {
	for {
		n, err := unix.Read(int(file.Fd()), buffer)
		if err == nil {
			return n
		}
		if err != unix.EINTR {
			log.Fatalf("reading from %s: %v", file.Name(), err)
		}
	}
}

// write loses the packet when the device takes it not, as a wire would.
func write(file *os.File, packet []byte) {
	unix.Write(int(file.Fd()), packet)
}
