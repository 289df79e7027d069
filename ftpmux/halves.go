package ftpmux

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// A data connection has two halves, negotiated apart. The client's: it sent
// PASV or EPSV and we listen, or PORT or EPRT and we dial. The server's: we
// asked for a passive port and dial it, or the far side listens for it.

// pasv answers PASV with a port here: RFC 959, section 4.1.2.
func (s *session) pasv(cmd command) {
	switch {
	case s.epsvOnly:
		s.answer(cmd, "503 PASV is not allowed after EPSV ALL")
	case !s.localAddr.Is4():
		s.answer(cmd, "425 PASV needs IPv4; use EPSV")
	default:
		s.openPassive(cmd, formatPASV)
	}
}

// epsv answers EPSV with a port here: RFC 2428, section 3.
func (s *session) epsv(cmd command) {
	switch arg := strings.ToUpper(strings.TrimSpace(cmd.arg)); arg {
	case "ALL": // kept here: passed on, it would bind our own half too
		s.epsvOnly = true
		s.answer(cmd, "200 EPSV ALL: only EPSV from now on")
	case "", family(s.localAddr):
		s.openPassive(cmd, func(ap netip.AddrPort) string { return formatEPSV(ap.Port()) })
	default:
		if strings.Trim(arg, "0123456789") != "" {
			s.answer(cmd, "501 EPSV takes a network protocol, ALL or nothing")
			return
		}
		s.answer(cmd, "522 Network protocol not supported, use ("+family(s.localAddr)+")")
	}
}

// port takes the client's address from PORT.
func (s *session) port(cmd command) {
	ap, err := parsePORT(cmd.arg)
	if err != nil {
		s.answer(cmd, "501 "+oneLine(err.Error()))
		return
	}
	s.openActive(cmd, ap)
}

// eprt takes the client's address from EPRT.
func (s *session) eprt(cmd command) {
	ap, err := parseEPRT(cmd.arg)
	families := family(s.clientAddr)
	if s.mux.AllowFXP {
		families = "1,2"
	}
	switch {
	case errors.Is(err, errFamily), err == nil && !strings.Contains(families, family(ap.Addr().Unmap())):
		s.answer(cmd, "522 Network protocol not supported, use ("+families+")")
	case err != nil:
		s.answer(cmd, "501 "+oneLine(err.Error()))
	default:
		s.openActive(cmd, ap)
	}
}

// openPassive gets a server half and then listens for the client.
func (s *session) openPassive(cmd command, format func(netip.AddrPort) string) {
	if s.foresees() {
		s.openAhead(cmd, format)
		return
	}
	d, x := s.newData(cmd), s.promise(cmd)
	s.busy = true
	refuse := s.refuser(x, d)
	get := s.askPassive
	if s.mux.Data == Active {
		get = s.askActive
	}
	done := func() {
		s.listenFor(d, x, func(ln net.Listener) {
			s.busy, s.settling = false, false
			d.listen(ln)
			reply := format(netip.AddrPortFrom(s.localAddr, portOfListener(ln)))
			s.log.Debug("rewrote", "reply", reply, "for", cmd, "in place of", d.serverSays)
			s.fulfil(x, reply)
		})
	}
	s.protect(refuse, func() { get(d, refuse, done) })
}

// refuser returns what gives d up and tells the client so.
func (s *session) refuser(x *exchange, d *dataConn) func(reply string) {
	return func(reply string) {
		if d.err == nil && strings.HasPrefix(reply, "425") {
			s.log.Warn("no data connection", "for", x.cmd, "reason", reply)
		}
		s.busy, s.settling, s.data = false, false, nil
		d.close(true)
		s.fulfil(x, reply)
	}
}

// openActive gets a server half; the client is dialled when its transfer
// command comes.
func (s *session) openActive(cmd command, ap netip.AddrPort) {
	ap = netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
	switch {
	case s.epsvOnly:
		s.answer(cmd, "503 "+cmd.name+" is not allowed after EPSV ALL")
		return
	case ap.Port() < lowestPort: // RFC 2577, section 3, and so is the next
		s.answer(cmd, fmt.Sprintf("504 %s must name a port from %d", cmd.name, lowestPort))
		return
	case ap.Addr() == s.clientAddr.WithZone(""):
		ap = netip.AddrPortFrom(s.clientAddr, ap.Port()) // with its zone
	case !s.mux.AllowFXP || !otherHost(ap.Addr(), s.clientAddr):
		s.answer(cmd, fmt.Sprintf("501 %s must name the client's own address, %s", cmd.name, s.clientAddr.WithZone("")))
		return
	default:
		s.log.Info("data goes to another host, outside the tunnel", "command", cmd)
	}
	d, x := s.newData(cmd), s.promise(cmd)
	d.dialClient = ap
	s.busy = true
	done := func() {
		s.busy = false
		s.log.Debug("rewrote", "command", cmd, "to", d.askedServer)
		s.fulfil(x, "200 "+cmd.name+" command successful")
	}
	refuse := s.refuser(x, d)
	s.protect(refuse, func() {
		switch {
		case s.mux.Data == Active:
			s.askActive(d, refuse, done)
		case s.mux.Data != Passive && !s.noPORT && OnLoopback(s.mux.Server):
			s.askActive(d, func(reply string) {
				if final(reply) {
					refuse(reply)
					return
				}
				s.log.Debug("active mode does not work here; asking the server for a passive port", "reason", reply)
				s.noPORT = true
				d.stopFar()
				s.askPassive(d, refuse, done)
			}, done)
		default:
			s.askPassive(d, refuse, done)
		}
	})
}

// otherHost tells whether a can be that of a third host, and not of what only this
// machine reaches: its loopback, which a client that is on it too may name, and what
// is on its links.
func otherHost(a, client netip.Addr) bool {
	return a.IsGlobalUnicast() || a.IsLoopback() && client.IsLoopback()
}

// passiveVerb is a way to ask a server for a passive port.
type passiveVerb struct {
	name  string
	code  int // of its success
	parse func(reply string) (port uint16, err error)
}

var passiveVerbs = []passiveVerb{{"EPSV", 229, parseEPSV}, {"PASV", 227, parsePASV}}

// askPassive asks the server for a passive port and begins to dial it. What the
// client has asked by comes first: there are servers, and firewalls before them,
// that give no reply at all to the other. It ends with a call of refuse, with the
// reply that the client is to get, or of done.
func (s *session) askPassive(d *dataConn, refuse func(reply string), done func()) {
	s.tryPassive(s.passiveVerbs(d), d, refuse, done)
}

// passiveVerbs are those that the server may know, the client's first.
func (s *session) passiveVerbs(d *dataConn) []passiveVerb {
	verbs := slices.DeleteFunc(slices.Clone(passiveVerbs), func(v passiveVerb) bool { return v.name == s.lacks })
	if d.askedBy == "PASV" {
		slices.Reverse(verbs)
	}
	return verbs
}

// tryPassive is askPassive by one of verbs after the other. Where none works, the
// client gets the reply to PASV, which every server should know.
func (s *session) tryPassive(verbs []passiveVerb, d *dataConn, refuse func(reply string), done func()) {
	v, others := verbs[0], verbs[1:]
	d.askedServer = v.name
	s.ask(v.name, func(code int, reply string) {
		port, err := v.parse(reply)
		refusal := reply
		if code == v.code && err != nil {
			refusal = "425 Cannot read the server's reply to " + v.name + ": " + oneLine(err.Error())
		}
		switch {
		case code == v.code && err == nil:
			s.mux.habits.passive.Store(true)
			d.dialServer(port, reply)
			done()
		case code == 0 || final(reply) || len(others) == 0 || d.finished: // d's place may be another's
			refuse(refusal)
		default:
			s.log.Debug(v.name+" did not work, trying "+others[0].name, "reply", reply)
			refuseAll := refuse
			if v.name == "PASV" {
				refuseAll = func(string) { refuse(refusal) }
			}
			s.tryPassive(others, d, refuseAll, func() {
				s.lacks = v.name
				done()
			})
		}
	})
}

// final tells whether a refusal is one that any other way to a data connection
// would get as well.
func final(reply string) bool {
	code, _ := replyCode([]byte(reply))
	return code == 530 || code == 421
}

// askActive has the far side listen and tells the server to connect there.
func (s *session) askActive(d *dataConn, refuse func(reply string), done func()) {
	host, _, _ := net.SplitHostPort(s.mux.Server)
	if ip, err := netip.ParseAddr(host); err != nil || !ip.Is6() {
		host = "127.0.0.1"
	}
	s.aside(func(ctx context.Context) (event, undo func()) {
		ctx, cancel := context.WithTimeout(ctx, dialTimeout)
		defer cancel()
		ln, err := s.mux.Remote.Listen(ctx, "tcp", net.JoinHostPort(host, "0"))
		if err != nil {
			return func() { refuse("425 Cannot listen at the far side: " + oneLine(err.Error())) }, nil
		}
		return func() {
			d.listenFar(ln) // some servers connect before they reply
			ap := netip.AddrPortFrom(netip.MustParseAddr(host), portOfListener(ln))
			ask := "EPRT " + formatEPRT(ap)
			if ap.Addr().Is4() {
				ask = "PORT " + formatPORT(ap)
			}
			d.askedServer = ask
			s.ask(ask, func(code int, reply string) {
				if code != 200 {
					refuse(reply)
					return
				}
				d.serverSays = reply
				done()
			})
		}, func() { ln.Close() }
	})
}

func portOfListener(ln net.Listener) uint16 {
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	n, _ := strconv.ParseUint(port, 10, 16)
	return uint16(n)
}
