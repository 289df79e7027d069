package ftpmux

import (
	"bytes"
	"slices"
	"strings"
)

// exchange is one command and the reply to it.
type exchange struct {
	cmd   command
	local string                     // the answer from here, waiting for its turn
	done  func(code int, raw []byte) // issued by the mux: takes the final reply, which the client does not see
	data  *dataConn                  // of a transfer
	begun bool                       // a transfer's 125 or 150 has come
	text  []byte                     // what was kept of the reply under way
}

// keeps tells whether a reply with this code has to be seen whole before any
// of it goes to the client.
func (x *exchange) keeps(code int) bool {
	switch {
	case x.done != nil || x.cmd.name == "FEAT":
		return true
	case x.data != nil:
		return ends(code)
	}
	return false
}

// ends tells whether code is that of a transfer that ended well: RFC 959,
// section 5.4. Any other 2yz meanwhile belongs to another command.
func ends(code int) bool { return code == 226 || code == 250 }

// begins tells whether code is that of a transfer's beginning.
func begins(code int) bool { return code == 125 || code == 150 }

// syntactic tells whether code refuses a command for its form alone, which a
// transfer under way cannot earn any more.
func syntactic(code int) bool { return code >= 500 && code <= 504 }

// fits tells whether a final reply with this code can be the answer to x.
func (x *exchange) fits(code int, more bool) bool {
	switch {
	case x.local != "":
		return false
	case x.data != nil:
		return ends(code) || code >= 400 && !(x.begun && more && syntactic(code))
	case code >= 400:
		return true
	case x.done != nil:
		return answers[x.cmd.name](code)
	}
	return code != 227 && code != 229
}

// answers are the positive replies to what the mux asks for itself.
var answers = map[string]func(code int) bool{
	"EPSV": func(code int) bool { return code == 229 },
	"PASV": func(code int) bool { return code == 227 },
	"EPRT": func(code int) bool { return code == 200 },
	"PORT": func(code int) bool { return code == 200 },
	"ABOR": func(code int) bool { return code == 225 || code == 226 },
	"":     func(code int) bool { return code < 400 }, // the greeting
}

// queue holds the exchanges under way in the order of their commands. Servers
// answer out of turn, twice or not at all, so a reply finds its exchange by
// its code, and what was passed over is dropped.
type queue []*exchange

// match returns the exchange that a reply with this code belongs to, or nil.
func (q queue) match(code int) *exchange {
	if begins(code) {
		for _, x := range q {
			if x.data != nil {
				return x
			}
		}
	}
	for i, x := range q {
		if code < 200 && x.local == "" || x.fits(code, slices.ContainsFunc(q[i+1:], (*exchange).forwarded)) {
			return x
		}
	}
	return nil
}

func (x *exchange) forwarded() bool { return x.local == "" && x.done == nil }

// complete removes x, and what stood before it without an answer. Transfers,
// local answers and what the mux waits for stay.
func (q queue) complete(x *exchange) (rest queue, passedOver []*exchange) {
	for i, y := range q {
		if y == x {
			return append(rest, q[i+1:]...), passedOver
		}
		if y.data == nil && y.local == "" && (y.done == nil || y.cmd.name == "ABOR") {
			passedOver = append(passedOver, y)
		} else {
			rest = append(rest, y)
		}
	}
	return rest, passedOver
}

// transfer returns the transfer whose final reply is still to come, or nil.
func (q queue) transfer() *exchange {
	i := slices.IndexFunc(q, func(x *exchange) bool { return x.data != nil && !x.data.over })
	if i < 0 {
		return nil
	}
	return q[i]
}

// withoutHidden removes from a FEAT reply the features that do not work here:
// RFC 2389, section 3.2.
func withoutHidden(reply []byte) []byte {
	lines := bytes.SplitAfter(reply, []byte("\n"))
	lines = slices.DeleteFunc(lines, func(line []byte) bool {
		feature := strings.TrimPrefix(string(line), "211-") // some servers repeat it on each line
		name, _, _ := strings.Cut(strings.TrimSpace(feature), " ")
		return hidden[strings.ToUpper(name)]
	})
	return bytes.Join(lines, nil)
}
