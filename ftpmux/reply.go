package ftpmux

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

// maxReplyLine bounds one line of the server's, maxReply a reply that has to
// be seen whole.
const (
	maxReplyLine = 1 << 20
	maxReply     = 64 << 10
)

var errLineTooLong = errors.New("the server sent a line over 1 MiB")

// replyLine is one line of a reply.
type replyLine struct {
	raw  []byte // as it came, with its line end
	code int    // of the reply to which it belongs; 0: not part of a reply
	last bool   // it completes the reply
}

// replyReader cuts the server's stream into lines of replies: RFC 959,
// section 4.2.
type replyReader struct {
	r     *bufio.Reader
	code  int  // of the multi-line reply under way, else 0
	fresh bool // nothing has come yet: what is no greeting need not be a line either
}

// next returns the next line. With an error it returns what had come of it.
func (rr *replyReader) next() (replyLine, error) {
	if rr.fresh {
		rr.fresh = false
		if first, err := rr.r.Peek(1); err == nil && (first[0] < '1' || first[0] > '5') {
			raw := make([]byte, rr.r.Buffered())
			_, err := io.ReadFull(rr.r, raw)
			return replyLine{raw: raw}, err
		}
	}
	raw, err := readLine(rr.r)
	if err != nil {
		return replyLine{raw: raw}, err
	}
	code, sep := replyCode(raw)
	switch {
	case rr.code != 0: // anything may stand inside
		line := replyLine{raw: raw, code: rr.code, last: code == rr.code && sep == ' '}
		if line.last {
			rr.code = 0
		}
		return line, nil
	case sep == '-':
		rr.code = code
		return replyLine{raw: raw, code: code}, nil
	}
	// Many clients look at the digits alone, so what follows them is no matter.
	return replyLine{raw: raw, code: code, last: code != 0}, nil
}

// readLine reads to the next LF, in memory of its own.
func readLine(r *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, err := r.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case len(line) > maxReplyLine:
			return line, errLineTooLong
		case !errors.Is(err, bufio.ErrBufferFull):
			return line, err
		}
	}
}

// replyCode returns the three digits at the beginning of line and what follows
// them; ' ' also stands for nothing at all. The code is 0 where the line does not
// begin as a reply does.
func replyCode(line []byte) (code int, sep byte) {
	line = bytes.TrimRight(line, "\r\n")
	if len(line) < 3 || line[0] < '1' || line[0] > '5' {
		return 0, 0
	}
	for _, digit := range line[:3] {
		if digit < '0' || digit > '9' {
			return 0, 0
		}
		code = code*10 + int(digit-'0')
	}
	if len(line) == 3 {
		return code, ' '
	}
	return code, line[3]
}
