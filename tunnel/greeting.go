package tunnel

import (
	"bufio"
	"errors"
	"net"
	"strings"
)

const (
	saidKept = 1 << 10  // bytes of what came before the version line
	saidMax  = 64 << 10 // after so much of it there is no use in waiting for one
)

var (
	errNoVersion = errors.New("no SSH version line in 64 KiB")
	errNotSSH    = errors.New("not SSH")
)

// A greeting is a connection that reads from the server's version line on (RFC
// 4253, section 4.2). What the server says before it is kept: a server that turns
// a client away says why in place of the line, and others have none.
type greeting struct {
	net.Conn
	in   *bufio.Reader
	said []byte
	done bool // the version line has come
}

func newGreeting(c net.Conn) *greeting {
	return &greeting{Conn: c, in: bufio.NewReaderSize(c, 512)} // little: later reads go past it
}

func (g *greeting) Read(p []byte) (int, error) {
	if !g.done {
		if err := g.skip(); err != nil {
			return 0, err
		}
	}
	return g.in.Read(p)
}

// skip reads up to the version line.
func (g *greeting) skip() error {
	inLine := false
	for total := 0; total < saidMax; {
		if !inLine {
			head, err := g.in.Peek(4)
			if string(head) == "SSH-" {
				g.done = true
				return nil
			}
			if err != nil {
				g.keep(head)
				return err
			}
			if total == 0 && protocol(head) != "" {
				if head[0] >= ' ' { // else it has no lines
					head, _ = g.in.ReadSlice('\n')
				}
				g.keep(head)
				return errNotSSH
			}
		}
		line, err := g.in.ReadSlice('\n')
		g.keep(line)
		total += len(line)
		inLine = err == bufio.ErrBufferFull
		if err != nil && !inLine {
			return err
		}
	}
	return errNoVersion
}

func (g *greeting) keep(p []byte) {
	g.said = append(g.said, p[:min(len(p), saidKept-len(g.said))]...)
}

// error is err as a GreetingError if no version line has come.
func (g *greeting) error(err error) error {
	_, proxy := errors.AsType[*ProxyCommandError](err)
	if g.done || proxy && len(g.said) == 0 { // it knows better why nothing was said
		return err
	}
	e := &GreetingError{Said: brief(string(g.said)), Protocol: protocol(g.said), Err: err}
	for said, settings := range turnedAway {
		if strings.HasPrefix(e.Said, said) {
			e.Settings = settings
		}
	}
	return e
}

// protocols are those that are taken for SSH by mistake, by how their servers begin.
var protocols = map[string]string{
	"220 ":     "FTP or SMTP",
	"220-":     "FTP or SMTP",
	"HTTP":     "HTTP",
	"* OK":     "IMAP",
	"+OK ":     "POP3",
	"RFB ":     "VNC",
	"\x15\x03": "TLS",
	"\x16\x03": "TLS",
}

func protocol(said []byte) string {
	for _, n := range []int{2, 4} {
		if len(said) >= n && protocols[string(said[:n])] != "" {
			return protocols[string(said[:n])]
		}
	}
	return ""
}

// turnedAway is what sshd says in place of its version line, with the settings
// of sshd_config that have it do so.
var turnedAway = map[string]string{
	"Exceeded MaxStartups":     "MaxStartups and PerSourceMaxStartups",
	"Not allowed at this time": "PerSourcePenalties",
}

// brief is clean for text of several lines, of which it leaves the beginning.
func brief(s string) string {
	s = strings.Join(strings.Fields(clean(s)), " ")
	if r := []rune(s); len(r) > 200 {
		s = string(r[:200]) + "…"
	}
	return s
}
