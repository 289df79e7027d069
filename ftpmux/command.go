package ftpmux

import (
	"bufio"
	"bytes"
	"errors"
	"log/slog"
	"strings"
)

// maxCommand bounds a client's line: RFC 959 names no limit, servers drop the
// session somewhere between 4 and 9 KiB.
const maxCommand = 8 << 10

// errTooLong is what a command line over maxCommand is read as.
var errTooLong = errors.New("command line too long")

// command is one line of the client's.
type command struct {
	text string // without Telnet bytes before it and without its line end
	name string // the verb in upper case
	arg  string // what follows the verb and its space, untouched
	verb verb   // how it is handled
}

// blanks stand around a verb, as some servers see it: none of them makes of one that
// is handled here another.
const blanks = " \t\v\f\r"

// parseCommand takes a line with or without its end.
func parseCommand(line []byte) command {
	line = bytes.TrimSuffix(line, []byte("\n"))
	line = bytes.TrimSuffix(line, []byte("\r"))
	c := command{text: string(stripTelnet(line))}
	line = bytes.TrimLeft([]byte(c.text), blanks)
	if i := bytes.IndexAny(line, blanks); i >= 0 {
		line, c.arg = line[:i], string(line[i+1:])
	}
	c.name = strings.ToUpper(string(line))
	c.verb = verbs[c.name]
	return c
}

// LogValue hides what follows a secret verb, or one of SITE's.
func (c command) LogValue() slog.Value { return slog.StringValue(c.String()) }

func (c command) String() string {
	if verb, _, ok := c.hidden(); ok {
		return verb + " ****"
	}
	return c.text
}

// mistyped are verbs that hide what follows even without a space, or in longer words
// that begin as they do: what was meant is a password all the same.
var mistyped = []string{"PASS", "ACCT"}

// hidden tells whether a secret follows the verb, and which.
func (c command) hidden() (verb, secret string, ok bool) {
	if c.verb.secret {
		return c.name, strings.Trim(c.arg, blanks), true
	}
	for _, verb := range mistyped {
		if strings.HasPrefix(c.name, verb) {
			return verb, strings.Trim(strings.TrimLeft(c.text, blanks)[len(verb):], blanks+"\x00"), true
		}
	}
	if word, secret, _ := strings.Cut(strings.Trim(strings.ReplaceAll(c.arg, "\t", " "), " "), " "); c.name == "SITE" && siteSecrets[strings.ToUpper(word)] {
		return "SITE " + strings.ToUpper(word), strings.Trim(secret, " "), true
	}
	return "", "", false
}

// readCommand reads one command. Lines end with LF, and never with a lone CR.
// A line that is too long is read over and answered with errTooLong; any other
// error ends the client's side, and a line cut off by it is dropped.
func readCommand(r *bufio.Reader) (command, error) {
	var line []byte
	tooLong := false
	for {
		part, err := r.ReadSlice('\n')
		if len(line)+len(part) > maxCommand {
			tooLong, line = true, nil
		}
		if !tooLong {
			line = append(line, part...)
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case err != nil:
			return command{}, err
		case tooLong:
			return command{}, errTooLong
		}
		return parseCommand(line), nil
	}
}

// Telnet's command bytes (RFC 854) that clients send before ABOR and STAT.
const (
	telnetLowest = 0xF0
	telnetWILL   = 0xFB
	telnetDONT   = 0xFE
)

// stripTelnet removes Telnet commands from the beginning of a line. Inside of
// it such bytes belong to a file's name.
func stripTelnet(line []byte) []byte {
	for len(line) > 0 && line[0] >= telnetLowest {
		if line[0] >= telnetWILL && line[0] <= telnetDONT && len(line) > 1 {
			line = line[1:] // its option follows
		}
		line = line[1:]
	}
	return line
}
