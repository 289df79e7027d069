package ftpmux

import (
	"regexp"
	"strconv"
	"strings"
)

// The size of a file is shown where a client or the server has told it for sure: a
// wrong one is worse than none. It is that of the bytes on the wire only with TYPE I
// (or L 8) and without compression, so in any other mode there is none.

// sizes is what a session has heard of files' sizes, by nameKey. Names mean something
// else once the client has gone elsewhere, and files change, so the session takes a new
// one then (keepsSizes); who still waits for a reply goes on with the old.
type sizes struct {
	of map[string]int64 // ambiguous: somebody has told two
}

// Limits of what a session remembers.
const (
	maxSizes = 4096 // names
	maxName  = 512  // bytes of one, and of a listing's line
)

const ambiguous = -1

// put remembers the size of a file; it forgets all others first where there are too many.
func (z *sizes) put(key string, size int64) {
	if z.of == nil {
		z.of = make(map[string]int64)
	}
	if _, known := z.of[key]; !known && len(z.of) >= maxSizes {
		clear(z.of)
	}
	z.of[key] = size
}

// get returns the size of a file if it is known.
func (z *sizes) get(key string) (int64, bool) {
	size, known := z.of[key]
	return size, known && size != ambiguous
}

// keepsSizes are the commands after which all names mean the same files, with the
// same sizes, as before.
var keepsSizes = map[string]bool{
	"NOOP": true, "TYPE": true, "STRU": true, "MODE": true, "ALLO": true, "REST": true, "RANG": true, "ABOR": true,
	"PWD": true, "XPWD": true, "SYST": true, "STAT": true, "HELP": true, "FEAT": true, "CLNT": true, "LANG": true,
	"SIZE": true, "MDTM": true, "MFMT": true, "MLST": true, "MKD": true, "XMKD": true, "DELE": true,
	"PRET": true, "HASH": true, "MD5": true, "XMD5": true, "XCRC": true, "XSHA1": true, "XSHA256": true, "XSHA512": true,
	"PASV": true, "EPSV": true, "PORT": true, "EPRT": true, "RETR": true, "LIST": true, "NLST": true, "MLSD": true,
}

// nameKey is the name of a file in a form that is the same for "a" and "./a". It is
// false for what may be one of several names, and for none.
func nameKey(arg string) (key string, ok bool) {
	key, ok = cleanName(arg)
	return key, ok && key != "" && key != "/"
}

// cleanName is nameKey for folders too: "" is the one where the client is.
func cleanName(arg string) (key string, ok bool) {
	if len(arg) > maxName || strings.Contains(arg, "\xff") { // Telnet's, which is written twice
		return "", false
	}
	if strings.HasPrefix(arg, "/") {
		key = "/"
	}
	for part := range strings.SplitSeq(arg, "/") {
		switch part {
		case "", ".":
		case "..":
			return "", false
		default:
			if key != "" && key != "/" {
				key += "/"
			}
			key += part
		}
	}
	return key, true
}

// expect gives r what is known of its size as its command goes out.
func (s *session) expect(r *record) {
	switch {
	case !r.exact:
	case r.cmd.name == "RETR":
		if size, ok := r.sizes.get(r.key); ok {
			r.size.Store(&size)
		}
	case r.cmd.name == "STOR" && r.offset.Load() == 0 && r.allocated > 0:
		r.size.Store(&r.allocated)
	}
}

// learn remembers a size; a download may wait for it.
func (s *session) learn(z *sizes, key string, size int64) {
	z.put(key, size)
	for _, r := range s.shown {
		if r.sizes == z && r.key == key {
			s.expect(r)
		}
	}
}

// learnOpening takes the size that a 125 or 150 tells. With an offset it is that of the
// file with some servers, and of its rest with others.
func (s *session) learnOpening(r *record, reply string) {
	if r.cmd.name != "RETR" || !r.exact || r.offset.Load() != 0 {
		return
	}
	if size, ok := parseOpening(reply, r.cmd.arg); ok {
		r.size.Store(&size)
	}
}

// size passes SIZE on.
func (s *session) size(cmd command) {
	x := &exchange{cmd: cmd}
	z, exact := s.sizes, s.exact()
	if key, ok := nameKey(cmd.arg); ok && exact {
		x.then = func(int) {
			if size, ok := parseSIZE(x.said); ok {
				s.learn(z, key, size)
			}
		}
	}
	s.forward(x, nil)
}

// mlst passes MLST on.
func (s *session) mlst(cmd command) {
	x := &exchange{cmd: cmd}
	z := s.sizes
	if key, ok := nameKey(cmd.arg); ok {
		var size int64
		facts, known := 0, false
		x.overhears = func(line replyLine) {
			if text, ok := strings.CutPrefix(string(line.raw), " "); ok {
				facts++
				_, size, known = parseFacts(strings.TrimRight(text, "\r\n"))
			}
		}
		x.then = func(code int) {
			if code == 250 && facts == 1 && known {
				s.learn(z, key, size)
			}
		}
	}
	s.forward(x, nil)
}

// allo passes ALLO on: RFC 959, section 4.1.3.
func (s *session) allo(cmd command) {
	number, _, _ := strings.Cut(strings.TrimSpace(cmd.arg), " ")
	s.allocated, _ = parseSize(number)
	s.forward(&exchange{cmd: cmd}, nil)
}

// representation passes TYPE on: RFC 959, section 3.1.1.
func (s *session) representation(cmd command) {
	arg := strings.ToUpper(strings.Join(strings.Fields(cmd.arg), " "))
	if s.knowsType(cmd) {
		s.log.Debug("answered", "reply", s.typed.reply, "for", cmd, "ahead of the server", "nothing")
		s.answer(cmd, s.typed.reply)
		return
	}
	s.set(&s.image, arg == "I" || arg == "L 8", cmd)
	t := new(typed) // which no longer counts once another command may change it
	s.typed = t
	x := s.queue[len(s.queue)-1]
	set := x.then
	x.then = func(code int) {
		set(code)
		if code == 200 {
			*t = typed{cmd.text, x.said}
		}
	}
}

// set passes cmd on, with which setting becomes value unless the server refuses it.
func (s *session) set(setting *bool, value bool, cmd command) {
	before := *setting
	*setting = value
	s.forward(&exchange{cmd: cmd, then: func(code int) {
		if code >= 300 {
			*setting = before
		}
	}}, nil)
}

// exact tells whether files are as long on the wire as they are on the server.
func (s *session) exact() bool { return s.image && !s.compressed }

// parseSize reads a number of bytes.
func parseSize(text string) (size int64, ok bool) {
	n, err := strconv.ParseUint(text, 10, 63)
	if err != nil {
		return 0, false
	}
	return int64(n), true
}

// parseSIZE reads the reply to SIZE: RFC 3659, section 4.
func parseSIZE(reply string) (size int64, ok bool) {
	number, ok := strings.CutPrefix(reply, "213 ")
	if !ok {
		return 0, false
	}
	return parseSize(strings.TrimSpace(number))
}

var opening = regexp.MustCompile(`(?i)\((\d{1,19}) bytes\)[. ]*$`)

// parseOpening reads the number of bytes at the end of a 125 or 150 to RETR. It is none
// where it may be the end of the name.
func parseOpening(reply, name string) (size int64, ok bool) {
	name = strings.TrimRight(name[strings.LastIndexAny(name, `/\`)+1:], ". ")
	m := opening.FindStringSubmatch(reply)
	if m == nil || name != "" && strings.HasSuffix(strings.TrimRight(reply, ". "), name) {
		return 0, false
	}
	return parseSize(m[1])
}
