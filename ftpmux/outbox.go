package ftpmux

import "net"

// An outbox sends what it is given, in order, in a goroutine of its own, so
// that who gives never blocks.
type outbox struct {
	items chan outItem
	room  chan struct{} // gets a value when a full outbox has room again
	sent  chan struct{} // closed when the goroutine has ended
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
	o := &outbox{
		items: make(chan outItem, outboxSize),
		room:  make(chan struct{}, 1),
		sent:  make(chan struct{}),
	}
	go o.writeTo(c)
	return o
}

// writeTo sends until the outbox is closed. After an error it goes on without
// writing: the reader of the same connection will tell of it.
func (o *outbox) writeTo(c net.Conn) {
	defer close(o.sent)
	broken := false
	for item := range o.items {
		if !broken && len(item.data) > 0 {
			_, err := c.Write(item.data)
			broken = err != nil
		}
		if item.then != nil {
			item.then()
		}
		select {
		case o.room <- struct{}{}:
		default:
		}
	}
}

// full tells that its feeder should not be read any more for now.
func (o *outbox) full() bool { return len(o.items) >= outboxFull }

// put never blocks; false means that there was no place.
func (o *outbox) put(item outItem) bool {
	select {
	case o.items <- item:
		return true
	default:
		return false
	}
}

// close lets the goroutine end once all is sent.
func (o *outbox) close() { close(o.items) }
