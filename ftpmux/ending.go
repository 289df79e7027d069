package ftpmux

import (
	"cmp"
	"context"
	"errors"
	"io"
)

// onClientEnd acts on the end of the client's side.
func (s *session) onClientEnd(err error) {
	s.clientGone = true
	s.log.Debug("the client's side ended", "error", err)
	s.outlive(-1)
	x := s.queue.transfer()
	if x != nil && !s.quit && x.data.direction != download && x.data.err == nil && !x.data.up.told {
		s.abortUpload(x.data, errors.New("the client has gone")) // what it was sending is not whole
	}
}

// clientDied tells whether the client's control connection has ended without a
// QUIT, even if that was not read yet.
func (s *session) clientDied() bool {
	p, ok := s.client.(interface{ PeerEnded() bool })
	return !s.quit && (s.clientGone || ok && p.PeerEnded())
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
	noTLS, isTLS := errors.AsType[*TLSError](err)
	switch {
	case isTLS:
		s.fail(noTLS.Error())
	case s.greeting():
		if s.silent {
			err = context.DeadlineExceeded
		}
		s.fail((&NotFTPError{Addr: s.mux.Server, Got: cmp.Or(s.greets, string(line.raw)), Err: err}).Error())
	case errors.Is(err, errLineTooLong):
		s.fail(err.Error())
	case errors.Is(err, io.EOF):
		// A line cut off by the end is dropped: who could tell what it was to be?
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
		s.dismiss(why)
		return
	}
	if !s.stopping {
		s.stopping = true
		s.after(s.mux.Grace, func() { s.dismiss(why) })
	}
}

// onStopSession ends the session now, as somebody wants.
func (s *session) onStopSession() {
	const why = "stopped by pasvport's user"
	if s.queue.transfer() != nil {
		s.tellClient([]byte("426 The transfer did not complete: " + why + "\r\n"))
	}
	s.dismiss(why)
}

// dismiss ends the session and tells the client why.
func (s *session) dismiss(reason string) {
	if s.reason == "" {
		s.tellClient([]byte("421 " + oneLine(reason) + "\r\n"))
	}
	s.end(reason)
}

// fail ends the session because of something that is wrong.
func (s *session) fail(reason string) {
	if s.reason == "" {
		s.log.Warn("the session is ended from here", "reason", reason)
	}
	s.dismiss(reason)
}

func (s *session) end(reason string) {
	if s.reason == "" {
		s.reason = reason
	}
}
