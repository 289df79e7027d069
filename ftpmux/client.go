package ftpmux

import (
	"errors"
	"fmt"
	"strings"
)

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
