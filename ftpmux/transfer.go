package ftpmux

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"
)

// transfer passes a transfer command on once its data connection is there: a
// server that waits for one in vain would wait for minutes, and one that sees
// it closed takes that for an empty file.
func (s *session) transfer(cmd command) {
	d, r := s.data, s.newRecord(cmd)
	switch {
	case d == nil:
		s.refuseTransfer(r, "425 No data connection: use EPSV, PASV, EPRT or PORT first")
		return
	case d.err != nil:
		d.fail(d.err)
		s.refuseTransfer(r, "425 No data connection: "+oneLine(d.err.Error()))
		return
	}
	s.busy = true
	s.pending = &exchange{cmd: cmd, data: d, record: r}
	if d.lost {
		d.lost = false
		s.dropSpare("the one before is used again")
		s.askPassive(d, func(reply string) { d.noServer(errors.New(reply)) }, func() {})
	}
	d.callClient()
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
		s.refuseTransfer(x.record, "425 No data connection: "+oneLine(x.data.err.Error()))
	case x.data.ready():
		s.pending, s.busy, s.data, s.restart = nil, false, nil, nil
		s.forward(x, nil)
		x.data.begin(x.record)
		s.prepareSpare(atCommand)
	}
}

// refuseTransfer answers a transfer command of which the server has not heard.
// A REST or RANG that was meant for it must not hit the next one.
func (s *session) refuseTransfer(r *record, reply string) {
	s.undoRestart()
	s.endRecord(r, false, reply)
	s.answer(r.cmd, reply)
}

func (s *session) undoRestart() {
	for _, undo := range s.restart {
		s.ask(undo, func(int, string) {})
	}
	s.restart, s.offset = nil, new(atomic.Int64)
}

// abor passes ABOR on and cuts the data connection off behind it: most servers
// look at their control connection only then. It is passed on without the
// Telnet bytes, whose urgent one cannot cross SSH.
func (s *session) abor(cmd command) {
	aborted := func(r *record) { s.refuseTransfer(r, "426 The transfer is aborted") }
	if x := s.pending; x != nil {
		s.pending, s.busy = nil, false
		aborted(x.record)
	}
	s.waiting = slices.DeleteFunc(s.waiting, func(cmd command) bool {
		if cmd.verb.transfers() {
			aborted(s.newRecord(cmd))
		}
		return cmd.verb.transfers()
	})
	s.dropSpare("ABOR")
	x := s.queue.transfer()
	abor := &exchange{cmd: cmd}
	if x == nil {
		d := s.data
		if s.busy { // it is still being made
			d = nil
		}
		abor.heard = func() {
			if s.data == d {
				s.dropData("ABOR") // as some servers do; others would go on using it
			}
			s.sayAhead(abor) // of its 226, which could be taken for theirs
		}
		s.forward(abor, nil)
		return
	}
	s.cutOff(x.data, abor, errors.New("aborted by the client"))
	s.unless(abor, func() { // a server that answers the two of them once
		s.abandon(abor, "225 ABOR: the server gave no reply")
	})
}

// abandonTransfer waits no longer for the final reply to a transfer that is
// broken.
func (s *session) abandonTransfer(x *exchange) {
	s.endRecord(x.record, x.begun || x.data.bytes() > 0, x.data.err.Error())
	s.abandon(x, x.failure())
}

// failure tells the client that x's data is broken.
func (x *exchange) failure() string {
	if !x.begun && x.data.noWay {
		return "425 No data connection: " + oneLine(x.data.err.Error())
	}
	return "426 The transfer did not complete: " + oneLine(x.data.err.Error())
}

// cutOff breaks d and sends abor ahead of the end of the server's side. To a
// server that is receiving, that end is the end of the file, so it has a moment to
// heed the ABOR first, and more when that takes longer to get there than the data's end.
func (s *session) cutOff(d *dataConn, abor *exchange, why error) {
	server, patience := d.server, time.Duration(0)
	if d.uploading() {
		patience = abortPatience
	}
	d.server = nil
	d.breakWith(why)
	abor.heard = func() {
		if x := s.queue.of(d); x != nil { // this is the only reply
			s.abandonTransfer(x)
		}
		s.sayAhead(abor)
	}
	sent := make(chan struct{})
	s.forward(abor, func() { close(sent) })
	if server == nil {
		return
	}
	s.work.Go(func() {
		<-sent
		heeded := time.After(patience)
		if patience > 0 {
			s.arrive(d.answered)
		}
		select {
		case <-heeded:
		case <-d.answered:
		}
		server.Close()
	})
}

// arrive returns when the server has what was sent to it, as far as that is known, or
// answered is closed; it does not wait for ever. Where control and data have one way, what
// was sent first is there first anyway.
func (s *session) arrive(answered <-chan struct{}) {
	way, ok := s.way.(interface{ Arrived(context.Context) error })
	if s.mux.DataRemote == nil || !ok {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*abortPatience)
	defer cancel()
	s.work.Go(func() {
		select {
		case <-answered:
			cancel()
		case <-ctx.Done():
		}
	})
	way.Arrived(ctx)
}

// abortUpload tells the server of an upload that ended before its end. SSH
// carries no reset, so ABOR goes out before the end of the data does.
func (s *session) abortUpload(d *dataConn, why error) {
	d.record.log.Warn("an upload was cut off; the file on the server is not complete", "line", d.cmd, "reason", why)
	abor := &exchange{cmd: ownCommand("ABOR"), own: true, done: func(int, []byte) {}}
	s.cutOff(d, abor, why)
	s.forget(abor, 10*abortPatience) // no server needs longer, and some never answer
}

// withdraw takes back a transfer command that went out beside the dialling of its
// data connection, which has failed.
func (s *session) withdraw(x *exchange, why error) {
	abor := &exchange{cmd: ownCommand("ABOR"), own: true, done: func(int, []byte) {}}
	s.cutOff(x.data, abor, why)
	s.forget(abor, 10*abortPatience)
}

// sayHeld acts on the reply that waited for the end of its data.
func (s *session) sayHeld() {
	if x := s.held; x != nil && x.data.verdict() != undecided {
		s.held = nil
		code, _ := replyCode(x.text)
		s.onFinal(x, code, x.text)
		return
	}
	if x := s.queue.transfer(); x != nil {
		s.sayEarly(x)
	}
}

// sayEarly acts on a 226 or 250 without a 125 or 150. It may be one reply too
// many to something before, and the transfer may yet fail; or the server is one of
// those that leave the 150 out. So the data has to end first, and a moment pass.
func (s *session) sayEarly(x *exchange) {
	if x.early == nil || x.data.verdict() == undecided {
		return
	}
	s.after(earlyPatience, func() {
		if x.early != nil && !x.begun && !x.late && slices.Contains(s.queue, x) && !s.hears(x) {
			s.logOf(x).Info("the server began no transfer and calls it complete", "line", x.cmd)
			code, _ := replyCode(x.early)
			s.onFinal(x, code, x.early)
		}
	})
}

// onTransferEnd acts on the final reply to a transfer.
func (s *session) onTransferEnd(x *exchange, code int, text []byte) {
	d, log := x.data, x.record.log
	close(d.answered)
	switch {
	case ends(code) && d.verdict() == broken:
		d.close(true)
		log.Warn("transfer broken", "line", x.cmd, "bytes", d.bytes(), "reason", d.err)
		s.endRecord(x.record, true, d.err.Error())
		s.tellClient([]byte(x.failure() + "\r\n"))
	case ends(code):
		d.close(false)
		log.Debug("transfer complete", "line", x.cmd, "bytes", d.bytes())
		s.endRecord(x.record, true, "")
		s.tellClient(text)
	case !x.begun && s.data == nil && d.reusable():
		// The server refused the command and may keep the connection open
		// for the next one; if not, its end will tell.
		log.Debug("transfer refused", "line", x.cmd, "code", code)
		s.endRecord(x.record, false, saying(x.said))
		d.running, d.answered = false, make(chan struct{})
		s.data = d
		if d.halfClosed || d.replaced { // a second command does not go by itself there
			d.loseServer()
		}
	case x.begun && d.uploading(): // it may be the answer to something else
		s.abortUpload(d, fmt.Errorf("the server says %d", code))
		s.endRecord(x.record, true, saying(x.said))
	default:
		d.close(x.begun || d.bytes() > 0)
		log.Debug("transfer failed", "line", x.cmd, "bytes", d.bytes(), "code", code)
		reason := saying(x.said)
		if d.err != nil {
			reason = d.err.Error()
		}
		s.endRecord(x.record, x.begun || d.bytes() > 0, reason)
	}
}
