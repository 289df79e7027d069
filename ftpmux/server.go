package ftpmux

import (
	"fmt"
	"strings"
)

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
	if begins(line.code) && x.begun && x.data.verdict() == broken {
		s.onFinal(x, line.code, text) // Pure-FTPd's last word on a broken download
		return
	}
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
		x.data.begin(x.cmd)
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
	s.busy = false
}

// lastLine returns the last line of raw without its end.
func lastLine(raw []byte) string {
	text := strings.TrimRight(string(raw), "\r\n")
	return text[strings.LastIndexByte(text, '\n')+1:]
}
