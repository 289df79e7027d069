package sshconf

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
)

// Bounds on what is read for one answer. ssh has only the first.
const (
	maxDepth = 16       // how deep files may include each other
	maxFiles = 4096     // files in all: two that include each other twice make 65,536
	maxText  = 32 << 20 // bytes in all
	maxSteps = 1 << 30  // of comparing patterns, a second or so
)

// parser collects what one set of files says of one host.
type parser struct {
	outside
	o        options
	acct     account
	host     string // as typed, or in the final pass as resolved: what Host patterns are held against
	original string // as typed
	final    bool   // the second pass over the files
	again    bool   // some Match asks for that pass
	named    func(pattern string)
	notes    []Note

	files, text, steps int // what was spent of the bounds
}

// outside is what the parser does with the rest of the world. Tests have one of
// their own.
type outside struct {
	// read reads one file; see readFile.
	read func(name string, checked bool) (string, error)
	// glob lists the files that a pattern means, in order.
	glob func(pattern string) []string
	// run says whether a command of Match exec succeeds.
	run func(command string) (bool, error)
	// networks are the addresses of this machine's interfaces.
	networks func() ([]string, error)
	// lookup finds name in an address family and returns its canonical name,
	// where cname asks for that.
	lookup func(family, name string, cname bool) (string, error)
	// system is /etc/ssh.
	system string
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
	active bool // the block here is for this host
}

// file reads one file, which begins in or out of force as the line that
// includes it.
func (p *parser) file(src source, active bool) error {
	if p.files++; p.files > maxFiles {
		return fmt.Errorf("more than %d files", maxFiles)
	}
	text, err := p.read(src.name, src.checked)
	if err != nil {
		return err
	}
	if p.text += len(text); p.text > maxText {
		return fmt.Errorf("more than %d bytes in all files", maxText)
	}
	return p.parse(src, text, active)
}

func (p *parser) parse(src source, text string, active bool) error {
	sc := &scope{source: src, active: active}
	n := 0
	for s := range strings.Lines(text) {
		n++
		l, err := splitLine(s)
		if err == nil && l.keyword != "" {
			l.file, l.number = src.name, n
			err = p.obey(sc, &l)
		}
		if p.named != nil {
			continue // what is wrong is no concern of those who want names
		}
		if inner := (*SyntaxError)(nil); errors.As(err, &inner) {
			return err // of an included file
		} else if err != nil {
			return &SyntaxError{File: src.name, Line: n, Err: err}
		}
	}
	return nil
}

// option reads one of Resolver.Options.
func (p *parser) option(s string) error {
	l, err := splitLine(s)
	switch {
	case err != nil || l.keyword == "":
	case l.keyword == "host", l.keyword == "match", l.keyword == "include":
		err = fmt.Errorf("%s is for files only", l.keyword)
	default:
		l.active = true
		l.file = "command line"
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
	switch {
	case l.keyword == "host":
		return p.hostBlock(sc, l)
	case l.keyword == "include":
		return p.include(sc, l)
	case p.named != nil:
		return nil
	case l.keyword == "match":
		return p.matchBlock(sc, l)
	}
	return p.set(l)
}

// set lets the table act on one line.
func (p *parser) set(l *line) error {
	k := byName[l.keyword]
	if k == nil {
		unknown, err := p.ignores(l.keyword)
		if err == nil && !unknown && !ignored[l.keyword] {
			err = fmt.Errorf("bad configuration option %q: expected a keyword of ssh_config(5)", l.keyword)
		}
		return err
	}
	if err := k.set(p.o, k.name, l); err != nil {
		return fmt.Errorf("%s: %w", l.keyword, err)
	}
	if len(l.args) > 0 {
		return fmt.Errorf("%s: extra arguments at end of line: %.100q", l.keyword, l.args[0])
	}
	return nil
}

// ignores says that IgnoreUnknown lists a keyword that is none.
func (p *parser) ignores(keyword string) (bool, error) {
	list := p.o.get("ignoreunknown")
	if list == "" || ignored[keyword] {
		return false, nil
	}
	return p.matchList(keyword, lower(list))
}

// match and matchList are match and MatchList within bounds.
func (p *parser) match(s, pattern string) (bool, error) {
	return match(s, pattern), p.spend(s, pattern)
}

func (p *parser) matchList(s, list string) (bool, error) {
	if err := p.spend(s, list); err != nil {
		return false, err
	}
	return MatchList(s, list), nil
}

var errBounds = errors.New("too many patterns to compare")

// spend counts the steps that comparing s with patterns may take.
func (p *parser) spend(s, patterns string) error {
	p.steps += len(patterns)
	if strings.Contains(patterns, "*") {
		p.steps += len(s) * len(patterns)
	}
	if p.steps > maxSteps {
		return errBounds
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
	if p.named != nil {
		for _, pattern := range patterns {
			p.named(pattern)
		}
		return nil
	}
	matched, refused := false, false
	for _, pattern := range patterns {
		pattern, negated := strings.CutPrefix(pattern, "!")
		hit, err := p.match(p.host, pattern)
		if err != nil {
			return fmt.Errorf("host: %w", err)
		}
		if hit {
			matched, refused = matched || !negated, refused || negated
		}
	}
	sc.active = matched && !refused && !sc.never
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
		names, err := p.included(pattern, sc.user)
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
