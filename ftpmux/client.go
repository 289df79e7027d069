package ftpmux

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
)

var tooLong = fmt.Sprintf("500 A command line is at most %d bytes long here", maxCommand)

// onCommand takes what the client's reader brings.
func (s *session) onCommand(cmd command, err error) {
	s.quit = s.quit || cmd.name == "QUIT" // though it may have to wait
	switch {
	case errors.Is(err, errTooLong):
		s.waiting = append(s.waiting, command{verb: verb{refusal: tooLong}})
	case err != nil:
		s.onClientEnd(err)
	case strings.TrimSpace(cmd.text) == "": // some servers answer it and some do not
	case cmd.verb.urgent && !s.greeting() && (s.busy || len(s.waiting) > 0):
		s.handle(cmd)
	default:
		s.waiting = append(s.waiting, cmd)
	}
}

// actOnWaiting handles the commands for which nothing has to be waited.
func (s *session) actOnWaiting() {
	for s.reason == "" && !s.busy && len(s.waiting) > 0 {
		cmd := s.waiting[0]
		if cmd.verb.data && s.queue.transfer() != nil {
			return
		}
		s.waiting = s.waiting[1:]
		s.handle(cmd)
	}
	if s.clientGone && len(s.waiting) == 0 && !s.busy {
		s.hangUp()
	}
}

func (s *session) handle(cmd command) {
	s.keepSecret(cmd)
	s.log.Debug("C->m", "line", cmd)
	if !keepsSizes[cmd.name] {
		s.sizes = new(sizes)
	}
	if !keepsType[cmd.name] {
		s.typed = new(typed)
	}
	switch {
	case cmd.verb.refusal != "":
		s.answer(cmd, cmd.verb.refusal)
	case cmd.verb.handle != nil:
		cmd.verb.handle(s, cmd)
	default:
		s.forward(&exchange{cmd: cmd}, nil)
	}
}

// feat asks for the features; the reply loses those that do not work here.
func (s *session) feat(cmd command) {
	s.forward(&exchange{cmd: cmd, done: func(_ int, raw []byte) { s.tellClient(withoutRefused(raw)) }}, nil)
}

// withoutRefused removes from a FEAT reply the features that do not work here:
// RFC 2389, section 3.2.
func withoutRefused(reply []byte) []byte {
	lines := bytes.SplitAfter(reply, []byte("\n"))
	lines = slices.DeleteFunc(lines, func(line []byte) bool {
		feature := strings.TrimPrefix(string(line), "211-") // some servers repeat it on each line
		name, _, _ := strings.Cut(strings.TrimSpace(feature), " ")
		return useless[strings.ToUpper(name)]
	})
	return bytes.Join(lines, nil)
}

// rein passes REIN on; its success drops the data connection. A server could
// take it for the end of TLS as well.
func (s *session) rein(cmd command) {
	if s.tls != nil {
		s.answer(cmd, noREIN)
		return
	}
	s.dropSpare("REIN")
	d := s.data
	s.forward(&exchange{cmd: cmd, then: func(code int) {
		if code >= 300 {
			return
		}
		s.loggedIn = false
		s.epsvOnly, s.restart, s.offset = false, nil, new(atomic.Int64)
		s.view.user.Store(nil)
		s.image, s.compressed = false, false
		if s.data == d {
			s.dropData("REIN")
		}
	}}, nil)
}

// rest passes REST and RANG on.
func (s *session) rest(cmd command) {
	undo := map[string]string{"REST": "REST 0", "RANG": undoRANG}[cmd.name] // RFC 3659, section 5; draft-bryan-ftp-range, section 3
	if !slices.Contains(s.restart, undo) {
		s.restart = append(s.restart, undo)
	}
	if cmd.name == "RANG" {
		s.forward(&exchange{cmd: cmd}, nil)
		return
	}
	offset := new(atomic.Int64)
	offset.Store(restartOffset(cmd.arg))
	s.offset = offset
	s.forward(&exchange{cmd: cmd, then: func(code int) {
		if code != 350 {
			offset.Store(0) // also of a transfer that went out meanwhile
		}
	}}, nil)
}

const undoRANG = "RANG 1 0"

// restartOffset reads the argument of REST; it is 0 for what is no place in a file.
func restartOffset(arg string) int64 {
	n, _ := parseSize(strings.TrimSpace(arg))
	return n
}

// mode passes MODE on. S and Z end a file by ending its connection. In any other
// mode its end stands in the data, where nobody looks for it here: should a server
// know such a one, it is asked to forget it.
func (s *session) mode(cmd command) {
	switch arg := strings.ToUpper(strings.TrimSpace(cmd.arg)); arg {
	case "", "S", "Z":
		s.set(&s.compressed, arg == "Z", cmd)
		return
	}
	x := s.promise(cmd)
	s.busy = true
	s.ask(cmd.text, func(code int, reply string) {
		s.busy = false
		if code == 200 {
			reply = "504 Only the modes S and Z work through this tunnel"
			s.ask("MODE S", func(int, string) {})
			s.compressed = false
		}
		s.fulfil(x, reply)
	})
}
