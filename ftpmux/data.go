package ftpmux

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// dataConn is one data connection: two ends, each accepted or dialled, which
// are joined when both are there. The session's loop owns it; what its
// goroutines find comes to the loop as events.
//
// In stream mode its end is the end of the file (RFC 959, section 3.4.1), so
// it is whole, or broken, or undecided, and never just closed:
//
//   - a download is whole once the server has ended it and the client was given
//     all of it (serverEnded); the client sees the end with the final reply
//   - an upload is whole once the client has ended it, the server was told so
//     (clientEnded) and has ended its side in turn: the way to it has lived until
//     then. One that breaks is aborted first (abortUpload)
//   - anything else breaks it (breakWith), and the client gets a reset
type dataConn struct {
	s         *session
	cmd       command // of the transfer
	record    *record // ... for others
	direction direction

	client      net.Conn
	server      net.Conn
	dialClient  netip.AddrPort     // the address in a PORT or EPRT
	farListener context.CancelFunc // ends it, in active mode towards the server
	cancel      context.CancelFunc
	ctx         context.Context // ends what is being accepted and dialled

	stopDialling context.CancelFunc // ... towards the server

	askedBy     string // the client's verb
	askedServer string // how the server half was negotiated, for the log
	serverSays  string

	offered    bool          // the client is told a port of ours
	dialling   bool          // the server is being connected to
	noWay      bool          // ... in vain
	halfClosed bool          // the way to the server has ended
	replaced   bool          // the server was asked for another one since
	lost       bool          // the server's end was, and has to be made again
	reading    bool          // the client is read
	toServer   *sink         // where what it sends goes
	running    bool          // a transfer has begun
	joined     bool          // bytes are being copied
	finished   bool          // both ends are closed
	answered   chan struct{} // closed when the transfer has its final reply
	err        error
	down, up   flow // server to client, client to server
	timer      *time.Timer
}

// flow is one way of a data connection.
type flow struct {
	moved   atomic.Int64    // bytes
	tap     *listing        // reads them too; nil for none
	sums    []*atomic.Int64 // that they count in as well
	writing atomic.Bool     // the receiver makes us wait
	eof     bool            // the sender has ended it, and the receiver was given all of it
	told    bool            // ... and that it has ended
}

// verdict is what is known of a transfer's data.
type verdict int

const (
	undecided verdict = iota
	whole
	broken
)

// newData takes the place of the data connection that was prepared before. The
// client asks for it by cmd.
func (s *session) newData(cmd command) *dataConn {
	s.dropSpare("another one is asked for")
	s.dropData("another one is asked for")
	s.data = s.makeData(cmd.name)
	return s.data
}

// makeData makes a data connection that the client asks for by that verb.
func (s *session) makeData(askedBy string) *dataConn {
	d := &dataConn{s: s, askedBy: askedBy, toServer: newSink(), answered: make(chan struct{})}
	d.down.sums = []*atomic.Int64{&s.view.down, &s.mux.tally.down}
	d.up.sums = []*atomic.Int64{&s.view.up, &s.mux.tally.up}
	d.ctx, d.cancel = context.WithCancel(s.ctx)
	s.datas[d] = struct{}{}
	return d
}

// dropData closes the prepared data connection.
func (s *session) dropData(why string) {
	if d := s.data; d != nil {
		d.fail(errors.New(why))
		s.data = nil
	}
}

// listen waits for the client at ln; it must come from its own address.
func (d *dataConn) listen(ln net.Listener) {
	d.offered = true
	stop := d.accept(ln, func(c net.Conn) bool { return addrOf(c.RemoteAddr()) == d.s.clientAddr }, d.clientReady)
	d.within(acceptTimeout, func() {
		if d.client == nil {
			stop()
			d.fail(fmt.Errorf("the client did not connect to its data port within %v", acceptTimeout))
		}
	})
}

// callClient dials a client that waits for that.
func (d *dataConn) callClient() {
	if d.dialClient.IsValid() && d.client == nil {
		d.dial(d.ctx, d.s.mux.local(), d.dialClient.String(), d.clientReady, d.fail)
	}
}

// listenFar waits for the server at ln.
func (d *dataConn) listenFar(ln net.Listener) {
	d.farListener = d.accept(ln, func(net.Conn) bool { return true }, d.serverReady)
}

// stopFar gives up what listenFar waits for.
func (d *dataConn) stopFar() {
	if d.farListener != nil {
		d.farListener()
		d.farListener = nil
	}
}

// accept hands the first connection at ln that is welcome to ready and closes
// ln; so does stop.
func (d *dataConn) accept(ln net.Listener, welcome func(net.Conn) bool, ready func(net.Conn)) (stop context.CancelFunc) {
	ctx, stop := context.WithCancel(d.ctx)
	d.s.work.Go(func() {
		<-ctx.Done()
		ln.Close()
	})
	d.s.work.Go(func() {
		defer stop()
		for {
			c, err := ln.Accept()
			switch {
			case ctx.Err() != nil:
				if err == nil {
					reset(c)
				}
				return
			case err != nil:
				deliver(d.s, d.s.events, func() { d.fail(fmt.Errorf("waiting for a data connection: %w", err)) })
				return
			case !welcome(c):
				d.s.log.Warn("data connection refused", "from", c.RemoteAddr())
				reset(c)
				continue
			case !deliver(d.s, d.s.events, func() { ready(c) }):
				reset(c)
			}
			return
		}
	})
	return stop
}

// dialServer connects to the server's passive port, at the host of the control
// connection whatever address its reply names.
func (d *dataConn) dialServer(port uint16, reply string) {
	if d.finished { // another one was asked for meanwhile
		return
	}
	d.serverSays, d.dialling = reply, true
	ctx, cancel := context.WithCancel(d.ctx)
	d.stopDialling = cancel
	host, _, _ := net.SplitHostPort(d.s.mux.Server)
	addr := net.JoinHostPort(host, fmt.Sprint(port))
	d.dial(ctx, d.s.mux.dataRemote(), addr, d.serverReady, d.noServer)
	d.s.tryPending()
}

// noServer gives d up for want of the server's end. A client that was told a port
// is let in all the same: one that is refused there gives up, and would never
// send the transfer command that is answered with the reason.
func (d *dataConn) noServer(why error) {
	dialled := d.dialling
	d.dialling, d.noWay = false, true
	if d.finished {
		return
	}
	if dialled && !errors.Is(why, io.ErrUnexpectedEOF) {
		d.s.mux.habits.unreachable.Store(true)
	}
	d.s.logOf(d.s.pending).Warn("no data connection to the server", "reason", why)
	if x := d.s.queue.of(d); x != nil { // it waits, for minutes
		d.s.withdraw(x, why)
		return
	}
	if d.offered && !d.running && d.s.pending == nil && d.err == nil && !d.finished {
		d.err = why
		return
	}
	d.fail(why)
}

// dial connects to addr and hands the connection to ready, or the error to failed; none
// of them hears of it once ctx is over.
func (d *dataConn) dial(ctx context.Context, network Remote, addr string, ready func(net.Conn), failed func(error)) {
	d.s.aside(func(context.Context) (event, undo func()) {
		limited, cancel := context.WithTimeout(ctx, dialTimeout)
		defer cancel()
		c, err := network.DialContext(limited, "tcp", addr)
		if err != nil {
			return func() {
				if ctx.Err() == nil {
					failed(err)
				}
			}, nil
		}
		return func() {
			if ctx.Err() != nil {
				d.s.work.Go(func() { reset(c) })
				return
			}
			ready(c)
		}, func() { reset(c) }
	})
}

func (d *dataConn) clientReady(c net.Conn) { d.gotEnd(&d.client, c) }

func (d *dataConn) serverReady(c net.Conn) {
	d.s.mux.habits.reachable.Store(true)
	if d.s.tls != nil {
		c = newTLSStream(c, d.s.tls)
	}
	d.gotEnd(&d.server, c)
}

// gotEnd takes one end and joins the two when both are there.
func (d *dataConn) gotEnd(end *net.Conn, c net.Conn) {
	if d.finished || *end != nil {
		d.s.work.Go(func() { reset(c) })
		return
	}
	*end = c
	d.s.tryPending()
	d.join()
}

// ready tells whether a transfer command may go out: the client's end must be
// there, and the server's where it does not connect by itself. Where that has always
// worked it may go out beside the dialling.
func (d *dataConn) ready() bool {
	return d.client != nil && (d.server != nil || d.farListener != nil || d.dialling && d.s.mux.surelyReaches())
}

// reusable tells whether another transfer command may use the connection.
func (d *dataConn) reusable() bool {
	return d.err == nil && !d.finished && !d.down.eof && d.bytes() == 0 && d.farListener == nil && !d.dialClient.IsValid()
}

// loseServer gives the server's end up, and keeps the client's.
func (d *dataConn) loseServer() {
	server := d.server
	d.toServer.set(nil)
	d.up.told = false
	d.server, d.joined, d.halfClosed, d.replaced, d.dialling, d.lost = nil, false, false, false, false, true
	if d.stopDialling != nil {
		d.stopDialling()
	}
	if server != nil {
		d.s.work.Go(func() { server.Close() })
	}
}

// A sink is a writer whose destination may change. Who writes waits while there is none.
type sink struct {
	mu     sync.Mutex
	change *sync.Cond
	w      io.Writer
}

func newSink() *sink {
	s := new(sink)
	s.change = sync.NewCond(&s.mu)
	return s
}

func (s *sink) set(w io.Writer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.w = w
	s.change.Broadcast()
}

func (s *sink) Write(p []byte) (int, error) {
	s.mu.Lock()
	for s.w == nil {
		s.change.Wait()
	}
	w := s.w
	s.mu.Unlock()
	return w.Write(p)
}

// nowhere takes nothing.
type nowhere struct{}

func (nowhere) Write([]byte) (int, error) { return 0, net.ErrClosed }

// begin starts the transfer that is recorded in r.
func (d *dataConn) begin(r *record) {
	d.cmd, d.record, d.direction, d.running = r.cmd, r, r.cmd.verb.direction, true
	d.s.show(r, d)
	if r.listing != nil && !d.joined {
		d.down.tap = r.listing
	}
	if d.joined && d.up.eof { // it has ended before
		d.clientEnded()
	}
	d.join()
}

// join copies both ways once a transfer has begun and both ends are there.
func (d *dataConn) join() {
	if d.joined || d.finished || !d.running || d.client == nil || d.server == nil {
		return
	}
	d.joined = true
	d.copy(&d.down, d.client, d.server, d.serverEnded)
	if d.direction == download && d.s.tls == nil && d.s.kind().halfClose {
		d.halfClosed = true // what the client sends waits, for another command maybe
		server := d.server
		d.s.work.Go(func() { closeWrite(server) })
	} else {
		d.toServer.set(d.server)
	}
	if !d.reading {
		d.reading = true
		d.copy(&d.up, d.toServer, d.client, d.clientEnded)
	}
	if d.up.eof {
		d.clientEnded()
	}
}

// copy moves f's bytes; ended runs in the loop after the sender's clean end.
func (d *dataConn) copy(f *flow, dst io.Writer, src io.Reader, ended func()) {
	d.s.work.Go(func() {
		readErr, writeErr := f.pump(dst, src)
		deliver(d.s, d.s.events, func() {
			if readErr == errCut && d.direction == upload {
				readErr = nil // it has nothing to say there, and its reply comes inside TLS
			}
			switch {
			case d.finished || d.err != nil || src != d.client && src != d.server:
			case readErr == nil && writeErr == nil:
				f.eof = true
				ended()
			case f == &d.up && readErr != nil && d.running && d.direction != download:
				d.s.abortUpload(d, fmt.Errorf("the client's data connection broke: %w", readErr))
			default:
				d.breakWith(errors.Join(readErr, writeErr))
			}
		})
	})
}

// What is read at a time: little, until there is more.
const (
	leastRead = 8 << 10
	mostRead  = 128 << 10
)

// reader returns what reads from src. What it gives is good until it is called again.
func reader(src io.Reader) func() ([]byte, error) {
	if s, ok := src.(interface{ ReadNext() ([]byte, error) }); ok {
		return s.ReadNext // it need not be copied
	}
	buf := make([]byte, leastRead)
	filled := false
	return func() ([]byte, error) {
		if filled && len(buf) < mostRead {
			buf = make([]byte, 4*len(buf))
		}
		n, err := src.Read(buf)
		filled = n == len(buf)
		return buf[:n], err
	}
}

// pump copies until src ends. It tells a failure to read from one to write.
func (f *flow) pump(dst io.Writer, src io.Reader) (readErr, writeErr error) {
	next := reader(src)
	for {
		data, err := next()
		if n := len(data); n > 0 {
			f.writing.Store(true)
			_, writeErr = dst.Write(data)
			f.writing.Store(false)
			if writeErr != nil {
				return nil, writeErr
			}
			f.moved.Add(int64(n))
			for _, sum := range f.sums {
				sum.Add(int64(n))
			}
			if f.tap != nil {
				f.tap.read(data)
			}
		}
		switch {
		case err == io.EOF:
			return nil, nil
		case err != nil:
			return err, nil
		}
	}
}

// serverEnded acts on the end of what the server sends.
func (d *dataConn) serverEnded() {
	switch {
	case !d.running:
		d.fail(errors.New("the server has closed the data connection"))
	case d.direction == upload:
		d.s.sayHeld()
	default:
		server := d.server
		d.s.work.Go(func() { finish(server) }) // at once: ProFTPD holds its 226 back until then
		d.s.prepareSpare(atEnd)
		d.s.sayHeld()
		d.awaitReply()
	}
}

// clientEnded acts on the end of what the client sends. A client that is killed
// ends all of its connections in one go, and in any order; so its control
// connection is looked at first, a moment later. On a busy machine more than a
// moment may pass between the ends, and the longer an upload took the less it
// matters to wait for that.
func (d *dataConn) clientEnded() {
	if !d.running || !d.joined || d.direction == download || d.up.told {
		return
	}
	watch := min(max(deathWatch, time.Since(d.record.since)/deathWatchShare), longDeathWatch)
	d.s.after(watch, func() {
		switch {
		case d.finished || !d.running || !d.joined:
		case d.s.clientDied():
			d.s.abortUpload(d, errors.New("the client has gone"))
		default:
			d.endUpload()
		}
	})
}

// endUpload hands the end of the file on to the server.
func (d *dataConn) endUpload() {
	server := d.server
	d.s.aside(func(context.Context) (event, undo func()) {
		err := closeWrite(server)
		return func() {
			switch {
			case server != d.server: // it was given up meanwhile
				return
			case err != nil:
				d.breakWith(err)
				return
			}
			d.up.told = true
			d.record.log.Debug("the end of an upload went out", "line", d.cmd)
			d.s.sayHeld()
		}, nil
	})
}

// verdict tells what is known of the transfer's data.
func (d *dataConn) verdict() verdict {
	switch {
	case d.err != nil:
		return broken
	case !d.down.eof: // with which every transfer ends
	case d.direction == download, d.up.told, d.direction == eitherWay && d.up.moved.Load() == 0:
		return whole
	}
	return undecided
}

// bytes is how many have been moved, both ways together.
func (d *dataConn) bytes() int64 { return d.down.moved.Load() + d.up.moved.Load() }

// within runs event after t, unless d has come further by then.
func (d *dataConn) within(t time.Duration, event func()) {
	if d.timer != nil {
		d.timer.Stop()
	}
	d.timer = d.s.after(t, event)
}

// awaitEnd waits for the end of data that the server calls complete, as long
// as there is progress or it is the client that makes us wait.
func (d *dataConn) awaitEnd() {
	before := d.bytes()
	d.within(replyTimeout, func() {
		switch {
		case d.verdict() != undecided || d.finished:
		case d.bytes() == before && !d.down.writing.Load():
			d.breakWith(errors.New("the server calls the transfer complete and sends no end of data"))
		default:
			d.awaitEnd()
		}
	})
}

// awaitReply waits for the server's word that a download is complete. Without
// it the client must not see a clean end.
func (d *dataConn) awaitReply() {
	if d.finished {
		return
	}
	d.within(replyTimeout, func() {
		if !d.finished {
			d.breakWith(fmt.Errorf("no final reply within %v of the end of data", replyTimeout))
			if x := d.s.queue.of(d); x != nil {
				d.s.abandonTransfer(x)
			}
		}
	})
}

// uploading tells whether the server may still take what it has for the whole
// file if its end were closed now.
func (d *dataConn) uploading() bool {
	return d.running && d.direction == upload && !d.finished && d.err == nil && !d.up.told
}

// breakWith ends d as broken. The final reply to its transfer is waited for, but
// not for ever.
func (d *dataConn) breakWith(why error) {
	if d.finished {
		return
	}
	d.err = why
	d.close(true)
	d.s.sayHeld()
	switch x := d.s.queue.of(d); {
	case x == nil:
	case x.over:
		d.s.onFinal(x, 226, nil) // which becomes a 426
	default:
		d.s.unless(x, func() { d.s.abandonTransfer(x) })
	}
}

// fail ends d, of which an end is missing. A transfer that has begun is broken; a
// command that waits for d is refused, and so are later ones.
func (d *dataConn) fail(why error) {
	if d.running {
		d.breakWith(why)
		return
	}
	if d.err == nil {
		d.err = why
	}
	d.close(!d.joined || d.bytes() > 0)
	d.s.tryPending()
}

// close closes both ends. What ends abruptly shows the client no end of a file.
func (d *dataConn) close(abruptly bool) {
	if d.finished {
		return
	}
	d.finished = true
	delete(d.s.datas, d)
	d.cancel()
	d.toServer.set(nowhere{})
	if d.timer != nil {
		d.timer.Stop()
	}
	switch {
	case d.client == nil:
	case abruptly:
		reset(d.client)
	default:
		d.client.Close()
	}
	if server := d.server; server != nil {
		d.s.work.Go(func() { server.Close() })
	}
}
