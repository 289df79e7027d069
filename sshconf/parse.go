package sshconf

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
)

// maxDepth is how deep files may include each other.
const maxDepth = 16

// parser collects what one set of files says of one host.
type parser struct {
	o      *options
	host   string // as typed: what Host patterns are held against
	home   string
	system string // /etc/ssh
	notes  []Note
	place  string // of the line that is read, for notes

	read func(name string, checked bool) (string, error)
	glob func(pattern string, user bool) ([]string, error)
}

// source is one file and how it is read.
type source struct {
	name    string
	user    bool // the user's: ~ is allowed, and its includes are in ~/.ssh
	checked bool // refused if others may write to it
	never   bool // included from a block for other hosts: nothing in it counts
	depth   int
}

// scope is a place in a file.
type scope struct {
	source
	line   int
	active bool // the block here is for this host
}

// file reads one file, which begins in or out of force as the line that
// includes it.
func (p *parser) file(src source, active bool) error {
	text, err := p.read(src.name, src.checked)
	if err != nil {
		return err
	}
	return p.parse(src, text, active)
}

func (p *parser) parse(src source, text string, active bool) error {
	sc := &scope{source: src, active: active}
	for s := range strings.Lines(text) {
		sc.line++
		p.place = fmt.Sprintf("%s:%d", src.name, sc.line)
		l, err := splitLine(s)
		if err == nil && l.keyword != "" {
			err = p.obey(sc, &l)
		}
		if inner := (*SyntaxError)(nil); errors.As(err, &inner) {
			return err // of an included file
		} else if err != nil {
			return &SyntaxError{File: src.name, Line: sc.line, Err: err}
		}
	}
	return nil
}

// option reads one of Resolver.Options.
func (p *parser) option(s string) error {
	l, err := splitLine(s)
	switch l.keyword {
	case "":
	case "host", "match", "include":
		err = fmt.Errorf("%s is for files only", l.keyword)
	default:
		l.active = true
		p.place = "command line"
		err = p.set(&l)
	}
	if err != nil {
		return &SyntaxError{File: "command line", Err: fmt.Errorf("option %q: %w", s, err)}
	}
	return nil
}

// obey acts on one line: three keywords steer the reading, the others set options.
func (p *parser) obey(sc *scope, l *line) error {
	l.active = sc.active
	switch l.keyword {
	case "host":
		return p.hostBlock(sc, l)
	case "match":
		return p.matchBlock(sc, l)
	case "include":
		return p.include(sc, l)
	}
	return p.set(l)
}

// set lets the table act on one line.
func (p *parser) set(l *line) error {
	set, ok := keywords[l.keyword]
	switch {
	case ok:
	case unsafe[l.keyword] && l.active && !strings.EqualFold(strings.TrimSpace(l.rest), "none"):
		return fmt.Errorf("%s is not supported yet", l.keyword)
	case unobeyed[l.keyword] && l.active:
		p.note(l.keyword, "%s is not obeyed yet", l.keyword)
		return nil
	case ignored[l.keyword], p.o.ignoreUnknown != "" && matchList(l.keyword, strings.ToLower(p.o.ignoreUnknown)):
		return nil
	default:
		return fmt.Errorf("bad configuration option %q", l.keyword)
	}
	if err := set(p.o, l); err != nil {
		return fmt.Errorf("%s: %w", l.keyword, err)
	}
	if len(l.args) > 0 {
		return fmt.Errorf("%s: extra arguments at end of line", l.keyword)
	}
	return nil
}

// hostBlock begins a block for the hosts that match one pattern and none of
// the negated ones.
func (p *parser) hostBlock(sc *scope, l *line) error {
	patterns, err := l.all()
	if err != nil {
		return fmt.Errorf("host: %w", err)
	}
	matched, refused := false, false
	for _, pattern := range patterns {
		pattern, negated := strings.CutPrefix(pattern, "!")
		if match(p.host, pattern) {
			matched, refused = matched || !negated, refused || negated
		}
	}
	sc.active = matched && !refused && !sc.never
	return nil
}

// matchBlock begins a block under a condition, of which only "all" is known.
func (p *parser) matchBlock(sc *scope, l *line) error {
	if len(l.args) == 0 {
		return errors.New("match: missing argument")
	}
	sc.active = false
	switch strings.ToLower(l.args[0]) {
	case "all", "!all":
		if len(l.args) > 1 {
			return fmt.Errorf("match: %q cannot be combined with other conditions", l.args[0])
		}
		sc.active = l.args[0][0] != '!' && !sc.never
	default:
		if !sc.never {
			p.note("match", "skipped the block under %q: only \"Match all\" is understood", "Match "+l.rest)
		}
	}
	return nil
}

// include reads other files as if they stood here. Their Host and Match lines
// end with them.
func (p *parser) include(sc *scope, l *line) error {
	patterns, err := l.all()
	if err != nil {
		return fmt.Errorf("include: %w", err)
	}
	for _, pattern := range patterns {
		names, err := p.glob(pattern, sc.user)
		if err != nil {
			return fmt.Errorf("include: %w", err)
		}
		for _, name := range names {
			if sc.depth == maxDepth {
				return fmt.Errorf("include %s: more than %d files deep", name, maxDepth)
			}
			inner := source{name: name, user: sc.user, checked: true, never: sc.never || !sc.active, depth: sc.depth + 1}
			err := p.file(inner, sc.active)
			if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, errDirectory) {
				return err
			}
		}
	}
	return nil
}

// note keeps what is not honoured, with its place.
func (p *parser) note(keyword, format string, args ...any) {
	p.notes = append(p.notes, Note{keyword, p.place + ": " + fmt.Sprintf(format, args...)})
}
