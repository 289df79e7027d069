package ftpmux

import (
	"strings"
	"sync/atomic"
)

// A kind of server bears more than RFC 959 promises. What is said of one here is
// tested with it; of others nothing is assumed.
type kind struct {
	greets    string // is in its greeting
	halfClose bool   // the way to it may end as a download begins: its 226 waits for that
	spare     moment // from when on it bears EPSV before a transfer's final reply, and answers behind that
}

// moment is one in the course of a transfer.
type moment int

const (
	never     moment = iota
	atCommand        // right behind the transfer command
	atEnd            // when the server has ended its data
)

var kinds = []kind{
	{greets: "(vsFTPd ", halfClose: true, spare: atCommand},
	{greets: "ProFTPD ", halfClose: true, spare: atEnd},
}

// habits are what the sessions of a mux have learned of its server.
type habits struct {
	passive     atomic.Bool // it opens passive ports
	reachable   atomic.Bool // which can be reached
	unreachable atomic.Bool // or not: at least once the way was there, and no connection
	odd         atomic.Bool // it is not what its greeting says
}

// surelyReaches tells whether the server's passive ports can be counted on. A transfer
// command whose data connection is refused is taken back, but what a STOR has overwritten
// is gone by then; so a single refusal is remembered for good.
func (m *Mux) surelyReaches() bool {
	return m.Prefetch && m.habits.reachable.Load() && !m.habits.unreachable.Load()
}

// kind is what the server is known to bear.
func (s *session) kind() kind {
	if s.mux.Prefetch && !s.mux.habits.odd.Load() {
		for _, k := range kinds {
			if strings.Contains(s.greets, k.greets) {
				return k
			}
		}
	}
	return kind{}
}

// odd takes note that the server does not do what its kind does.
func (s *session) odd(what string) {
	if !s.mux.habits.odd.Swap(true) {
		s.log.Warn("the server is not like others of its kind; what is done ahead for those is not done for it", "greeting", oneLine(s.greets), "saw", what)
	}
}
