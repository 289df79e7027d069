package ftpmux

import (
	"slices"
)

// exchange is one command and the reply to it.
type exchange struct {
	cmd       command
	own       bool                       // the mux itself asks
	done      func(code int, raw []byte) // takes the final reply, which is kept for it; nil lets the client have it
	heard     func()                     // runs when the final reply begins
	then      func(code int)             // runs when the client has had all of it
	overhears func(replyLine)            // sees each line of the reply that passes by
	promise   bool                       // the answer comes from here, in its turn
	local     string                     // it, once it is known
	data      *dataConn                  // of a transfer
	record    *record                    // of it, for others
	begun     bool                       // a transfer's 125 or 150 has come
	over      bool                       // ... twice: Pure-FTPd has no other reply if it breaks
	early     []byte                     // a 226 or 250 that came before that
	late      bool                       // given up: its reply is for nobody, should it still come
	text      []byte                     // what was kept of the reply under way
	said      string                     // the last line of the server's last reply, without its end
}

// forwarded tells whether x is a command of the client's that the server is to
// answer.
func (x *exchange) forwarded() bool { return !x.promise && !x.own && !x.late }

// forClient tells whether the client is to get a reply to x.
func (x *exchange) forClient() bool { return !x.late && !(x.own && x.done != nil) }

// keeps tells whether a reply with this code has to be seen whole before any
// of it goes to the client. All others stream through.
func (x *exchange) keeps(code int) bool {
	return x.done != nil && (x.own || code >= 200) || x.data != nil && ends(code) || x.lastWord(code)
}

// lastWord tells whether a reply with this code is Pure-FTPd's last word on a
// broken download, another 150.
func (x *exchange) lastWord(code int) bool {
	return begins(code) && x.begun && x.data.verdict() == broken
}

// ends tells whether code is that of a transfer that ended well: RFC 959,
// section 5.4.
func ends(code int) bool { return code == 226 || code == 250 }

// begins tells whether code is that of a transfer's beginning.
func begins(code int) bool { return code == 125 || code == 150 }

// breaks lists the codes that end a transfer under way badly.
var breaks = []int{421, 425, 426, 451, 452, 551, 552}

// fits tells whether a reply with this code can be the answer to x. With
// commands behind it, a transfer under way is given only what cannot be theirs:
// some servers answer them at once.
func (x *exchange) fits(code int, behind queue) bool {
	switch {
	case x.promise, x.late && code == 421: // that one is for the client, whoever else was given up
		return false
	case code < 200:
		return true
	case x.data != nil && ends(code):
		return code == 226 || !behind.maySay250()
	case x.data != nil && x.late:
		return (code != 425 || x.data.noWay) && slices.Contains(breaks, code)
	case x.data != nil && x.begun && behind.commands():
		return slices.Contains(breaks, code)
	case x.data != nil:
		return code >= 400
	case x.own, x.late:
		return answers(x.cmd.name, code)
	}
	if code == 211 && plain[x.cmd.name] { // else FEAT's could pass with TLS in it
		return slices.Contains([]string{"FEAT", "STAT", "HELP"}, x.cmd.name)
	}
	return !passive(code)
}

// passive tells whether code is that of a passive port. Such a reply goes to
// who asked for it, or to nobody.
func passive(code int) bool { return code == 227 || code == 229 }

// answers tells whether code is that of a final reply to what the mux asks for
// itself, or has given up. A 421 is not for those that end without a word to the
// client, who has to hear of it.
func answers(name string, code int) bool {
	switch name {
	case "": // the greeting
		return !passive(code)
	case "EPSV":
		return code == 229 || code >= 400
	case "PASV":
		return code == 227 || code >= 400
	case "REST", "RANG":
		return code == 350 || code >= 500
	case "PBSZ":
		return code == 200 || code >= 500
	case "ABOR":
		return code == 225 || code == 226 || code >= 500 && code <= 503
	}
	return code == 200 || code >= 400 // EPRT, PORT, MODE, PROT
}

// queue holds the exchanges under way in the order of their commands. Servers
// answer out of turn, twice or not at all, so a reply finds its exchange by
// its code, and what was passed over is dropped.
type queue []*exchange

// match returns the first exchange that a reply with this code fits, or nil. While
// the client waits for a transfer, it would take a 226 or 250 for the transfer's; so
// no command gets one that never has such an answer.
func (q queue) match(code int, transferDue bool) *exchange {
	if begins(code) {
		if x := q.transfer(); x != nil {
			return x
		}
	}
	for i, x := range q {
		if code == 421 && x.own && x.done != nil && !q.promises() {
			continue // the client would not hear of it
		}
		if ends(code) && plain[x.cmd.name] && x.forwarded() && transferDue && !(x.cmd.name == "ABOR" && code == 226) {
			continue
		}
		if x.fits(code, q[i+1:]) {
			return x
		}
	}
	return nil
}

// promises tells whether the client waits for an answer that is made from the server's.
func (q queue) promises() bool {
	return q.first(func(x *exchange) bool { return x.promise && x.local == "" }) != nil
}

// commands tells whether there are any that the server may answer at once,
// while a transfer is under way.
func (q queue) commands() bool {
	return slices.ContainsFunc(q, func(x *exchange) bool { return x.forwarded() && x.cmd.name != "ABOR" })
}

// maySay250 tells whether one of the commands may be answered with 250.
func (q queue) maySay250() bool {
	return slices.ContainsFunc(q, func(x *exchange) bool {
		no250, known := plain[x.cmd.name]
		return x.forwarded() && !(known && no250)
	})
}

// passOver drops what stands before x without an answer. Transfers, what is
// answered from here and what the mux waits for stay.
func (q queue) passOver(x *exchange) (rest queue, dropped []*exchange) {
	i := slices.Index(q, x)
	for _, y := range q[:max(i, 0)] {
		if y.late || y.data == nil && (y.forwarded() || y.cmd.name == "ABOR") {
			dropped = append(dropped, y)
		} else {
			rest = append(rest, y)
		}
	}
	return append(rest, q[max(i, 0):]...), dropped
}

// without returns q less x.
func (q queue) without(x *exchange) queue {
	return slices.DeleteFunc(slices.Clone(q), func(y *exchange) bool { return x == y })
}

// transfer returns the transfer whose final reply is still to come, or nil.
func (q queue) transfer() *exchange {
	return q.first(func(x *exchange) bool { return x.data != nil && !x.late })
}

// behindTransfer tells whether a transfer stands before x, also one that was given up.
func (q queue) behindTransfer(x *exchange) bool {
	return q[:max(slices.Index(q, x), 0)].first(func(y *exchange) bool { return y.data != nil }) != nil
}

// of returns the transfer that uses d, if its final reply is still to come, or nil.
func (q queue) of(d *dataConn) *exchange {
	return q.first(func(x *exchange) bool { return x.data == d && !x.late })
}

func (q queue) first(is func(*exchange) bool) *exchange {
	if i := slices.IndexFunc(q, is); i >= 0 {
		return q[i]
	}
	return nil
}
