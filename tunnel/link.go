package tunnel

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"
)

// grace is how long a Close waits for its message to go out, so that what is
// done next comes behind it; on a stalled link it does not wait for ever.
const grace = 100 * time.Millisecond

// endPatience is for the goroutines of a link that has ended.
const endPatience = 10 * time.Second

// watchEvery is how often it is looked whether the library still works.
const watchEvery = 1500 * time.Millisecond

// A link is one live SSH connection, perhaps inside another.
type link struct {
	host string // for messages
	log  *slog.Logger
	ssh  ssh.Conn
	raw  *wire
	via  *link // the hop before, closed with this one; or nil

	// master has the connection, if it is not our own; ssh is nil then.
	master *master

	opened atomic.Bool // the server has opened a stream for us
	done   chan struct{}
	err    error // a *LostError, once done

	wg        sync.WaitGroup
	mu        sync.Mutex
	listeners []*listener
	pinger    pinger
	silence   time.Duration // after which a peer counts as gone
	asked     bool          // keepalives are on
}

// start takes over an SSH connection after its handshake.
func start(host string, log *slog.Logger, conn ssh.Conn, chans <-chan ssh.NewChannel, reqs <-chan *ssh.Request, raw *wire, via *link) *link {
	l := &link{host: host, log: log, ssh: conn, raw: raw, via: via, done: make(chan struct{}), silence: defaultInterval * (defaultCount + 1)}
	l.wg.Go(func() { ssh.DiscardRequests(reqs) })
	l.wg.Go(func() { l.dispatch(chans) })
	l.wg.Go(l.watch)
	l.wg.Go(func() {
		err := noEOF(conn.Wait())
		if via != nil && !via.alive() {
			err = via.err // it took this one along
		}
		l.fail(err)
	})
	return l
}

func (l *link) alive() bool {
	select {
	case <-l.done:
		return false
	default:
		return true
	}
}

// first is the address at which the first host of the way was reached; none unless that
// was by TCP.
func (l *link) first() []netip.Addr {
	for l.via != nil {
		l = l.via
	}
	addr, ok := l.raw.RemoteAddr().(*net.TCPAddr)
	if !ok {
		return nil
	}
	return []netip.Addr{addr.AddrPort().Addr().Unmap()}
}

// fail ends the link; the first cause stands.
func (l *link) fail(cause error) {
	l.mu.Lock()
	if !l.alive() {
		l.mu.Unlock()
		return
	}
	l.err = &LostError{Host: l.host, Err: noEOF(cause)}
	close(l.done)
	l.mu.Unlock()
	if !errors.Is(cause, net.ErrClosed) {
		l.log.Warn("connection lost", "host", l.host, "err", cause)
	}
	if l.via != nil {
		l.via.fail(net.ErrClosed)
	}
	l.raw.Close()
}

// broken is called when something sent or asked on the connection failed with
// err: the connection is over then, and knows the better reason in a moment.
func (l *link) broken(err error) error {
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-l.done:
	case <-timer.C:
		l.fail(err)
		<-l.done
	}
	return l.err
}

// wait returns when the link has ended and its goroutines are gone. Those of the
// library can block each other for ever: when more than 64 packets wait for a key
// exchange that we began and the server closes a channel meanwhile, the loop that
// should read the server's part of the exchange waits for them. They are left behind then.
func (l *link) wait() {
	<-l.done
	ended := make(chan struct{})
	go func() { l.wg.Wait(); close(ended) }()
	timer := time.NewTimer(endPatience)
	defer timer.Stop()
	select {
	case <-ended:
	case <-timer.C:
		l.log.Warn("the connection's goroutines do not end and are left behind", "host", l.host)
	}
	gone(l.raw.Conn)
	if l.via != nil {
		l.via.wait()
	}
}

// goes starts f unless the link is dead, which it tells, and has wait wait for it.
func (l *link) goes(f func()) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.alive() {
		return false
	}
	l.wg.Go(f)
	return true
}

// brief runs f, which sends something, and waits for it a moment at most.
func (l *link) brief(f func()) {
	sent := make(chan struct{})
	if !l.goes(func() { f(); close(sent) }) {
		return
	}
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-sent:
	case <-l.done:
	case <-timer.C:
	}
}

// dispatch answers what the server opens. It blocks on nobody: an unread queue
// here would stop the whole connection.
func (l *link) dispatch(chans <-chan ssh.NewChannel) {
	for nc := range chans {
		if nc.ChannelType() == "forwarded-tcpip" {
			l.forwarded(nc)
		} else {
			nc.Reject(ssh.UnknownChannelType, "not expected")
		}
	}
}

// startSession runs "true" on the last hop, once: sshd sets TCP_NODELAY on its socket only when a
// session starts. Where sessions are refused it is done without.
func (l *link) startSession() {
	ch, reqs, err := l.ssh.OpenChannel("session", nil)
	if err != nil {
		l.log.Debug("no session", "host", l.host, "err", err)
		return
	}
	go ssh.DiscardRequests(reqs)
	ok, err := ch.SendRequest("exec", true, ssh.Marshal(struct{ Command string }{"true"}))
	l.log.Debug("session", "host", l.host, "started", ok, "err", err)
	if ok { // what runs may be something else, if sshd is told so: it gets its time, and says little
		ch.CloseWrite()
		io.CopyN(io.Discard, ch, 64<<10)
	}
	ch.Close()
}

// open opens a direct-tcpip channel (RFC 4254, section 7.2).
func (l *link) open(host string, port uint32) (stream, error) {
	if l.master != nil {
		return l.master.open(host, port)
	}
	ch, reqs, err := l.ssh.OpenChannel("direct-tcpip", ssh.Marshal(struct {
		Host       string
		Port       uint32
		Origin     string
		OriginPort uint32
	}{host, port, "0.0.0.0", 0}))
	if err != nil {
		return nil, err
	}
	go ssh.DiscardRequests(reqs)
	return ch, nil
}

// dial opens a stream.
func (l *link) dial(ctx context.Context, host string, port uint32) (*conn, error) {
	type result struct {
		ch  stream
		err error
	}
	remote := tcpAddr(host, port)
	results := make(chan result)
	go func() {
		ch, err := l.open(host, port)
		select {
		case results <- result{ch, err}:
			return
		case <-ctx.Done():
		case <-l.done:
		}
		if err == nil {
			ch.Close()
		}
	}()
	select {
	case r := <-results:
		var refused *ssh.OpenChannelError
		if errors.As(r.err, &refused) {
			return nil, &OpenError{Addr: remote.String(), Reason: refused.Reason, Message: refused.Message, Others: l.opened.Load(), Err: r.err}
		} else if r.err != nil {
			return nil, l.broken(r.err)
		}
		l.opened.Store(true)
		return newConn(l, r.ch, &net.TCPAddr{IP: net.IPv4zero}, remote), nil
	case <-ctx.Done():
		return nil, &net.OpError{Op: "dial", Net: "tcp", Addr: remote, Err: ctx.Err()}
	case <-l.done:
		return nil, l.err
	}
}

// watch ends the link when the library has locked itself up: see wait. It then
// neither reads nor writes, as otherwise only for the moment in which it deals with
// what came. Three looks in a row make sure that it was not just us who were stopped.
func (l *link) watch() {
	ticker := time.NewTicker(watchEvery)
	defer ticker.Stop()
	for last, same := int64(0), 0; ; {
		select {
		case <-ticker.C:
		case <-l.done:
			return
		}
		turns := l.raw.turns.Load()
		if same++; turns != last || turns%2 == 1 || l.raw.writing.Load() > 0 {
			last, same = turns, 0
		}
		if same == 3 {
			l.fail(errStuck)
			return
		}
	}
}

// A wire is the connection under SSH. It notes when the peer was last heard of.
type wire struct {
	net.Conn
	ahead *bufio.Reader // of Conn
	epoch time.Time
	heard atomic.Int64 // since epoch
	end   atomic.Pointer[error]

	turns   atomic.Int64 // beginnings and ends of Read: odd while one is on
	writing atomic.Int64 // Writes that are on

	mu   sync.Mutex
	sent int64         // bytes
	more chan struct{} // closed by the next Write; nil unless somebody waits for it
	turn chan struct{} // closed by the next Read, or failure; nil unless somebody waits for it
}

func newWire(c net.Conn) *wire {
	return &wire{Conn: c, epoch: time.Now(), ahead: bufio.NewReaderSize(c, readAhead)}
}

// readAhead spares system calls: the library reads each packet in two parts.
const readAhead = 128 << 10

func (w *wire) Write(p []byte) (int, error) {
	w.writing.Add(1)
	defer w.writing.Add(-1)
	n, err := w.Conn.Write(p)
	if err != nil {
		w.fail(err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sent += int64(n)
	if w.more != nil {
		close(w.more)
		w.more = nil
	}
	return n, err
}

func (w *wire) sentSoFar() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.sent
}

// waitSent waits until that many bytes have gone out, or closed or done is. It takes
// time in a key exchange only: the library then keeps packets back, and locks itself up
// (see link.wait) when it keeps too many.
func (w *wire) waitSent(total int64, closed, done <-chan struct{}) {
	for {
		w.mu.Lock()
		if w.sent >= total {
			w.mu.Unlock()
			return
		}
		if w.more == nil {
			w.more = make(chan struct{})
		}
		more := w.more
		w.mu.Unlock()
		select {
		case <-more:
		case <-closed:
			return
		case <-done:
			return
		}
	}
}

// calm waits for the next Write if anybody is in waitSent.
func (w *wire) calm(closed, done <-chan struct{}) {
	w.mu.Lock()
	more := w.more
	w.mu.Unlock()
	if more == nil {
		return
	}
	select {
	case <-more:
	case <-closed:
	case <-done:
	}
}

func (w *wire) Read(p []byte) (int, error) {
	w.turns.Add(1)
	defer w.turns.Add(1)
	w.tell()
	n, err := w.ahead.Read(p)
	if n > 0 {
		w.heard.Store(int64(time.Since(w.epoch)))
	}
	if err != nil {
		w.fail(err)
	}
	return n, err
}

// fail notes an error before the library hears of it; the first one stands.
func (w *wire) fail(err error) {
	w.end.CompareAndSwap(nil, &err)
	w.tell()
}

// tell wakes who waits for a turn.
func (w *wire) tell() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.turn != nil {
		close(w.turn)
		w.turn = nil
	}
}

// readsOn tells whether the library reads or has begun to read since turns was as told,
// with no failure so far. If not, changed is closed when that may be different.
func (w *wire) readsOn(told int64) (yes bool, changed <-chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if (told%2 == 1 || w.turns.Load() > told) && w.ended() == nil {
		return true, nil
	}
	if w.turn == nil {
		w.turn = make(chan struct{})
	}
	return false, w.turn
}

// quiet is for how long nothing has come.
func (w *wire) quiet() time.Duration {
	return time.Since(w.epoch) - time.Duration(w.heard.Load())
}

// ended is the error that reading or writing ended with, or nil.
func (w *wire) ended() error {
	if err := w.end.Load(); err != nil {
		return *err
	}
	return nil
}
