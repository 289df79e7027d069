package ftpmux

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
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
	view       *view // for others
	client     net.Conn
	server     net.Conn
	way        net.Conn   // server, below TLS
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
	busy     bool      // something has to be settled before they are
	pending  *exchange // a transfer command that waits for its data connection
	settling bool      // an answer from here is being made; the server's wait behind it
	restart  []string  // commands that undo what REST and RANG have set for the next transfer

	shown  []*record     // of the transfers under way
	offset *atomic.Int64 // of the next one, by REST

	sizes      *sizes // of files
	allocated  int64  // ... of the one that is uploaded next, by ALLO; 0: not known
	image      bool   // files pass as they are
	compressed bool   // ... but smaller

	data      *dataConn // of the next transfer
	spare     *dataConn // ... of the one after it, to the server
	datas     map[*dataConn]struct{}
	tls       *tls.Config // of data connections; nil for none
	protected bool        // the server encrypts them

	epsvOnly bool   // the client sent EPSV ALL
	lacks    string // EPSV or PASV, where the server refuses that and not the other
	noPORT   bool   // the server cannot connect to a listener at the far side

	greetingTimer *time.Timer
	silent        bool   // the greeting did not come in time
	greets        string // its first line

	loggedIn bool      // by all that is known
	lastSaid time.Time // when the server was told something
	typed    *typed

	secrets    []string // of the client's, which replies may repeat
	quit       bool     // the client said so
	clientGone bool
	hungUp     bool // ... and the server was told
	stopping   bool
	stop       <-chan struct{} // the mux is told to stop; nil once heard
	reason     string          // why the session is over; "" while it is not
}

// lineSize is read at a time from a control connection; lines may be longer.
const lineSize = 512

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
		offset:     new(atomic.Int64),
		sizes:      new(sizes),
		typed:      new(typed),
		busy:       true, // until the server's greeting
	}
	s.queue = queue{{own: true, then: s.greeted}} // the greeting answers no command
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
			s.silent = true
			s.server.Close() // its reader brings what has come of a line
		}
	})
	defer s.greetingTimer.Stop()

	s.stop = stop.Done()
	for s.reason == "" {
		s.next()
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
	s.endRecords()
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
func (s *session) next() {
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
	case <-s.stop:
		s.stop = nil
		s.onStop()
	case <-s.view.stop:
		s.onStopSession()
	}
}

func (s *session) readClient() {
	r := bufio.NewReaderSize(s.client, lineSize)
	for {
		cmd, err := readCommand(r)
		if !deliver(s, s.commands, readResult[command]{cmd, err}) || err != nil && !errors.Is(err, errTooLong) {
			io.Copy(io.Discard, s.client)
			return
		}
	}
}

func (s *session) readServer() {
	replies := replyReader{r: bufio.NewReaderSize(s.server, lineSize), fresh: true}
	for {
		line, err := replies.next()
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
