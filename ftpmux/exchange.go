package ftpmux

import (
	"slices"
)

// exchange is one command and the reply to it.
type exchange struct {
	cmd     command
	own     bool                       // the mux itself asks
	done    func(code int, raw []byte) // takes the final reply; nil lets the client have it
	promise bool                       // the answer comes from here, in its turn
	local   string                     // it, once it is known
	data    *dataConn                  // of a transfer
	begun   bool                       // a transfer's 125 or 150 has come
	late    bool                       // given up: its reply is swallowed, should it still come
	text    []byte                     // what was kept of the reply under way
}

// forwarded tells whether x is a command of the client's that the server is to
// answer.
func (x *exchange) forwarded() bool { return !x.promise && !x.own && !x.late }

// keeps tells whether a reply with this code has to be seen whole before any
// of it goes to the client.
func (x *exchange) keeps(code int) bool {
	return x.done != nil || x.late || x.data != nil && ends(code)
}

// ends tells whether code is that of a transfer that ended well: RFC 959,
// section 5.4.
func ends(code int) bool { return code == 226 || code == 250 }

// begins tells whether code is that of a transfer's beginning.
func begins(code int) bool { return code == 125 || code == 150 }

// breaks lists the codes that end a transfer under way badly.
var breaks = []int{421, 425, 426, 451, 452, 551, 552}

// fits tells whether a final reply with this code can be the answer to x. With
// more commands behind it, a transfer under way is given only what cannot be
// theirs: some servers answer them at once.
func (x *exchange) fits(code int, more bool) bool {
	switch {
	case x.promise:
		return false
	case x.data != nil && x.begun && more:
		return code == 226 || slices.Contains(breaks, code)
	case x.data != nil:
		return ends(code) || code >= 400
	case code >= 400:
		return true
	case x.own:
		return answers[x.cmd.name](code)
	}
	return !passive(code)
}

// passive tells whether code is that of a passive port. Such a reply goes to
// who asked for it, or to nobody.
func passive(code int) bool { return code == 227 || code == 229 }

// answers are the positive replies to what the mux asks for itself.
var answers = map[string]func(code int) bool{
	"EPSV": func(code int) bool { return code == 229 },
	"PASV": func(code int) bool { return code == 227 },
	"EPRT": func(code int) bool { return code == 200 },
	"PORT": func(code int) bool { return code == 200 },
	"REST": func(code int) bool { return code == 350 },
	"ABOR": func(code int) bool { return code == 225 || code == 226 },
	"":     func(code int) bool { return code < 400 && !passive(code) }, // the greeting
}

// queue holds the exchanges under way in the order of their commands. Servers
// answer out of turn, twice or not at all, so a reply finds its exchange by
// its code, and what was passed over is dropped.
type queue []*exchange

// match returns the exchange that a reply with this code belongs to, or nil.
func (q queue) match(code int) *exchange {
	if begins(code) {
		if x := q.transfer(); x != nil {
			return x
		}
	}
	for i, x := range q {
		if code < 200 && !x.promise || x.fits(code, q[i+1:].commands()) {
			return x
		}
	}
	return nil
}

// commands tells whether there are any that the server may answer at once,
// while a transfer is under way.
func (q queue) commands() bool {
	return slices.ContainsFunc(q, func(x *exchange) bool { return x.forwarded() && x.cmd.name != "ABOR" })
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
