package ftpmux

import (
	"bytes"
	"regexp"
	"strings"
)

// A listing is read beside the data connection on which it passes by, for the sizes
// of the files of one folder. Its bytes come from the goroutine that moves them;
// the session's loop takes the sizes when that has ended.
type listing struct {
	folder string // with a slash, or ""
	parse  func(line string) (name string, size int64, ok bool)
	line   []byte // what has come of the one under way
	long   bool   // ... which is over maxName
	over   bool   // the rest is not looked at
	sizes  map[string]int64
}

// listingOf returns what reads the listing that cmd asks for, or nil for a command
// that does not list the files of one folder with their sizes.
func listingOf(cmd command) *listing {
	arg := cmd.arg
	parse := parseFacts
	switch cmd.name {
	case "LIST":
		parse = parseListed
		for strings.HasPrefix(arg, "-") { // as ls has
			options, rest, _ := strings.Cut(arg, " ")
			if strings.Trim(options[1:], "alA") != "" {
				return nil
			}
			arg = rest
		}
		if strings.ContainsAny(arg, `*?[{~\`) {
			return nil
		}
	case "MLSD":
	default:
		return nil
	}
	folder, ok := cleanName(arg)
	switch {
	case !ok:
		return nil
	case folder != "" && folder != "/":
		folder += "/"
	}
	return &listing{folder: folder, parse: parse, sizes: make(map[string]int64)}
}

// read takes some bytes of the listing.
func (l *listing) read(p []byte) {
	for len(p) > 0 && !l.over {
		part, rest, whole := bytes.Cut(p, []byte("\n"))
		l.long = l.long || len(l.line)+len(part) > maxName
		if !l.long {
			l.line = append(l.line, part...)
		}
		if whole {
			if !l.long {
				l.entry(strings.TrimSuffix(string(l.line), "\r"))
			}
			l.line, l.long = l.line[:0], false
		}
		p = rest
	}
}

// entry takes one line. One that is empty or ends with a colon comes before another
// folder's files, of which nobody knows what they are called from here.
func (l *listing) entry(line string) {
	name, size, ok := l.parse(line)
	switch {
	case !ok && (line == "" || strings.HasSuffix(line, ":")):
		l.over, l.sizes = true, nil
		return
	case !ok || strings.Contains(name, "/"):
		return
	}
	if _, again := l.sizes[name]; again {
		size = ambiguous
	}
	l.sizes[name] = size
	l.over = len(l.sizes) >= maxSizes
}

// merge remembers what a listing has told.
func (z *sizes) merge(l *listing) {
	if len(z.of)+len(l.sizes) > maxSizes {
		z.of = nil
	}
	for name, size := range l.sizes {
		if key, ok := nameKey(l.folder + name); ok {
			z.put(key, size)
		}
	}
}

// parseFacts reads an entry of MLSD or MLST: RFC 3659, section 7.2. It is ok for a
// file with its size.
func parseFacts(entry string) (name string, size int64, ok bool) {
	facts, name, _ := strings.Cut(entry, " ")
	file, sized := 0, 0
	for fact := range strings.SplitSeq(facts, ";") {
		switch key, value, _ := strings.Cut(fact, "="); strings.ToLower(key) {
		case "type":
			if !strings.EqualFold(value, "file") {
				return "", 0, false
			}
			file++
		case "size":
			size, ok = parseSize(value)
			sized++
		}
	}
	if !ok || file != 1 || sized != 1 || name == "" {
		return "", 0, false
	}
	return name, size, true
}

// What LIST writes of a file: as "ls -l" does, with one word for the owner and one for
// the group, and as DOS did.
var (
	listedUnix = regexp.MustCompile(`^-[-rwxsStTlL]{9}[.+@]? +\d+ +\S+ +\S+ +(\d{1,19}) ` +
		`+(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) +\d{1,2} +(?:\d{1,2}:\d\d|\d{4}) (.+)$`)
	listedDOS = regexp.MustCompile(`^\d\d-\d\d-(?:\d\d|\d{4}) +\d\d:\d\d(?:[AP]M)? +(\d{1,19}) (.+)$`)
)

// parseListed reads a line of LIST. It is ok for a file.
func parseListed(line string) (name string, size int64, ok bool) {
	for _, form := range []*regexp.Regexp{listedUnix, listedDOS} {
		if m := form.FindStringSubmatch(line); m != nil {
			size, ok = parseSize(m[1])
			return m[2], size, ok
		}
	}
	return "", 0, false
}
