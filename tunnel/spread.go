package tunnel

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"
)

// A Spread opens streams as its Tunnel does, but over several SSH connections, of
// which each has a window and an encryption of its own. A stream goes by the one with
// the fewest streams. While all have some, another one is made, one at a time and up to
// [Options].Connections with the tunnel's own among them; streams wait for that until it
// has taken 2 s, and for 2 s at most. One that has had no stream for 30 s is closed.
//
// When one cannot be made, be it for want of an answer to a question, no other is tried
// as long as the tunnel's own lives; nor when one was lost within a minute, or refused a
// stream that the tunnel's own then gave. Where ssh has the connection there is no other.
type Spread struct {
	tunnel *Tunnel
	ctx    context.Context // ends with the tunnel
	cancel context.CancelFunc

	mu     sync.Mutex
	loads  map[*link]*load // of the tunnel's link, and of those that were made here
	making bool
	began  time.Time     // ... since then
	moved  chan struct{} // closed when a link is there, or will not be
	rest   *link         // of the tunnel: while it is the one, nothing is made
}

// A load is what a link has to carry.
type load struct {
	streams int       // whose end was not read yet
	open    int       // ... or that are not closed yet
	since   time.Time // of the last close
	further bool      // it is not the tunnel's own
	avoided bool      // it gets no more
}

const (
	spreadPatience = 2 * time.Second
	spreadIdle     = 30 * time.Second
)

func newSpread(t *Tunnel) *Spread {
	s := &Spread{tunnel: t, loads: map[*link]*load{}, moved: make(chan struct{})}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s
}

// Spread opens the streams that may go by several connections. Close of the tunnel ends
// them, too.
func (t *Tunnel) Spread() *Spread { return t.spread }

// DialContext is the tunnel's, by the connection with the fewest streams. What that
// refuses, the tunnel's own is asked for. It is not when the connection is lost: then the
// other end may have been reached, and a passive port of an FTP server's is for one stream,
// whose end it takes for that of a file.
func (s *Spread) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	host, port, err := dialable(network, addr)
	if err != nil {
		return nil, err
	}
	l, n, err := s.take(ctx)
	if err != nil {
		return nil, err
	}
	c, err := s.dial(ctx, l, n, host, port)
	if _, refused := errors.AsType[*OpenError](err); !refused || !n.further {
		return c, err
	}
	own, lost := s.tunnel.borrow(ctx)
	if lost != nil {
		return nil, lost
	}
	why := err
	c, err = s.dial(ctx, own, s.takeOwn(own), host, port)
	if err == nil {
		s.avoid(own, n, why)
	}
	return c, err
}

// dial opens a stream that is part of n, l's load, already.
func (s *Spread) dial(ctx context.Context, l *link, n *load, host string, port uint32) (net.Conn, error) {
	c, err := l.dial(ctx, host, port)
	if err != nil {
		s.give(n)
		s.leave(n)
		return nil, err
	}
	return &spreadConn{conn: c, give: sync.OnceFunc(func() { s.give(n) }), leave: sync.OnceFunc(func() { s.leave(n) })}, nil
}

// Listen is the tunnel's.
func (s *Spread) Listen(ctx context.Context, network, addr string) (net.Listener, error) {
	return s.tunnel.Listen(ctx, network, addr)
}

// A spreadConn is part of its link's load until it is closed, or its end was read: behind
// that there is nothing to carry.
type spreadConn struct {
	*conn
	give, leave func()
}

func (c *spreadConn) Read(p []byte) (int, error) {
	n, err := c.conn.Read(p)
	if err != nil {
		c.give()
	}
	return n, err
}

// ReadNext is Read without a copy.
func (c *spreadConn) ReadNext() ([]byte, error) {
	data, err := c.conn.ReadNext()
	if err != nil {
		c.give()
	}
	return data, err
}

func (c *spreadConn) Close() error {
	defer c.leave()
	defer c.give()
	return c.conn.Close()
}

// take chooses a link for a stream, which is part of its load from then on.
func (s *Spread) take(ctx context.Context) (*link, *load, error) {
	end := time.Now().Add(spreadPatience)
	for {
		own, err := s.tunnel.borrow(ctx)
		if err != nil {
			return nil, nil, err
		}
		s.mu.Lock()
		l, n := s.least(own)
		if n.streams > 0 && time.Now().Before(end) {
			s.another(own)
		}
		patience := min(time.Until(end), time.Until(s.began.Add(spreadPatience)))
		if n.streams == 0 || !s.making || patience <= 0 {
			n.streams, n.open = n.streams+1, n.open+1
			s.mu.Unlock()
			return l, n, nil
		}
		moved := s.moved
		s.mu.Unlock()
		timer := time.NewTimer(patience)
		select {
		case <-moved:
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil, nil, ctx.Err()
		}
		timer.Stop()
	}
}

// takeOwn makes a stream part of the load of the tunnel's own link.
func (s *Spread) takeOwn(own *link) *load {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.of(own)
	n.streams, n.open = n.streams+1, n.open+1
	return n
}

// of is the load of the tunnel's own link.
func (s *Spread) of(own *link) *load {
	if s.loads[own] == nil {
		s.loads[own] = &load{}
	}
	return s.loads[own]
}

// least is the link with the fewest streams, the tunnel's own if others have as few.
func (s *Spread) least(own *link) (*link, *load) {
	s.of(own)
	least := own
	for l, n := range s.loads {
		switch {
		case l != own && !l.alive():
			delete(s.loads, l)
		case !n.avoided && n.streams < s.loads[least].streams:
			least = l
		}
	}
	return least, s.loads[least]
}

// another has one more link made where that may be. There is one login at a time, so
// that one which is refused is not refused several times.
func (s *Spread) another(own *link) {
	if !s.making && len(s.loads) < s.tunnel.opts.Connections && own != s.rest && own.ssh != nil &&
		s.tunnel.goes(func() { s.further(own) }) {
		s.making, s.began = true, time.Now()
	}
}

// further makes a link beside the tunnel's own and stays until it has ended.
func (s *Spread) further(own *link) {
	l, err := s.beside(own)
	if err != nil {
		s.giveUp(own, err)
	}
	s.mu.Lock()
	s.making = false
	if err == nil {
		s.loads[l] = &load{since: time.Now(), further: true}
	}
	close(s.moved)
	s.moved = make(chan struct{})
	s.mu.Unlock()
	if err != nil {
		return
	}
	made := time.Now()
	s.closeIdle(l)
	if time.Since(made) < maxPause && !errors.Is(l.err, net.ErrClosed) {
		s.giveUp(own, l.err)
	}
	l.wait()
}

// avoid has n's link get no more streams, and no other made.
func (s *Spread) avoid(own *link, n *load, why error) {
	s.mu.Lock()
	n.avoided = true
	s.mu.Unlock()
	s.giveUp(own, why)
}

// giveUp has no more links made beside own while that lives.
func (s *Spread) giveUp(own *link, why error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if own.alive() && s.rest != own {
		s.rest = own
		s.tunnel.log.Warn("no further connection; data goes by those that are there", "err", why)
	}
}

// beside makes a link to where own leads, which is no other machine of the same name, and
// by no ControlMaster, which has one connection for all. It gives up when own is lost: what
// is asked is then for the tunnel's own to ask.
func (s *Spread) beside(own *link) (*link, error) {
	ctx, cancel := context.WithCancel(s.ctx)
	defer cancel()
	if !own.goes(func() {
		select {
		case <-own.done:
			cancel()
		case <-ctx.Done():
		}
	}) {
		cancel()
	}
	return s.tunnel.connectOwn(ctx, own.first())
}

// closeIdle closes a link that has had no stream for a while, or when the tunnel is
// closed.
func (s *Spread) closeIdle(l *link) {
	for idle := false; !idle; {
		select {
		case <-time.After(spreadIdle / 4):
		case <-s.ctx.Done():
			idle = true
		case <-l.done:
			return
		}
		s.mu.Lock()
		if n := s.loads[l]; n != nil && n.open == 0 && time.Since(n.since) >= spreadIdle || idle {
			idle = true
			delete(s.loads, l)
		}
		s.mu.Unlock()
	}
	l.fail(net.ErrClosed)
}

// check ends the links beside the tunnel's own that are not heard of within a few seconds.
func (s *Spread) check() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for l, n := range s.loads {
		if n.further {
			l.goes(func() { l.check(nil) })
		}
	}
}

// give takes a stream off a link's load.
func (s *Spread) give(n *load) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n.streams--
}

// leave notes that a stream no longer needs its link.
func (s *Spread) leave(n *load) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n.open--
	n.since = time.Now()
}

// live is how many links there are beside the tunnel's own.
func (s *Spread) live() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	live := 0
	for l, n := range s.loads {
		if n.further && l.alive() {
			live++
		}
	}
	return live
}
