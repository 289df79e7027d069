//go:build linux

package main

import (
	"encoding/binary"
	"testing"
	"time"
)

func TestOnWire(t *testing.T) {
	const headers = 40 // IPv4 and TCP
	for _, test := range []struct{ payload, segment, want int }{
		{0, 0, headers + framing},
		{1448, 0, headers + 1448 + framing},
		{1448, 1448, headers + 1448 + framing},                               // one segment
		{2 * 1448, 1448, 2 * (headers + 1448 + framing)},                     // two
		{2*1448 + 1, 1448, 2*(headers+1448+framing) + headers + 1 + framing}, // and a bit
	} {
		packet := make([]byte, vnetHeader+headers+test.payload)
		if test.segment > 0 {
			packet[1] = 1 // TCP over IPv4
			binary.LittleEndian.PutUint16(packet[2:], headers)
			binary.LittleEndian.PutUint16(packet[4:], uint16(test.segment))
		}
		if got := onWire(packet); got != test.want {
			t.Errorf("%d bytes in segments of %d are %d on the wire, want %d", test.payload, test.segment, got, test.want)
		}
	}
}

func TestSchedule(t *testing.T) {
	w := &wire{delay: 10 * time.Millisecond, rate: 1000, queue: 500} // bytes a second
	now := time.Unix(1e9, 0)
	for i, want := range []time.Duration{110, 210, 310, 410, 510, 610} { // ms: one behind the other
		due, ok := w.schedule(100, now)
		if !ok || due.Sub(now) != want*time.Millisecond {
			t.Errorf("packet %d is there after %v (%v), want %d ms", i, due.Sub(now), ok, want)
		}
	}
	if _, ok := w.schedule(100, now); ok {
		t.Error("a packet that finds 600 bytes in a queue of 500 is let in")
	}
	later := now.Add(time.Second)
	if due, ok := w.schedule(100, later); !ok || due.Sub(later) != 110*time.Millisecond {
		t.Errorf("when the queue is empty a packet is there after %v (%v)", due.Sub(later), ok)
	}
}
