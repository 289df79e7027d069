package ftpmux

import (
	"bufio"
	"bytes"
	"errors"
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
	r    *bufio.Reader
	code int // of the multi-line reply under way, else 0
}

// next returns the next line. With an error it returns what had come of it.
func (rr *replyReader) next() (replyLine, error) {
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
	return replyLine{raw: raw, code: code, last: code != 0}, nil
}

// readLine reads to the next LF, in memory of its own.
func readLine(r *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, err := r.ReadSlice('\n')
		line = append(line, part...)
		if !errors.Is(err, bufio.ErrBufferFull) {
			return line, err
		}
		if len(line) > maxReplyLine {
			return line, errLineTooLong
		}
	}
}

// replyCode returns the three digits at the beginning of line and what follows
// them: '-', or ' ', which also stands for nothing at all. The code is 0 where
// the line does not begin as a reply does.
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
	switch {
	case len(line) == 3 || line[3] == ' ':
		return code, ' '
	case line[3] == '-':
		return code, '-'
	}
	return 0, 0
}
