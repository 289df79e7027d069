package ftpmux

import (
	"net"
	"sync"
)

// An outbox sends what it is given, in order, in a goroutine of its own, so
// that who gives never blocks.
type outbox struct {
	mu     sync.Mutex
	items  []outItem
	closed bool

	more chan struct{} // gets a value when there is something to do
	room chan struct{} // gets a value when a full outbox has room again
	sent chan struct{} // closed when the goroutine has ended
}

// outItem is some bytes, and what to do once they are on their way.
type outItem struct {
	data []byte
	then func()
}

// The loop stops reading a side's peer at outboxFull; what it may still have to
// send, a turn's local answers, has place in the rest.
const (
	outboxFull = 32
	outboxSize = outboxFull + maxExchanges + maxWaiting
)

func newOutbox(c net.Conn) *outbox {
	o := &outbox{more: make(chan struct{}, 1), room: make(chan struct{}, 1), sent: make(chan struct{})}
	go o.writeTo(c)
	return o
}

// writeTo sends until the outbox is closed. After an error it goes on without
// writing: the reader of the same connection will tell of it.
func (o *outbox) writeTo(c net.Conn) {
	defer close(o.sent)
	broken := false
	for item, ok := o.next(); ok; item, ok = o.next() {
		if !broken && len(item.data) > 0 {
			_, err := c.Write(item.data)
			broken = err != nil
		}
		if item.then != nil {
			item.then()
		}
		wake(o.room)
	}
}

// next waits for an item; there is none after the close.
func (o *outbox) next() (item outItem, ok bool) {
	for {
		o.mu.Lock()
		if len(o.items) > 0 {
			item, o.items = o.items[0], o.items[1:]
			o.mu.Unlock()
			return item, true
		}
		o.items = nil
		closed := o.closed
		o.mu.Unlock()
		if closed {
			return outItem{}, false
		}
		<-o.more
	}
}

// full tells that its feeder should not be read any more for now.
func (o *outbox) full() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.items) >= outboxFull
}

// put never blocks; false means that there was no place.
func (o *outbox) put(item outItem) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.items) >= outboxSize {
		return false
	}
	o.items = append(o.items, item)
	wake(o.more)
	return true
}

// close lets the goroutine end once all is sent.
func (o *outbox) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
	wake(o.more)
}

// wake gives c a value unless it has one.
func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
