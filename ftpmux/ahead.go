package ftpmux

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"time"
)

// What the client asks for and the server is known to grant is answered from here at
// once, and asked of the server meanwhile: the client's half of a data connection
// needs nothing from the server. What the client sees is the same, but for the time.

// holdBack is how long the reply to PASV or EPSV is kept that is known at once: curl
// 7.88 waits a whole second when the reply is there before it looks for it.
const holdBack = time.Millisecond

// foresees tells whether the server can be counted on to open a passive port.
func (s *session) foresees() bool {
	return s.mux.Prefetch && s.loggedIn && s.mux.Data != Active &&
		(s.tls == nil || s.protected) && s.mux.habits.passive.Load()
}

// openAhead listens for the client at once and gets the server half meanwhile. A
// transfer command waits for that; the client is told there if it does not come.
func (s *session) openAhead(cmd command, format func(netip.AddrPort) string) {
	d := s.takeSpare(cmd)
	x := s.promise(cmd)
	if d == nil {
		d = s.newData(cmd)
		s.askAhead(d)
	}
	s.busy = true
	s.listenFor(d, x, func(ln net.Listener) {
		d.listen(ln)
		s.after(holdBack, func() {
			s.busy, s.settling = false, false
			reply := format(netip.AddrPortFrom(s.localAddr, portOfListener(ln)))
			s.log.Debug("answered", "reply", reply, "for", cmd, "ahead of the server", d.askedServer)
			s.fulfil(x, reply)
		})
	})
}

// askAhead asks for the server half of d, of which the client does not wait to hear.
func (s *session) askAhead(d *dataConn) {
	s.askPassive(d, func(reply string) {
		s.mux.habits.passive.Store(false)
		d.noServer(errors.New(reply))
	}, func() {})
}

// sparePatience is how long a data connection to the server is kept for a client that
// may ask for one.
const sparePatience = 10 * time.Second

// prepareSpare asks for the server half of the next data connection behind a
// transfer command, with a server that answers when the transfer is over.
func (s *session) prepareSpare(now moment) {
	x := s.queue.transfer()
	if s.kind().spare != now || !s.foresees() || s.spare != nil || s.data != nil || x == nil || !x.data.offered {
		return
	}
	d := s.makeData(x.data.askedBy)
	s.spare, x.data.replaced = d, true
	s.tryPassive(s.passiveVerbs(d)[:1], d, func(reply string) {
		s.odd("EPSV behind a transfer: " + reply)
		if s.data == d { // the transfer is over, and the client was told a port
			s.askAhead(d)
			return
		}
		s.dropSpare(reply)
	}, func() {
		if s.queue.of(x.data) == x {
			s.odd("EPSV answered before the transfer's end")
		}
		if s.spare == d {
			d.within(sparePatience, func() { s.dropSpare("nobody asks for it") })
		}
	})
}

// refusesSpare returns the mux's own EPSV or PASV behind a transfer, if line refuses that
// before the transfer's end, as its words tell. A 425 is the transfer's: "Use PORT or PASV
// first", says vsftpd.
func (s *session) refusesSpare(line replyLine) *exchange {
	if s.spare == nil || s.queue.transfer() == nil || line.code < 400 || line.code == 425 {
		return nil
	}
	verb := s.spare.askedServer
	names := func(text string) bool { return strings.Contains(strings.ToUpper(text), verb) }
	asks := func(x *exchange) bool { return !x.own && names(x.cmd.text) } // the client, by a file's name maybe
	if !names(string(line.raw)) || s.queue.first(asks) != nil {
		return nil
	}
	return s.queue.first(func(x *exchange) bool { return x.own && !x.late && x.cmd.name == verb })
}

// takeSpare is the data connection that was prepared, for the client that asks for one
// by cmd, or nil.
func (s *session) takeSpare(cmd command) *dataConn {
	d := s.spare
	s.spare = nil
	if d == nil || d.err != nil {
		return nil
	}
	s.dropData("another one is asked for")
	s.data = d
	d.askedBy = cmd.name
	return d
}

// dropSpare closes what was prepared.
func (s *session) dropSpare(why string) {
	if d := s.spare; d != nil {
		s.spare = nil
		d.fail(errors.New(why))
	}
}

// listenFor opens the listener for d's client; opened takes it, and nothing of the
// server's comes to the client meanwhile. Without one, or a server half, x is refused.
func (s *session) listenFor(d *dataConn, x *exchange, opened func(net.Listener)) {
	s.settling = true
	s.aside(func(ctx context.Context) (event, undo func()) {
		ln, err := s.mux.local().Listen(ctx, "tcp", netip.AddrPortFrom(s.localAddr, 0).String())
		if err != nil {
			return func() {
				s.refuser(x, d)("425 Cannot listen for the data connection: " + oneLine(err.Error()))
			}, nil
		}
		return func() {
			if d.err != nil { // the server half failed meanwhile
				ln.Close()
				s.refuser(x, d)("425 No data connection: " + oneLine(d.err.Error()))
				return
			}
			opened(ln)
		}, func() { ln.Close() }
	})
}

// typed is the representation type that holds, by the server's word.
type typed struct{ command, reply string }

// keepAlive is how long the server may hear nothing while TYPE is answered from here:
// clients send it to keep a session alive, too.
const keepAlive = 10 * time.Second

// knowsType tells whether cmd was the last TYPE that the server took.
func (s *session) knowsType(cmd command) bool {
	return s.mux.Prefetch && cmd.text == s.typed.command && time.Since(s.lastSaid) < keepAlive
}

// keepsType are the commands that leave the representation type as it is. Any other
// may be one that does not.
var keepsType = map[string]bool{
	"TYPE": true, "PASV": true, "EPSV": true, "PORT": true, "EPRT": true, "REST": true, "ALLO": true,
	"RETR": true, "LIST": true, "NLST": true, "MLSD": true, "STOR": true, "STOU": true, "APPE": true,
	"SIZE": true, "MDTM": true, "MLST": true, "PWD": true, "XPWD": true, "CWD": true, "XCWD": true,
	"CDUP": true, "XCUP": true, "MKD": true, "XMKD": true, "RMD": true, "XRMD": true, "DELE": true,
	"RNFR": true, "RNTO": true, "NOOP": true, "STAT": true, "SYST": true, "FEAT": true, "HELP": true,
}
