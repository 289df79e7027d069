package ftpmux

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// onReply takes what the server's reader brings.
func (s *session) onReply(line replyLine, err error) {
	if err != nil {
		s.onServerEnd(line, err)
		return
	}
	s.log.Debug("S->m", "line", s.withoutSecrets(line.raw))
	if s.greeting() {
		s.greetingTimer.Reset(greetingTimeout)
		s.greets = cmp.Or(s.greets, string(line.raw))
	}
	if line.code == 0 { // no reply at all
		if s.greeting() {
			s.fail((&NotFTPError{Addr: s.mux.Server, Got: string(line.raw)}).Error())
			return
		}
		s.tellClient(line.raw)
		return
	}
	if !s.midReply {
		s.answering = s.refusesSpare(line)
		if s.answering == nil {
			s.answering = s.whose(line.code)
		}
	}
	s.midReply = !line.last
	x := s.answering
	if x != nil {
		s.noticeTLS(x, line)
	}
	switch {
	case x == nil:
		s.onStray(line)
		return
	case x.late:
	case x.keeps(line.code):
		x.text = append(x.text, line.raw...)
		if len(x.text) > maxReply {
			s.fail(fmt.Sprintf("the server's reply to %s is over %d KiB", x.cmd, maxReply>>10))
			return
		}
	default:
		s.tellClient(line.raw)
		if x.overhears != nil {
			x.overhears(line)
		}
	}
	if line.last {
		s.onLastLine(x, line)
	}
}

// whose returns the exchange that a reply belongs to of which the first line is
// here, or nil.
func (s *session) whose(code int) *exchange {
	x := s.queue.match(code, s.transferDue())
	switch {
	case x == nil && begins(code) && s.data != nil && s.data.cmd.name != "":
		// The client was told that the transfer is refused, by a 421 maybe.
		s.data.err = errors.New("the server begins what it has refused")
		s.data.close(true)
		s.data = nil
	case x != nil && x.heard != nil && code >= 200:
		s.passOver(x)
		x.heard()
	}
	return x
}

// transferDue tells whether the client waits for the end of a transfer, though the
// server may not have heard of it.
func (s *session) transferDue() bool {
	return s.pending != nil ||
		slices.ContainsFunc(s.waiting, func(cmd command) bool { return cmd.verb.transfers() }) ||
		slices.ContainsFunc(s.queue, func(x *exchange) bool { return !x.late && x.cmd.verb.transfers() })
}

// onStray acts on a line of a reply that nobody asked for, or asked for any more.
// The client gets it as it would without us, but for a port, which would lead it
// past the tunnel, and for what it could take for the end of a transfer.
func (s *session) onStray(line replyLine) {
	kept := passive(line.code) || ends(line.code) || line.code == 426
	if !kept {
		s.tellClient(line.raw)
	}
	if line.last {
		s.log.Info("a reply that nobody asked for", "code", line.code, "passed", !kept)
		if x := s.pending; x != nil && !kept && line.code >= 400 { // it has its answer
			s.pending, s.busy = nil, false
			s.undoRestart()
			s.endRecord(x.record, false, saying(lastLine(line.raw)))
			x.data.fail(fmt.Errorf("the server says %d", line.code))
		}
		s.sayLocal()
	}
}

// onLastLine acts on a whole reply to x.
func (s *session) onLastLine(x *exchange, line replyLine) {
	text := x.text
	x.text, x.said = nil, lastLine(line.raw)
	switch {
	case !x.late && x.lastWord(line.code):
		s.onFinal(x, 226, text) // which becomes a 426
	case x.begun && begins(line.code):
		x.over = true
	case line.code < 200:
		s.onPreliminary(x, line)
	case x.data == nil || x.late || !ends(line.code):
		s.onFinal(x, line.code, text)
	case !x.begun:
		x.early = text
		x.data.awaitEnd()
		s.sayEarly(x)
	case x.data.verdict() == undecided:
		x.text = text // until the data has ended
		s.held = x
		x.data.awaitEnd()
	default:
		s.onFinal(x, line.code, text)
	}
}

// onFinal acts on the final reply to x; text is what the client has not seen.
func (s *session) onFinal(x *exchange, code int, text []byte) {
	s.passOver(x)
	s.queue = s.queue.without(x)
	if code == 230 || code == 232 {
		s.loggedIn = true
	}
	switch {
	case x.late:
		s.logOf(x).Info("a reply that was given up has come", "line", x.cmd, "code", code)
	case x.done != nil:
		x.done(code, text)
	case x.then != nil:
		x.then(code)
	case x.data != nil:
		s.onTransferEnd(x, code, text)
	}
	s.sayLocal()
	if s.stopping {
		s.onStop()
	}
}

// onPreliminary acts on a whole 1yz reply to x.
func (s *session) onPreliminary(x *exchange, line replyLine) {
	if begins(line.code) {
		s.passOver(x)
	}
	_, plain := plain[x.cmd.name]
	switch {
	case x.data != nil && begins(line.code):
		if x.early != nil {
			s.log.Info("a reply that nobody asked for", "reply", lastLine(x.early))
		}
		x.begun, x.early = true, nil
		s.learnOpening(x.record, x.said)
	case !x.own && !x.late && !plain && begins(line.code) && s.data != nil:
		// A verb that is not in the table turns out to be a transfer.
		x.data, x.begun, x.record = s.data, true, s.newRecord(x.cmd)
		s.data = nil
		x.data.begin(x.record)
		x.data.callClient()
	case s.greeting():
		s.greetingTimer.Stop() // 120: it says itself how long
	}
}

// greeting tells whether the server has not greeted yet.
func (s *session) greeting() bool {
	return len(s.queue) > 0 && s.queue[0].own && s.queue[0].cmd.name == ""
}

// greeted takes the server's greeting.
func (s *session) greeted(int) { s.busy = false }

// lastLine returns the last line of raw without its end.
func lastLine(raw []byte) string {
	text := strings.TrimRight(string(raw), "\r\n")
	return text[strings.LastIndexByte(text, '\n')+1:]
}
