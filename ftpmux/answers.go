package ftpmux

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// forward sends x's command to the server; then runs when it is on its way.
func (s *session) forward(x *exchange, then func()) {
	s.logOf(x).Debug("m->S", "line", x.cmd)
	s.queue = append(s.queue, x)
	s.lastSaid = time.Now()
	if !s.toServer.put(outItem{[]byte(x.cmd.text + "\r\n"), then}) {
		if then != nil {
			then()
		}
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
	return command{text: text, name: strings.ToUpper(name), arg: arg}
}

// unless runs event if x has no final reply within replyTimeout. What the mux itself
// asks behind a transfer has no reply before that one, with some servers.
func (s *session) unless(x *exchange, event func()) {
	s.after(replyTimeout, func() {
		switch {
		case x.late || !slices.Contains(s.queue, x):
		case s.hears(x), x.own && s.queue.behindTransfer(x):
			s.unless(x, event)
		default:
			s.logOf(x).Warn("no reply from the server", "line", x.cmd, "after", replyTimeout)
			event()
		}
	})
}

// giveUp waits no longer for the reply to x. One that comes soon is swallowed.
func (s *session) giveUp(x *exchange) {
	x.late = true
	s.forget(x, replyTimeout)
}

// forget drops x after some time, unless its reply is under way then. Behind a transfer
// it stays until that is dropped or has its reply, for which some servers need a minute.
func (s *session) forget(x *exchange, after time.Duration) {
	s.after(after, func() {
		switch {
		case s.queue.behindTransfer(x):
			s.forget(x, after)
		case !s.hears(x):
			s.queue = s.queue.without(x)
		}
	})
}

// hears tells whether the reply to x is under way.
func (s *session) hears(x *exchange) bool { return s.midReply && s.answering == x }

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
		i := slices.IndexFunc(s.queue, (*exchange).forClient)
		if i < 0 || s.queue[i].local == "" {
			return
		}
		x := s.queue[i]
		s.queue = s.queue.without(x)
		s.tellClient([]byte(x.local + "\r\n"))
	}
}

// sayAhead sends the answers from here that wait ahead of x.
func (s *session) sayAhead(x *exchange) {
	for _, y := range s.queue[:max(slices.Index(s.queue, x), 0)] {
		if y.local != "" {
			s.queue = s.queue.without(y)
			s.tellClient([]byte(y.local + "\r\n"))
		}
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

// abandon gives up the reply to x, and gives the client one in its place.
func (s *session) abandon(x *exchange, reply string) {
	i := slices.Index(s.queue, x)
	s.giveUp(x)
	local := &exchange{cmd: x.cmd, promise: true, local: oneLine(reply)}
	s.queue = slices.Insert(slices.Clone(s.queue), i, local)
	s.sayLocal()
}

// maxSecrets is how many passwords of a session are looked for in replies.
const maxSecrets = 8

// keepSecret takes note of the password that cmd has, if any.
func (s *session) keepSecret(cmd command) {
	if _, secret, _ := cmd.hidden(); secret != "" && len(s.secrets) < maxSecrets && !slices.Contains(s.secrets, secret) {
		s.secrets = append(s.secrets, secret)
	}
}

// withoutSecrets is a reply for the log: some servers repeat a line that they do not
// understand.
func (s *session) withoutSecrets(raw []byte) string {
	text := string(raw)
	for _, secret := range s.secrets {
		text = strings.ReplaceAll(text, secret, "****")
	}
	return oneLine(text)
}

func (s *session) tellClient(raw []byte) {
	s.log.Debug("m->C", "line", s.withoutSecrets(raw))
	if !s.toClient.put(outItem{data: raw}) {
		s.end("the client reads no replies")
	}
}
