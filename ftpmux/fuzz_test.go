package ftpmux

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A troupe plays both sides of a session, one act after the other, and keeps
// what came of it.
type troupe struct {
	t              *testing.T
	local, far     *memNet
	client, server *memConn
	done           <-chan struct{}

	toClient, toServer []string // lines, with their ends
	pairs              []*pair  // of data connections, in the order of the client's requests
	log                bytes.Buffer
	farPort            uint16 // of the server's half that was negotiated last
	farListener        *memListener

	mux  *Mux
	ends []TransferEnd
}

// A pair is what belongs to one data connection: the client's and the server's end.
type pair struct {
	localPort      uint16 // where the client connects; 0: it listens itself
	listener       *memListener
	farPort        uint16
	farListener    *memListener
	client, server end
	upload         bool // it was asked for
}

// An end is one actor's end of a data connection.
type end struct {
	conn      *memConn
	sent, got int
	eof       bool  // it has ended its own half
	rst       bool  // ... or reset it
	seen      error // how the other half ended
}

func newTroupe(t *testing.T, set func(*Mux)) *troupe {
	p := &troupe{t: t, local: newMemNet(50001)}
	p.mux = &Mux{
		Local:  p.local,
		Logger: slog.New(slog.NewTextHandler(&p.log, nil)),
		Ended:  func(e TransferEnd) { p.ends = append(p.ends, e) },
	}
	set(p.mux)
	p.client, p.server, p.far, p.done = stage(t, p.mux)
	return p
}

// say writes a line or less to a side.
func (p *troupe) say(to *memConn, text string) {
	to.Write([]byte(text))
	p.settle()
}

// settle waits until the mux has nothing more to do, and reads what it has done.
func (p *troupe) settle() {
	synctest.Wait()
	p.toServer = append(p.toServer, takeLines(p.server)...)
	p.toClient = append(p.toClient, takeLines(p.client)...)
	for _, pair := range p.pairs {
		pair.client.take()
		pair.server.take()
	}
}

func takeLines(c *memConn) (lines []string) {
	for {
		line := c.in.takeLine()
		if line == "" {
			return lines
		}
		lines = append(lines, line)
	}
}

func (e *end) take() {
	if e.conn == nil || e.rst {
		return
	}
	got, end := e.conn.in.takeAll()
	e.got += len(got)
	e.seen = end
}

// finish ends the session, however it stands, and waits for all that is left.
func (p *troupe) finish() {
	<-time.After(3 * replyTimeout)
	p.settle()
	p.client.CloseWrite()
	p.server.CloseWrite()
	<-p.done // and synctest sees whether a goroutine is left
	checkEnds(p.t, p.mux, p.ends)
	p.settle()
	for _, pair := range p.pairs {
		for _, e := range []*end{&pair.client, &pair.server} {
			if e.conn != nil {
				e.conn.Close()
			}
		}
	}
}

// said are the lines that the mux says by itself: to the client, and to the server.
var (
	saidToClient = regexp.MustCompile(`^(?:227 Entering Passive Mode \(127,0,0,1,195,\d+\)\.|229 Entering Extended Passive Mode \(\|\|\|500\d\d\|\)|` +
		`200 (?:PORT|EPRT) command successful|200 EPSV ALL: .*|225 ABOR: .*|` +
		`42[156] .*|50[0-4] .*|52[12] .*|534 .*)\r\n$`)
	saidToServer = regexp.MustCompile(`^(?:EPSV|PASV|PORT 127,0,0,1,234,\d+|ABOR|REST 0|RANG 1 0|MODE S)\r\n$`)
)

// FuzzSession lets a client and a server say anything, in any order, while data
// connections come and go. What reaches either side is what the other one sent, or
// one of our own lines, and never a port that is not ours or that nobody asked for.
func FuzzSession(f *testing.F) {
	f.Add([]byte("USER me\r\nPASV\r\nLIST\r\n"), []byte("220 hi\r\n331 ok\r\n229 ok (|||40021|)\r\n150 go\r\n226 done\r\n"), []byte{7, 0, 1})
	f.Add([]byte("PORT 127,0,0,1,175,200\r\nSTOR a\r\nABOR\r\n"), []byte("220 hi\r\n200 ok\r\n426 no\r\n226 ok\r\n"), []byte{20, 0, 1, 2, 3})
	f.Add([]byte("EPSV\r\nRETR a\r\nQUIT\r\n"), []byte("220-a\r\n220 b\r\n500 no\r\n227 ok (1,2,3,4,156,85)\r\n421 bye\r\n"), []byte{1, 0, 1, 2, 3, 4, 5, 6})
	f.Add([]byte("EPSV\r\nRETR a\r\n\xff\xf4\xff\xf2ABOR\r\nMODE B\r\nREST 1\nRETR x\r\n"), []byte("220 b\r\n229 (|||40021|)\r\n150 go\r\n226-a\r\n226 b\r\n200 c\r\n"), []byte{9, 0, 1, 0, 1, 2, 3, 5, 7, 0, 1})
	f.Fuzz(func(t *testing.T, fromClient, fromServer, acts []byte) {
		for _, ahead := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				p := newTroupe(t, func(m *Mux) { m.Prefetch = ahead })
				p.mux.habits.passive.Store(ahead)
				p.converse(fromClient, fromServer, acts)
				checkLines(t, fromClient, fromServer, p.toClient, p.toServer, ahead)
			})
		}
	})
}

// converse has the client and the server say all that they have to say, as the acts
// have it, with one data connection.
func (p *troupe) converse(fromClient, fromServer, acts []byte) {
	far, _ := p.far.listen("127.0.0.1:40021")
	near, _ := p.local.listen("127.0.0.1:45000")
	ends := &pair{}
	p.pairs = []*pair{ends}
	chunk := 1
	if len(acts) > 0 {
		chunk += int(acts[0])
		acts = acts[1:]
	}
	a, b := fromClient, fromServer
	for _, act := range acts {
		switch act % 12 {
		case 0:
			n := min(chunk, len(a))
			p.client.Write(a[:n])
			a = a[n:]
		case 1:
			n := min(chunk, len(b))
			p.server.Write(b[:n])
			b = b[n:]
		case 2:
			p.meet(&ends.client, near.(*memListener), p.local, 50001+uint16(act/12)%4)
		case 3:
			p.meet(&ends.server, far.(*memListener), p.far, 60001+uint16(act/12)%4)
		case 4, 5, 6:
			ends.client.act(int(act%12 - 4))
		case 7, 8, 9:
			ends.server.act(int(act%12 - 7))
		case 10:
			<-time.After(2 * longDeathWatch)
		case 11:
			<-time.After(time.Duration(act/12) * 4 * time.Second)
		}
		p.settle()
	}
	p.say(p.client, string(a))
	p.say(p.server, string(b))
	p.finish()
}

// meet makes a data connection: whoever listens takes one, if ln is not nil, and
// else connects, if n is not nil.
func (p *troupe) meet(e *end, ln *memListener, n *memNet, port uint16) {
	if e.conn != nil {
		return
	}
	if ln != nil {
		select {
		case c := <-ln.backlog:
			e.conn = c.(*memConn)
			return
		default:
		}
	}
	if n != nil {
		if c, err := n.dial(fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			e.conn = c.(*memConn)
		}
	}
}

// act sends something, ends or resets the connection.
func (e *end) act(what int) {
	if e.conn == nil || e.rst || e.eof {
		return
	}
	switch what {
	case 0:
		if n, err := e.conn.Write(make([]byte, 100)); err == nil {
			e.sent += n
		}
	case 1:
		e.conn.CloseWrite()
		e.eof = true
	case 2:
		e.take()
		e.conn.SetLinger(0)
		e.conn.Close()
		e.rst = true
	}
}

// checkLines checks that nothing was made up, and nothing rewritten that was not
// asked for.
func checkLines(t *testing.T, fromClient, fromServer []byte, toClient, toServer []string, ahead bool) {
	t.Helper()
	sent := make(map[string]int) // by the server, less the line's end, which may be ours
	for line := range bytes.Lines(fromServer) {
		sent[strings.TrimRight(string(line), "\r\n")]++
	}
	asked := 0
	commands := make(map[string]int)
	r := bufio.NewReader(bytes.NewReader(fromClient))
	for {
		cmd, err := readCommand(r)
		if errors.Is(err, errTooLong) {
			continue
		}
		if err != nil {
			break
		}
		if cmd.name == "PASV" || cmd.name == "EPSV" {
			asked++
		}
		if cmd.verb.refusal == "" && !slices.Contains([]string{"PASV", "EPSV", "PORT", "EPRT"}, cmd.name) {
			commands[cmd.text+"\r\n"]++
		}
	}
	replies := replyReader{r: bufio.NewReader(strings.NewReader(strings.Join(toClient, "")))}
	for {
		line, err := replies.next()
		if err != nil {
			break
		}
		text := strings.TrimRight(string(line.raw), "\r\n")
		ours := saidToClient.Match(line.raw)
		_, known := sent[text]
		again := ahead && known && line.code == 200 // to TYPE
		if sent[text]--; sent[text] < 0 && !ours && !again {
			t.Errorf("the client got %q, which nobody sent", line.raw)
		}
		if line.last && passive(line.code) {
			if asked--; asked < 0 || !ours {
				t.Errorf("the client got the port %q in\n%q", line.raw, toClient)
			}
		}
	}
	for _, line := range toServer {
		if commands[line]--; commands[line] < 0 && !saidToServer.MatchString(line) {
			t.Errorf("the server got %q, which nobody sent", line)
		}
	}
}

// FuzzTransfer lets a client and a server, who speak FTP, make transfers that go
// wrong in any way, and holds the mux to its law: a client that waits for a transfer
// is told 226 or 250 only if all of its data is across and was ended, and sees the
// end of a file only if there is one. Each byte is an act.
func FuzzTransfer(f *testing.F) {
	const (
		epsv, port, retr, stor, abor            = 0, 6, 9, 15, 30 // the client's
		ok229, ok200, go150, done226, broken426 = 1, 4, 5, 8, 11  // the server's
		cOpen, sOpen, cSome, cEOF, cRST         = 60, 62, 64, 66, 67
		sSome, sEOF, sRST, moment               = 68, 70, 71, 120
	)
	f.Add([]byte{epsv, ok229, cOpen, sOpen, retr, go150, sSome, sEOF, done226, moment})
	f.Add([]byte{epsv, ok229, cOpen, sOpen, retr, go150, sSome, done226, sSome, sRST, moment})
	f.Add([]byte{epsv, ok229, cOpen, sOpen, retr, done226, go150, sSome, sEOF, broken426, moment})
	f.Add([]byte{epsv, ok229, cOpen, sOpen, stor, go150, cSome, cEOF, moment, done226, moment})
	f.Add([]byte{epsv, ok229, cOpen, sOpen, stor, go150, cSome, cRST, moment, done226, moment})
	f.Add([]byte{epsv, ok229, cOpen, sOpen, retr, go150, sSome, abor, broken426, done226, epsv, ok229, cOpen, sOpen, retr})
	f.Add([]byte{port, ok200, retr, cOpen, sOpen, go150, sSome, sEOF, done226, moment})
	f.Fuzz(func(t *testing.T, acts []byte) {
		acts = acts[:min(len(acts), 200)]
		for _, server := range []struct {
			greeting string
			known    bool // ... to open passive ports, so that much is done ahead
		}{{"220 ready", false}, {"220 ready", true}, {"220 (vsFTPd 3.0.3)", true}, {"220 ProFTPD ready", true}} {
			synctest.Test(t, func(t *testing.T) {
				play := newPlay(t, server.greeting, server.known)
				for _, act := range acts {
					play.act(act)
				}
				play.finish()
				play.judgeEnds()
			})
		}
	})
}

// A transferPlay is a client that waits for each reply, as most do, but for ABOR and
// STAT, and a server that says whatever comes to its mind.
type transferPlay struct {
	*troupe
	waiting  []string // commands of the client's without a final reply
	heard    int      // lines to the client that were judged
	code     string   // of the multi-line reply that the client is getting
	pair     *pair    // of the transfer that the client waits for
	nextPort uint16
	acts     []string
}

// lost tells whether the client has got a refusal that was for nobody. It takes it
// for its own, as it would without us, and from then on every reply for another's.
func (p *transferPlay) lost() bool { return refusedNobody.Match(p.log.Bytes()) }

var refusedNobody = regexp.MustCompile(`nobody asked for" session=1 code=[45]\d\d passed=true`)

func newPlay(t *testing.T, greeting string, known bool) *transferPlay {
	p := &transferPlay{troupe: newTroupe(t, func(m *Mux) { m.Prefetch = known }), nextPort: 40021}
	p.mux.habits.passive.Store(known)
	p.say(p.server, greeting+"\r\n")
	p.say(p.client, "USER anna\r\n")
	p.say(p.server, "230 welcome\r\n")
	p.acts = append(p.acts, "greeted by "+greeting)
	p.hear()
	return p
}

var (
	clientSays = []string{"EPSV", "PASV", "PORT", "RETR a", "LIST", "STOR a", "APPE a", "NOOP", "TYPE I", "REST 5", "ABOR", "STAT", "MODE B", "QUIT"}
	serverSays = []string{
		"229 ok (|||%d|)", "227 ok (127,0,0,1,%d,%d)", "200 ok", "150 go", "125 go", "226 done", "250 done", "426 broken", "225 ok",
		"550 no", "425 no", "421 late", "451 broken", "500 what", "350 go on", "226-some\r\n226 more", "211-a\r\n226 b\r\n211 c", "150-a\r\n150 b",
		"229 unreadable", "452 full",
	}
)

// answerTo are how the good answers to what the client says begin.
var answerTo = map[string][2]string{
	"EPSV": {"229", "229"}, "PASV": {"227", "227"}, "PORT": {"200 PORT", "200 PORT"}, "NOOP": {"200 ok", "200 ok"}, "TYPE": {"200 ok", "200 ok"},
	"REST": {"350", "350"}, "ABOR": {"225", "226"}, "STAT": {"211", "211"}, "MODE": {"200 ok", "200 ok"}, "QUIT": {"200 ok", "200 ok"},
	"RETR": {"226", "250"}, "LIST": {"226", "250"}, "STOR": {"226", "250"}, "APPE": {"226", "250"},
}

func (p *transferPlay) act(act byte) {
	what := ""
	n := int(act)
	switch {
	case n < 60: // each command and reply has several numbers, the common ones the lower
		if n%3 == 0 {
			what = p.clientSays(clientSays[n/3%len(clientSays)])
		} else {
			what = p.serverSays(serverSays[(n/3*2+n%3-1)%len(serverSays)])
		}
	case n < 120:
		what = p.data(n % 12)
	case n < 124:
		what = "some ms"
		<-time.After(2 * longDeathWatch)
	case n < 127:
		what = "1.5 s"
		<-time.After(1500 * time.Millisecond)
	case n < 129:
		what = "61 s"
		<-time.After(61 * time.Second)
	case n == 129:
		what = "C closes"
		p.client.CloseWrite()
	case n == 130:
		what = "S closes"
		p.server.CloseWrite()
	default:
		p.act(byte(n - 131))
		return
	}
	p.acts = append(p.acts, what)
	p.settle()
	p.hear()
}

func (p *transferPlay) clientSays(line string) string {
	if len(p.waiting) > 0 && line != "STAT" && (line != "ABOR" || slices.Contains(p.waiting, "ABOR")) {
		return ""
	}
	name, _, _ := strings.Cut(line, " ")
	if verbs[name].transfers() && p.lost() {
		return ""
	}
	p.waiting = append(p.waiting, name)
	switch {
	case name == "PORT":
		p.nextPort++
		ln, _ := p.local.listen(fmt.Sprintf("127.0.0.1:%d", p.nextPort))
		p.pairs = append(p.pairs, &pair{listener: ln.(*memListener)})
		line = fmt.Sprintf("PORT 127,0,0,1,%d,%d", p.nextPort>>8, p.nextPort&0xff)
	case verbs[name].transfers():
		p.pair = nil
		if len(p.pairs) > 0 {
			p.pair = p.pairs[len(p.pairs)-1]
			p.pair.upload = p.pair.upload || verbs[name].direction == upload
		}
	}
	p.client.Write([]byte(line + "\r\n"))
	return "C " + line
}

func (p *transferPlay) serverSays(line string) string {
	if strings.Contains(line, "%d") {
		p.nextPort++
		ln, _ := p.far.listen(fmt.Sprintf("127.0.0.1:%d", p.nextPort))
		p.farPort, p.farListener = p.nextPort, ln.(*memListener)
		if strings.HasPrefix(line, "229") {
			line = fmt.Sprintf(line, p.nextPort)
		} else {
			line = fmt.Sprintf(line, p.nextPort>>8, p.nextPort&0xff)
		}
	}
	p.server.Write([]byte(line + "\r\n"))
	return "S " + line
}

// hear has the client take the replies that have come.
func (p *transferPlay) hear() {
	for _, line := range p.toServer {
		var a, b int
		if n, _ := fmt.Sscanf(line, "PORT 127,0,0,1,%d,%d", &a, &b); n == 2 {
			p.farPort, p.farListener = uint16(a<<8|b), nil
		}
		// What is asked for ahead has its place only now.
		name, _, _ := strings.Cut(strings.TrimSpace(line), " ")
		if verbs[name].transfers() && p.mux.Prefetch && p.pair != nil && p.pair.server.conn == nil {
			p.pair.farPort, p.pair.farListener = p.farPort, p.farListener
		}
	}
	p.toServer = nil
	for ; p.heard < len(p.toClient); p.heard++ {
		line := p.toClient[p.heard]
		p.acts = append(p.acts, "        -> C "+strings.TrimSpace(line))
		code := line[:min(3, len(line))]
		switch {
		case p.code != "" && (code != p.code || line[3] == '-'):
			continue
		case line[3] == '-':
			p.code = code
			continue
		}
		p.code = ""
		p.judge(code, line)
	}
}

// judge looks at a final reply, or a preliminary one.
func (p *transferPlay) judge(code, line string) {
	if code < "200" {
		return
	}
	i := slices.IndexFunc(p.waiting, func(name string) bool { return verbs[name].transfers() })
	if i >= 0 && (code == "226" || code == "250") && !p.lost() {
		if p.pair != nil { // what has come to a listener was taken by its system
			p.meet(&p.pair.client, p.pair.listener, nil, 0)
			p.meet(&p.pair.server, p.pair.farListener, nil, 0)
			p.pair.client.take()
			p.pair.server.take()
		}
		if why := p.pair.incomplete(p.waiting[i]); why != "" {
			p.t.Errorf("%s was told %q, but %s:\n%s", p.waiting[i], strings.TrimSpace(line), why, strings.Join(p.acts, "\n"))
		}
		p.waiting = slices.Delete(p.waiting, i, i+1)
		return
	}
	// Of the others it believes what it can have asked for.
	if i := slices.IndexFunc(p.waiting, func(name string) bool {
		return code >= "400" || strings.HasPrefix(line, answerTo[name][0]) || strings.HasPrefix(line, answerTo[name][1])
	}); i >= 0 {
		p.waiting = slices.Delete(p.waiting, i, i+1)
	}
	switch {
	case code == "227" || code == "229":
		var port int
		if fmt.Sscanf(line, "229 Entering Extended Passive Mode (|||%d|)", &port); port == 0 {
			fmt.Sscanf(line, "227 Entering Passive Mode (127,0,0,1,195,%d).", &port)
			port += 195 << 8
		}
		p.pairs = append(p.pairs, &pair{localPort: uint16(port), farPort: p.farPort, farListener: p.farListener})
	case strings.HasPrefix(line, "200 PORT command") && len(p.pairs) > 0:
		last := p.pairs[len(p.pairs)-1]
		last.farPort, last.farListener = p.farPort, p.farListener
	}
}

// incomplete tells what is missing of a transfer's data, or "".
func (p *pair) incomplete(name string) string {
	switch {
	case p == nil:
		return "it had no data connection"
	case verbs[name].direction == download && p.client.rst, verbs[name].direction == upload && p.server.rst:
		return "" // who left knows
	case verbs[name].direction == download && !p.server.eof:
		return "the server has not ended it"
	case verbs[name].direction == download && (p.client.conn == nil || p.client.got != p.server.sent):
		return fmt.Sprintf("%d of %d bytes came", p.client.got, p.server.sent)
	case verbs[name].direction == upload && !p.client.eof:
		return "the client has not ended it"
	case verbs[name].direction == upload && (p.server.conn == nil || p.server.got != p.client.sent || p.server.seen != io.EOF):
		return fmt.Sprintf("%d of %d bytes went, and then %v", p.server.got, p.client.sent, p.server.seen)
	}
	return ""
}

// data does something on the last pair of data connections.
func (p *transferPlay) data(what int) string {
	if len(p.pairs) == 0 {
		return ""
	}
	last := p.pairs[len(p.pairs)-1]
	switch {
	case what < 2:
		p.meet(&last.client, last.listener, p.local, last.localPort)
		return fmt.Sprint("C connects ", last.client.conn != nil)
	case what < 4:
		p.meet(&last.server, last.farListener, p.far, last.farPort)
		return fmt.Sprint("S connects ", last.server.conn != nil)
	case what < 8:
		last.client.act([]int{0, 0, 1, 2}[what-4])
		return fmt.Sprint("C data ", []string{"some", "some", "EOF", "RST"}[what-4])
	}
	last.server.act([]int{0, 0, 1, 2}[what-8])
	return fmt.Sprint("S data ", []string{"some", "some", "EOF", "RST"}[what-8])
}

// judgeEnds looks at the ends that the clients have seen.
func (p *transferPlay) judgeEnds() {
	for _, pair := range p.pairs {
		c, s := pair.client, pair.server
		if !pair.upload && c.conn != nil && !c.rst && c.seen == io.EOF && c.got > 0 && (c.got != s.sent || !s.eof) {
			p.t.Errorf("the client saw a clean end after %d of %d bytes:\n%s", c.got, s.sent, strings.Join(p.acts, "\n"))
		}
	}
}
