package ftpmux

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// transfer passes a transfer command on once its data connection is there: a
// server that waits for one in vain would wait for minutes, and one that sees
// it closed takes that for an empty file.
func (s *session) transfer(cmd command) {
	d := s.data
	switch {
	case d == nil:
		s.refuseTransfer(cmd, "425 No data connection: use EPSV, PASV, EPRT or PORT first")
		return
	case d.err != nil:
		d.fail(d.err)
		s.refuseTransfer(cmd, "425 No data connection: "+oneLine(d.err.Error()))
		return
	}
	s.busy = true
	s.pending = &exchange{cmd: cmd, data: d}
	if d.dialClient.IsValid() && d.client == nil {
		d.dial(s.mux.local(), d.dialClient.String(), d.clientReady, d.fail)
	}
	s.tryPending()
}

// tryPending passes the transfer command on that waits for its data
// connection, if it is there, and answers it if it will never be.
func (s *session) tryPending() {
	x := s.pending
	switch {
	case x == nil:
	case x.data.err != nil:
		s.pending, s.busy = nil, false
		s.refuseTransfer(x.cmd, "425 No data connection: "+oneLine(x.data.err.Error()))
	case x.data.ready():
		s.pending, s.busy, s.data, s.restart = nil, false, nil, false
		s.forward(x, nil)
		x.data.begin(x.cmd)
	}
}

// refuseTransfer answers a transfer command of which the server has not heard.
// A REST that was meant for it must not hit the next one.
func (s *session) refuseTransfer(cmd command, reply string) {
	if s.restart {
		s.restart = false
		s.ask("REST 0", func(int, string) {})
	}
	s.answer(cmd, reply)
}

// abor passes ABOR on and cuts the data connection off behind it: most servers
// look at their control connection only then. It is passed on without the
// Telnet bytes, whose urgent one cannot cross SSH.
func (s *session) abor(cmd command) {
	aborted := func(cmd command) { s.refuseTransfer(cmd, "426 The transfer is aborted") }
	if x := s.pending; x != nil {
		s.pending, s.busy = nil, false
		aborted(x.cmd)
	}
	s.waiting = slices.DeleteFunc(s.waiting, func(cmd command) bool {
		if cmd.verb.direction != eitherWay {
			aborted(cmd)
		}
		return cmd.verb.direction != eitherWay
	})
	x := s.queue.transfer()
	if x == nil {
		s.forward(&exchange{cmd: cmd}, nil)
		return
	}
	s.cutOff(x.data, &exchange{cmd: cmd, done: func(_ int, raw []byte) { s.tellClient(raw) }}, errors.New("aborted by the client"))
}

// abandon waits no longer for the final reply to a transfer that is broken, and
// gives the client one.
func (s *session) abandon(x *exchange) {
	i := slices.Index(s.queue, x)
	s.giveUp(x)
	local := &exchange{cmd: x.cmd, promise: true, local: "426 " + oneLine("The transfer did not complete: "+x.data.err.Error())}
	s.queue = slices.Insert(slices.Clone(s.queue), i, local)
	s.sayLocal()
}

// cutOff breaks d and sends abor ahead of the end of the server's side. To a
// server that is receiving, that end is the end of the file, so it has a moment to
// heed the ABOR first.
func (s *session) cutOff(d *dataConn, abor *exchange, why error) {
	server, done, patience := d.server, abor.done, time.Duration(0)
	if d.uploading() {
		patience = abortPatience
	}
	d.server = nil
	d.breakWith(why)
	abor.done = func(code int, raw []byte) {
		if x := s.queue.of(d); x != nil { // this is the only reply
			s.abandon(x)
		}
		done(code, raw)
	}
	sent := make(chan struct{})
	s.forward(abor, func() { close(sent) })
	if server == nil {
		return
	}
	s.work.Go(func() {
		<-sent
		select {
		case <-time.After(patience):
		case <-d.answered:
		}
		server.Close()
	})
}

// abortUpload tells the server of an upload that ended before its end. SSH
// carries no reset, so ABOR goes out before the end of the data does.
func (s *session) abortUpload(d *dataConn, why error) {
	s.log.Warn("an upload was cut off; the file on the server is not complete", "line", d.cmd, "reason", why)
	abor := &exchange{cmd: ownCommand("ABOR"), own: true, done: func(int, []byte) {}}
	s.cutOff(d, abor, why)
	s.after(10*abortPatience, func() { // no server needs longer, and some never answer
		if !s.midReply || s.answering != abor {
			s.queue = s.queue.without(abor)
		}
	})
}

// sayHeld acts on the reply that waited for the end of its data.
func (s *session) sayHeld() {
	if x := s.held; x != nil && x.data.verdict() != undecided {
		s.held = nil
		code, _ := replyCode(x.text)
		s.onFinal(x, code, x.text)
	}
}

// onTransferEnd acts on the final reply to a transfer.
func (s *session) onTransferEnd(x *exchange, code int, text []byte) {
	d := x.data
	close(d.answered)
	switch {
	case ends(code) && d.verdict() == broken:
		d.close(true)
		s.log.Warn("transfer broken", "line", x.cmd, "bytes", d.bytes(), "reason", d.err)
		s.tellClient([]byte("426 The transfer did not complete: " + oneLine(d.err.Error()) + "\r\n"))
	case ends(code):
		d.close(false)
		s.log.Info("transfer complete", "line", x.cmd, "bytes", d.bytes())
		s.tellClient(text)
	case !x.begun && s.data == nil && d.reusable():
		// The server refused the command and may keep the connection open
		// for the next one; if not, its end will tell.
		s.log.Info("transfer refused", "line", x.cmd, "code", code)
		d.running, d.answered = false, make(chan struct{})
		s.data = d
	case x.begun && d.uploading(): // it may be the answer to something else
		s.abortUpload(d, fmt.Errorf("the server says %d", code))
	default:
		d.close(x.begun)
		s.log.Info("transfer failed", "line", x.cmd, "bytes", d.bytes(), "code", code)
	}
}
