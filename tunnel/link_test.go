package tunnel

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"sync"
	"testing"
)

// A deaf stream is one of a library whose goroutines block each other: nothing ends it.
type deaf struct{ ended chan struct{} }

func (d deaf) Read([]byte) (int, error)  { <-d.ended; return 0, io.EOF }
func (d deaf) Write([]byte) (int, error) { <-d.ended; return 0, io.EOF }
func (d deaf) CloseWrite() error         { return nil }
func (d deaf) Close() error              { return nil }

func TestLostLinkEndsDeafStreams(t *testing.T) {
	here, there := net.Pipe()
	defer there.Close()
	l := &link{host: "prod", log: slog.New(slog.DiscardHandler), raw: newWire(here), done: make(chan struct{})}
	ch := deaf{make(chan struct{})}
	defer close(ch.ended)
	c := newConn(l, ch, nil, nil)
	var wg sync.WaitGroup
	for _, f := range []func([]byte) (int, error){c.Read, c.Write} {
		wg.Go(func() {
			if _, err := f(make([]byte, 1)); !errors.Is(err, errSilent) {
				t.Errorf("got %v", err)
			}
		})
	}
	l.fail(errSilent)
	wg.Wait()
	c.Close()
}
