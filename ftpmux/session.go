package ftpmux

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
)

// How much may wait in a session before its client is no longer read.
const (
	maxExchanges = 64 // commands without a final reply
	maxWaiting   = 32 // commands behind a negotiation
)

// session is one control connection. One goroutine reads the client, one the
// server, an outbox a side writes; run owns all other state and decides. What
// takes time runs beside it and comes back as an event.
type session struct {
	mux        *Mux
	log        *slog.Logger
	client     net.Conn
	server     net.Conn
	clientAddr netip.Addr // the client's own
	localAddr  netip.Addr // the one that it connected to

	ctx      context.Context // ends with the session
	cancel   context.CancelFunc
	work     sync.WaitGroup
	commands chan readResult[command]
	replies  chan readResult[replyLine]
	events   chan func()
	toClient *outbox
	toServer *outbox

	queue     queue
	answering *exchange // whose reply is under way, nil for one that nobody asked for
	midReply  bool
	held      *exchange // a transfer whose 226 waits for the end of its data

	waiting  []command // read, and not acted on yet
	busy     string    // what they wait for, "" for nothing
	pending  *exchange // a transfer command that waits for its data connection
	settling bool      // an answer from here is being made; the server's wait behind it
	restart  bool      // the server holds a REST that its next transfer uses up

	data     *dataConn // of the next transfer
	datas    map[*dataConn]struct{}
	epsvOnly bool // the client sent EPSV ALL
	noEPSV   bool // the server answers PASV but not EPSV
	noPORT   bool // the server cannot connect to a listener at the far side

	greetingTimer *time.Timer

	quit       bool // the client said so
	clientGone bool
	hungUp     bool // ... and the server was told
	stopping   bool
	ended      bool
	reason     string
}

// readResult is what a reader brings: a value, or the error that ended it.
type readResult[T any] struct {
	value T
	err   error
}

func newSession(m *Mux, log *slog.Logger, client, server net.Conn) *session {
	s := &session{
		mux:        m,
		log:        log,
		client:     client,
		server:     server,
		clientAddr: addrOf(client.RemoteAddr()),
		localAddr:  addrOf(client.LocalAddr()),
		commands:   make(chan readResult[command]),
		replies:    make(chan readResult[replyLine]),
		events:     make(chan func()),
		datas:      make(map[*dataConn]struct{}),
		busy:       "the server's greeting",
	}
	s.queue = queue{{own: true, done: s.greeted}} // the greeting answers no command
	return s
}

// run serves the session to its end.
func (s *session) run(stop context.Context) {
	s.ctx, s.cancel = context.WithCancel(context.WithoutCancel(stop))
	s.toClient, s.toServer = newOutbox(s.client), newOutbox(s.server)
	s.work.Go(s.readClient)
	s.work.Go(s.readServer)
	s.greetingTimer = s.after(greetingTimeout, func() {
		if s.greeting() {
			s.fail(fmt.Sprintf("no FTP greeting from %s within %v", s.mux.Server, greetingTimeout))
		}
	})
	defer s.greetingTimer.Stop()

	stopped := stop.Done()
	for !s.ended {
		s.next(&stopped)
		s.actOnWaiting()
	}

	s.cancel()
	for d := range s.datas {
		if d.uploading() {
			s.abortUpload(d, errors.New(s.reason))
		} else {
			d.close(true)
		}
	}
	s.toServer.close()
	s.toClient.close()
	// A peer that reads no more must not keep us.
	timer := time.AfterFunc(lingerTimeout, func() { s.server.Close(); s.client.Close() })
	<-s.toServer.sent
	s.server.Close()
	<-s.toClient.sent
	timer.Stop()
	closeWrite(s.client)
	timer = time.AfterFunc(lingerTimeout, func() { s.client.Close() })
	s.work.Wait()
	timer.Stop()
}

// next waits for one thing to happen and handles it.
func (s *session) next(stopped *<-chan struct{}) {
	commands, replies := s.commands, s.replies
	var room1, room2 chan struct{}
	if s.clientGone || len(s.waiting) >= maxWaiting || len(s.queue) >= maxExchanges {
		commands = nil
	}
	if s.toServer.full() {
		commands, room1 = nil, s.toServer.room
	}
	if s.toClient.full() {
		commands, replies, room2 = nil, nil, s.toClient.room
	}
	if s.held != nil || s.settling {
		replies = nil
	}
	select {
	case <-room1:
	case <-room2:
	case event := <-s.events:
		event()
	case r := <-commands:
		s.onCommand(r.value, r.err)
	case r := <-replies:
		s.onReply(r.value, r.err)
	case <-*stopped:
		*stopped = nil
		s.onStop()
	}
}

func (s *session) readClient() {
	r := bufio.NewReader(s.client)
	for {
		cmd, err := readCommand(r)
		if !deliver(s, s.commands, readResult[command]{cmd, err}) || err != nil && !errors.Is(err, errTooLong) {
			io.Copy(io.Discard, s.client)
			return
		}
	}
}

func (s *session) readServer() {
	replies := replyReader{r: bufio.NewReader(s.server)}
	for {
		line, err := replies.next()
		if errors.Is(err, io.EOF) {
			err = s.whyEOF(s.server)
		}
		if !deliver(s, s.replies, readResult[replyLine]{line, err}) || err != nil {
			return
		}
	}
}

func deliver[T any](s *session, ch chan T, v T) bool {
	select {
	case ch <- v:
		return true
	case <-s.ctx.Done():
		return false
	}
}

// whyEOF returns io.EOF if the peer of c has ended the stream, and the reason
// if the way to it broke. It may wait for that.
func (s *session) whyEOF(c net.Conn) error {
	if e, ok := c.(interface{ EOFErr(context.Context) error }); ok {
		if err := e.EOFErr(s.ctx); err != nil {
			return err
		}
	}
	return io.EOF
}

// aside runs work beside the loop. What it returns runs in the loop, or its
// undo does where the session has ended meanwhile.
func (s *session) aside(work func(context.Context) (event, undo func())) {
	s.work.Go(func() {
		event, undo := work(s.ctx)
		if !deliver(s, s.events, event) && undo != nil {
			undo()
		}
	})
}

// after runs event in the loop once d has passed.
func (s *session) after(d time.Duration, event func()) *time.Timer {
	return time.AfterFunc(d, func() { deliver(s, s.events, event) })
}

// onCommand takes what the client's reader brings.
func (s *session) onCommand(cmd command, err error) {
	switch {
	case errors.Is(err, errTooLong):
		s.waiting = append(s.waiting, command{verb: verb{handle: (*session).refuseLong}})
	case err != nil:
		s.onClientEnd(err)
	case strings.TrimSpace(cmd.text) == "": // some servers answer it and some do not
	case cmd.verb.urgent && (s.busy != "" || len(s.waiting) > 0):
		s.handle(cmd)
	default:
		s.waiting = append(s.waiting, cmd)
	}
}

// actOnWaiting handles the commands for which nothing has to be waited.
func (s *session) actOnWaiting() {
	for !s.ended && s.busy == "" && len(s.waiting) > 0 {
		cmd := s.waiting[0]
		if cmd.verb.data && s.queue.transfer() != nil {
			return
		}
		s.waiting = s.waiting[1:]
		s.handle(cmd)
	}
	if s.clientGone && len(s.waiting) == 0 && s.busy == "" {
		s.hangUp()
	}
}

func (s *session) handle(cmd command) {
	s.log.Debug("C->m", "line", cmd)
	if cmd.verb.handle == nil {
		s.forward(&exchange{cmd: cmd}, nil)
		return
	}
	cmd.verb.handle(s, cmd)
}

// forward sends x's command to the server; then runs when it is on its way.
func (s *session) forward(x *exchange, then func()) {
	s.log.Debug("m->S", "line", x.cmd)
	s.queue = append(s.queue, x)
	if !s.toServer.put(outItem{[]byte(x.cmd.text + "\r\n"), then}) {
		s.fail("the FTP server reads no commands")
	}
}

// ask sends a command of the mux's own; done gets the last line of its final
// reply, or a 425 with code 0 if the server gives none in time.
func (s *session) ask(text string, done func(code int, reply string)) {
	x := &exchange{cmd: ownCommand(text), own: true}
	x.done = func(code int, raw []byte) { done(code, lastLine(raw)) }
	s.forward(x, nil)
	s.unless(x, func() {
		s.giveUp(x)
		done(0, fmt.Sprintf("425 The server gave no reply to %s within %v", x.cmd.name, replyTimeout))
	})
}

// ownCommand makes a command of the mux's own, which no verb handles.
func ownCommand(text string) command {
	name, arg, _ := strings.Cut(text, " ")
	return command{text: text, name: name, arg: arg}
}

// unless runs event if x has no final reply within replyTimeout.
func (s *session) unless(x *exchange, event func()) {
	s.after(replyTimeout, func() {
		switch {
		case x.late || !slices.Contains(s.queue, x):
		case s.midReply && s.answering == x:
			s.unless(x, event)
		default:
			s.log.Warn("no reply from the server", "line", x.cmd, "after", replyTimeout)
			event()
		}
	})
}

// giveUp waits no longer for the reply to x. One that comes soon is swallowed.
func (s *session) giveUp(x *exchange) {
	x.late = true
	s.after(replyTimeout, func() {
		if s.answering != x || !s.midReply {
			s.queue = s.queue.without(x)
		}
	})
}

// answer replies to cmd from here, in its turn.
func (s *session) answer(cmd command, reply string) { s.fulfil(s.promise(cmd), reply) }

// promise takes the place in the queue of an answer that is still to be made.
func (s *session) promise(cmd command) *exchange {
	x := &exchange{cmd: cmd, promise: true}
	s.queue = append(s.queue, x)
	return x
}

// fulfil gives the answer that was promised.
func (s *session) fulfil(x *exchange, reply string) {
	x.local = reply
	s.sayLocal()
	s.hasten(x)
}

// hasten gives the answer from here at last, should the server never answer
// what is ahead of it.
func (s *session) hasten(x *exchange) {
	if !slices.Contains(s.queue, x) {
		return
	}
	s.after(replyTimeout, func() {
		if s.queue.transfer() == nil && !s.midReply && slices.Contains(s.queue, x) {
			s.passOver(x)
			s.sayLocal()
		}
		s.hasten(x)
	})
}

// sayLocal sends the answers from here whose turn has come.
func (s *session) sayLocal() {
	for !s.midReply {
		i := slices.IndexFunc(s.queue, func(x *exchange) bool { return !x.late })
		if i < 0 || s.queue[i].local == "" {
			return
		}
		x := s.queue[i]
		s.queue = s.queue.without(x)
		s.tellClient([]byte(x.local + "\r\n"))
	}
}

// passOver drops what the server left unanswered before x.
func (s *session) passOver(x *exchange) {
	var dropped []*exchange
	s.queue, dropped = s.queue.passOver(x)
	for _, y := range dropped {
		s.log.Info("the server gave no reply", "line", y.cmd, "before", x.cmd)
	}
}

func (s *session) tellClient(raw []byte) {
	s.log.Debug("m->C", "line", oneLine(string(raw)))
	if !s.toClient.put(outItem{data: raw}) {
		s.end("the client reads no replies")
	}
}

// onReply takes what the server's reader brings.
func (s *session) onReply(line replyLine, err error) {
	if err != nil {
		s.onServerEnd(line, err)
		return
	}
	s.log.Debug("S->m", "line", oneLine(string(line.raw)))
	if line.code == 0 { // no reply at all
		if s.greeting() {
			s.fail((&NotFTPError{Addr: s.mux.Server, Got: string(line.raw)}).Error())
			return
		}
		s.tellClient(line.raw)
		return
	}
	if !s.midReply {
		s.answering = s.queue.match(line.code)
	}
	s.midReply = !line.last
	x := s.answering
	switch {
	case x == nil:
		// It would lead the client past the tunnel if it were a port.
		if !passive(line.code) {
			s.tellClient(line.raw)
		}
		if line.last {
			s.log.Info("a reply that nobody asked for", "code", line.code)
			s.sayLocal()
		}
		return
	case x.keeps(line.code):
		x.text = append(x.text, line.raw...)
		if len(x.text) > maxReply {
			s.fail(fmt.Sprintf("the server's reply to %s is over %d KiB", x.cmd, maxReply>>10))
			return
		}
	default:
		s.tellClient(line.raw)
	}
	if line.last {
		s.onLastLine(x, line)
	}
}

// onLastLine acts on a whole reply to x.
func (s *session) onLastLine(x *exchange, line replyLine) {
	text := x.text
	x.text = nil
	if line.code < 200 {
		s.onPreliminary(x, line, text)
		return
	}
	if x.data != nil && !x.late && ends(line.code) && x.data.verdict() == undecided {
		x.text = text // until the data has ended
		s.held = x
		x.data.awaitEnd()
		return
	}
	s.onFinal(x, line.code, text)
}

// onFinal acts on the final reply to x; text is what the client has not seen.
func (s *session) onFinal(x *exchange, code int, text []byte) {
	s.passOver(x)
	s.queue = s.queue.without(x)
	switch {
	case x.late:
	case x.done != nil:
		x.done(code, text)
	case x.data != nil:
		s.onTransferEnd(x, code, text)
	}
	s.sayLocal()
	if s.stopping {
		s.onStop()
	}
}

// onPreliminary acts on a whole 1yz reply to x.
func (s *session) onPreliminary(x *exchange, line replyLine, text []byte) {
	if begins(line.code) {
		s.passOver(x)
	}
	switch {
	case x.data != nil && begins(line.code):
		x.begun = true
	case !x.own && begins(line.code) && s.data != nil && s.data.err == nil:
		// A verb that is not in the table turns out to be a transfer.
		x.data, x.begun = s.data, true
		s.data = nil
		x.data.begin(eitherWay, x.cmd)
	case s.greeting():
		s.greetingTimer.Stop() // 120: it says itself how long
		s.tellClient(text)
	}
}

// greeting tells whether the server has not greeted yet.
func (s *session) greeting() bool {
	return len(s.queue) > 0 && s.queue[0].own && s.queue[0].cmd.name == ""
}

// greeted takes the server's greeting.
func (s *session) greeted(code int, raw []byte) {
	s.tellClient(raw)
	s.busy = ""
}

// feat asks for the features; the reply loses those that do not work here.
func (s *session) feat(cmd command) {
	s.forward(&exchange{cmd: cmd, done: func(_ int, raw []byte) { s.tellClient(withoutHidden(raw)) }}, nil)
}

// leave passes QUIT on: the end that follows is an orderly one.
func (s *session) leave(cmd command) {
	s.quit = true
	s.forward(&exchange{cmd: cmd}, nil)
}

// rein passes REIN on; its success drops the data connection.
func (s *session) rein(cmd command) {
	d := s.data
	s.forward(&exchange{cmd: cmd, done: func(code int, raw []byte) {
		s.tellClient(raw)
		if code < 300 && s.data == d {
			s.dropData("REIN")
		}
	}}, nil)
}

// rest passes REST on.
func (s *session) rest(cmd command) {
	s.restart = true
	s.forward(&exchange{cmd: cmd}, nil)
}

func (s *session) refuseLong(cmd command) {
	s.answer(cmd, fmt.Sprintf("500 A command line is at most %d bytes long here", maxCommand))
}

func (s *session) refuseTLS(cmd command) {
	s.answer(cmd, "534 This connection is protected by SSH already; use plain FTP here")
}

func (s *session) refuse(cmd command) {
	s.answer(cmd, "502 "+cmd.name+" does not work through this tunnel; use EPSV, PASV, EPRT or PORT")
}

// onClientEnd acts on the end of the client's side.
func (s *session) onClientEnd(err error) {
	s.clientGone = true
	s.log.Debug("the client's side ended", "error", err)
	s.outlive(-1)
	x := s.queue.transfer()
	if x != nil && !s.quit && x.data.direction != download && x.data.verdict() == undecided {
		s.abortUpload(x.data, errors.New("the client has gone")) // what it was sending is not whole
	}
}

// hangUp ends our side towards the server once the client has ended its own
// and no transfer is left; the server's last replies still come.
func (s *session) hangUp() {
	if s.hungUp || s.queue.transfer() != nil {
		return
	}
	s.hungUp = true
	s.toServer.put(outItem{then: func() { closeWrite(s.server) }})
	s.after(lingerTimeout, func() { s.end("the client has gone") })
}

// outlive lets a transfer go on without its control connection as long as
// there is progress.
func (s *session) outlive(moved int64) {
	s.after(replyTimeout, func() {
		x := s.queue.transfer()
		if x == nil || x.data.bytes() == moved {
			s.end("the client has gone")
			return
		}
		s.outlive(x.data.bytes())
	})
}

// onServerEnd acts on the end of the server's side.
func (s *session) onServerEnd(line replyLine, err error) {
	switch {
	case s.greeting():
		s.fail((&NotFTPError{Addr: s.mux.Server, Got: string(line.raw), Err: err}).Error())
	case errors.Is(err, errLineTooLong):
		s.fail(err.Error())
	case errors.Is(err, io.EOF):
		if len(line.raw) > 0 {
			s.tellClient(line.raw)
		}
		s.end("the server has closed the session")
	default:
		s.fail("the connection to the FTP server is lost: " + err.Error())
	}
}

// onStop ends the session now if nothing is being transferred, else when that
// is through or the grace is over.
func (s *session) onStop() {
	const why = "pasvport is stopping"
	if s.queue.transfer() == nil {
		s.fail(why)
		return
	}
	if !s.stopping {
		s.stopping = true
		s.after(s.mux.Grace, func() { s.fail(why) })
	}
}

// fail ends the session and tells the client why.
func (s *session) fail(reason string) {
	if !s.ended {
		s.tellClient([]byte("421 " + oneLine(reason) + "\r\n"))
	}
	s.end(reason)
}

func (s *session) end(reason string) {
	if !s.ended {
		s.ended, s.reason = true, reason
	}
}

// lastLine returns the last line of raw without its end.
func lastLine(raw []byte) string {
	text := strings.TrimRight(string(raw), "\r\n")
	return text[strings.LastIndexByte(text, '\n')+1:]
}
