package sshconf

import (
	"errors"
	"fmt"
	"strings"
)

// SyntaxError is a line that ssh would refuse as well, or one that includes
// what cannot be read.
type SyntaxError struct {
	File string // "command line" for one of Resolver.Options
	Line int    // from 1; 0 for an option
	Err  error  // what is wrong
}

func (e *SyntaxError) Error() string {
	if e.Line == 0 {
		return fmt.Sprintf("%s: %v", e.File, e.Err)
	}
	return fmt.Sprintf("%s:%d: %v", e.File, e.Line, e.Err)
}

func (e *SyntaxError) Unwrap() error { return e.Err }

// line is one line of a configuration file.
type line struct {
	keyword string   // in lower case; "" for an empty line or a comment
	rest    string   // all that follows, for keywords that take it as it is
	args    []string // the same in words, without quotes and comment
	active  bool     // in force for this host; else only its syntax counts
	file    string
	number  int // from 1; 0 where there are no lines
}

// place is where the line stands.
func (l *line) place() string {
	if l.number == 0 {
		return l.file
	}
	return fmt.Sprintf("%s:%d", l.file, l.number)
}

// text is the line as people write it.
func (l *line) text() string { return l.keyword + " " + l.rest }

const blanks = " \t\r\n"

var (
	errQuotes  = errors.New("invalid quotes")
	errMissing = errors.New("missing argument")
)

// splitLine takes one line apart: "Keyword value" or "Keyword=value".
func splitLine(s string) (line, error) {
	s = strings.TrimLeft(strings.TrimRight(s, blanks+"\f"), blanks)
	if s == "" || s[0] == '#' {
		return line{}, nil
	}
	if strings.IndexByte(s, 0) >= 0 {
		return line{}, errors.New("NUL in a line")
	}
	keyword, rest, err := cutKeyword(s)
	if err != nil {
		return line{}, err
	}
	if keyword == "" {
		return line{}, errors.New("no keyword")
	}
	if rest == "" {
		return line{}, fmt.Errorf("no argument after keyword %q", keyword)
	}
	args, err := splitArgs(rest)
	return line{keyword: lower(keyword), rest: rest, args: args}, err
}

// cutKeyword cuts the keyword off, with the blanks and the one = that follow
// it. It may be quoted, wholly or in part.
func cutKeyword(s string) (keyword, rest string, err error) {
	end := strings.IndexAny(s, blanks+`"=`)
	if end < 0 {
		return s, "", nil
	}
	if s[end] == '"' {
		quoted, rest, ok := strings.Cut(s[end+1:], `"`)
		if !ok {
			return "", "", errQuotes
		}
		return s[:end] + quoted, strings.TrimLeft(rest, blanks), nil
	}
	rest = strings.TrimLeft(s[end+1:], blanks)
	if s[end] != '=' && strings.HasPrefix(rest, "=") {
		rest = strings.TrimLeft(rest[1:], blanks)
	}
	return s[:end], rest, nil
}

// splitArgs splits s into words at spaces and tabs. Quotes of both kinds hold
// a word together, a backslash takes the meaning from a quote, a backslash and,
// outside quotes, a space; a # that begins a word begins a comment.
func splitArgs(s string) ([]string, error) { return splitWords(s, true) }

func splitWords(s string, comments bool) ([]string, error) {
	var args []string
	for {
		s = strings.TrimLeft(s, " \t")
		if s == "" || comments && s[0] == '#' {
			return args, nil
		}
		var word strings.Builder
		var quote byte
		i := 0
	word:
		for ; i < len(s); i++ {
			c := s[i]
			switch {
			case c == '\\' && i+1 < len(s) && (strings.IndexByte(`'"\`, s[i+1]) >= 0 || quote == 0 && s[i+1] == ' '):
				i++
				word.WriteByte(s[i])
			case quote == 0 && (c == ' ' || c == '\t'):
				break word
			case quote == 0 && (c == '"' || c == '\''):
				quote = c
			case quote != 0 && c == quote:
				quote = 0
			default:
				word.WriteByte(c)
			}
		}
		if quote != 0 {
			return nil, errQuotes
		}
		args = append(args, word.String())
		s = s[i:]
	}
}

// next takes the next word of the line, which must not be empty.
func (l *line) next() (string, error) {
	if len(l.args) == 0 || l.args[0] == "" {
		return "", errMissing
	}
	arg := l.args[0]
	l.args = l.args[1:]
	return arg, nil
}

// all takes all words of the line, none of which may be empty.
func (l *line) all() ([]string, error) {
	args := l.args
	l.args = nil
	for _, arg := range args {
		if arg == "" {
			return nil, errors.New("empty argument")
		}
	}
	return args, nil
}
