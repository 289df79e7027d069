package config

import (
	"bytes"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"
)

// A position is a place in a file; both count from 1, column in bytes.
type position struct{ line, column int }

// join makes one string of w.
func (w where) join() string { return strings.Join(w, "\x00") }

// positions tells where each key of a TOML document stands, by what where.join makes of
// the way to it; where it comes first, if there are several.
func positions(text []byte) map[string]position {
	s := &surveyor{text: text, at: make(map[string]position)}
	s.parser.Reset(text)
	var table where
	for s.parser.NextExpression() {
		switch e := s.parser.Expression(); e.Kind {
		case unstable.Table, unstable.ArrayTable:
			table = s.note(nil, e.Key())
		case unstable.KeyValue:
			s.keyValue(table, e)
		}
	}
	return s.at
}

type surveyor struct {
	parser unstable.Parser
	text   []byte
	at     map[string]position
}

func (s *surveyor) keyValue(table where, e *unstable.Node) {
	w := s.note(table, e.Key())
	if e.Value().Kind != unstable.InlineTable {
		return
	}
	for children := e.Value().Children(); children.Next(); {
		s.keyValue(w, children.Node())
	}
}

// note takes down where the parts of a key stand, and returns the way to its last.
func (s *surveyor) note(w where, parts unstable.Iterator) where {
	for parts.Next() {
		w = w.key(string(parts.Node().Data))
		if _, ok := s.at[w.join()]; !ok {
			s.at[w.join()] = s.position(int(parts.Node().Raw.Offset))
		}
	}
	return w
}

func (s *surveyor) position(offset int) position {
	before := s.text[:offset]
	return position{bytes.Count(before, []byte("\n")) + 1, offset - bytes.LastIndexByte(before, '\n')}
}
