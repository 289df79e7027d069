package ftpmux

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// TestWire replays the conversations in testdata/wire. Each line is a step:
//
//	C->m text   the client sends a command   S->m text   the server sends a line
//	m->C text   the client gets a line       m->S text   the server gets one
//	C=>m what   the client's data connection S=>m what   the server's
//	m=>C what   what it gets there           m=>S what   what it gets there
//
// where what is `open PORT`, `EOF`, `RST`, `nothing` or data in Go's quotes;
// `m=>S open` expects the mux to have dialled (`open HOST:PORT` another host), and
// `C=>m open PORT from HOST` is a stranger. Commands and replies end with CRLF unless
// they stand in Go's quotes. Others set the stage or look at it:
//
//	set NAME VALUE       data, fxp, server or client (an address), prefetch, tls
//	refuse listen        the far side refuses to listen
//	refuse PORT          nothing listens at the server's or the client's PORT
//	hold PORT            dialling the server's PORT takes until it is released
//	hold listen          ... and so does listening for the client
//	release PORT, listen which it is now
//	wait DURATION        passes, in virtual time
//	S handshakes         goes on inside TLS, as S=>m does; RST is an end without TLS's own
//	C closes, C resets   ends the control connection, as S does
//	C closed, S closed   it has been ended
//	stop                 the mux is told to stop
//	log TEXT             the log has told this, at Info or Warn
//	shows TEXT           Mux.Sessions has these transfers under way; nothing for none
//	ended TEXT           Mux.Ended has told this, once
//	totals TEXT          Mux.Totals has these, sessions and zeros left out
//	sessions stop        Mux.StopSession is called for the session
//	user NAME            Mux.Sessions has this user
//
// Local data ports count up from 50001, those at the far side from 60001.
func TestWire(t *testing.T) {
	files, err := filepath.Glob("testdata/wire/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no transcripts: %v", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { play(t, string(text)) })
		})
	}
}

// player is the stage of one transcript.
type player struct {
	t          *testing.T
	local, far *memNet
	mux        *Mux
	stop       context.CancelFunc
	done       chan struct{}
	client     *memConn // control
	server     *memConn
	clientData *memConn
	serverData *memConn
	dataPorts  map[string]*memListener
	clientHost string
	refused    map[string]bool
	log        bytes.Buffer
	ended      []string // not looked at yet
	ends       []TransferEnd
}

func play(t *testing.T, text string) {
	p := &player{
		t: t, local: newMemNet(50001), far: newMemNet(60001), done: make(chan struct{}),
		dataPorts: make(map[string]*memListener), refused: make(map[string]bool), clientHost: "127.0.0.1",
	}
	p.mux = &Mux{
		Remote: p.far, Local: p.local, Server: "127.0.0.1:21", Grace: 2 * time.Second,
		Logger: slog.New(slog.NewTextHandler(&p.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	p.mux.Ended = func(e TransferEnd) {
		p.ends = append(p.ends, e)
		p.ended = append(p.ended, showEnd(e))
	}
	defer func() {
		if t.Failed() {
			t.Logf("log:\n%s", p.log.String())
		}
		p.end()
	}()
	number := 0
	for line := range strings.Lines(text) {
		number++
		line = strings.TrimRight(line, "\n")
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		who, what, _ := strings.Cut(line, " ")
		if err := p.step(who, strings.TrimLeft(what, " ")); err != nil {
			t.Fatalf("line %d, %q: %v", number, line, err)
		}
	}
	synctest.Wait()
	for who, c := range map[string]*memConn{"client": p.client, "server": p.server} {
		if c != nil {
			if rest, _ := c.in.takeAll(); rest != "" {
				t.Errorf("the %s got more: %q", who, rest)
			}
		}
	}
}

// begin lets the client connect.
func (p *player) begin() error {
	if p.client != nil {
		return nil
	}
	ln, err := p.far.listen(p.mux.Server)
	if err != nil {
		return err
	}
	host := netip.MustParseAddr(p.clientHost)
	p.local.dialFrom = host
	here, there := memPipe(netip.AddrPortFrom(host, 40000), netip.AddrPortFrom(host, 2121))
	p.client = here
	ctx, stop := context.WithCancel(context.Background())
	p.stop = stop
	go func() {
		defer close(p.done)
		p.mux.ServeConn(ctx, there)
	}()
	c, err := ln.Accept()
	p.server, _ = c.(*memConn)
	if p.refused["listen"] {
		p.far.noListen = errors.New("sshd refuses to listen")
	}
	return err
}

// end takes the stage down; the session must end by itself then.
func (p *player) end() {
	if p.client == nil {
		return
	}
	p.client.Close()
	p.server.Close()
	for _, c := range []*memConn{p.clientData, p.serverData} {
		if c != nil {
			c.Close()
		}
	}
	p.stop()
	<-p.done
	checkEnds(p.t, p.mux, p.ends)
}

func (p *player) step(who, what string) error {
	switch who {
	case "set":
		name, value, _ := strings.Cut(what, " ")
		switch name {
		case "data":
			p.mux.Data = DataMode(value)
		case "fxp":
			p.mux.AllowFXP = value == "yes"
		case "server":
			p.mux.Server = value
		case "client":
			p.clientHost = value
		case "prefetch":
			p.mux.Prefetch = true
		case "tls":
			p.mux.TLS = tlsClient()
		default:
			return errors.New("unknown setting")
		}
		return nil
	case "refuse":
		p.refused[what] = true
		return nil
	case "hold":
		n, key := p.held(what)
		n.held = map[string]chan struct{}{key: make(chan struct{})}
		return nil
	}
	if err := p.begin(); err != nil {
		return err
	}
	<-time.After(2 * deathWatch) // of virtual time, so that the short waits are over
	synctest.Wait()
	switch who {
	case "release":
		n, key := p.held(what)
		close(n.held[key])
		return nil
	case "wait":
		d, err := time.ParseDuration(what)
		<-time.After(d)
		return err
	case "stop":
		p.stop()
	case "log":
		for line := range strings.Lines(p.log.String()) {
			if strings.Contains(line, what) && !strings.Contains(line, "level=DEBUG") {
				return nil
			}
		}
		return errors.New("the log does not tell it")
	case "shows", "user", "sessions":
		return p.look(who, what)
	case "totals":
		if got := showTotals(p.mux.Totals()); got != what {
			return fmt.Errorf("got %s", got)
		}
	case "ended":
		if len(p.ended) == 0 {
			return errors.New("no transfer has ended")
		}
		got := p.ended[0]
		p.ended = p.ended[1:]
		if got != what {
			return fmt.Errorf("got %s", got)
		}
	case "C->m":
		return p.send(p.client, what)
	case "S->m":
		return p.send(p.server, what)
	case "m->C":
		return p.expect(p.client, what)
	case "m->S":
		return p.expect(p.server, what)
	case "C", "S":
		c := map[string]*memConn{"C": p.client, "S": p.server}[who]
		switch what {
		case "handshakes":
			return handshake(&p.server)
		case "closes":
			return c.CloseWrite()
		case "resets":
			c.SetLinger(0)
			return c.Close()
		case "closed":
			if _, err := c.in.takeAll(); err != io.EOF {
				return fmt.Errorf("not closed: %v", err)
			}
			return nil
		}
		return errors.New("unknown")
	case "C=>m":
		return p.dataSend(&p.clientData, p.local, what)
	case "S=>m":
		return p.dataSend(&p.serverData, p.far, what)
	case "m=>C":
		return p.dataExpect(&p.clientData, p.local, p.clientHost, what)
	case "m=>S":
		return p.dataExpect(&p.serverData, p.far, hostOf(p.mux.Server), what)
	default:
		return errors.New("unknown step")
	}
	return nil
}

// held tells whose held a step is about, and its key there.
func (p *player) held(what string) (n *memNet, key string) {
	if what == "listen" {
		return p.local, what
	}
	return p.far, "127.0.0.1:" + what
}

// look is a step that is about what others see of the session.
func (p *player) look(who, what string) error {
	sessions := p.mux.Sessions()
	if len(sessions) != 1 {
		return fmt.Errorf("there are %d sessions", len(sessions))
	}
	s := sessions[0]
	switch who {
	case "sessions":
		if !p.mux.StopSession(s.ID) {
			return errors.New("the session is not known")
		}
	case "user":
		if s.User != what {
			return fmt.Errorf("got %q", s.User)
		}
	case "shows":
		var transfers []string
		for _, tr := range s.Transfers {
			transfers = append(transfers, showTransfer(tr))
		}
		if got := strings.Join(transfers, " and "); cmp.Or(got, "nothing") != what {
			return fmt.Errorf("got %s", got)
		}
	}
	return nil
}

// showTransfer writes "verb name bytes", and "from offset" and "of size" where there
// are any.
func showTransfer(tr TransferInfo) string {
	way := "down"
	if tr.Upload {
		way = "up"
	}
	text := fmt.Sprintf("%d %s %s %s %d", tr.ID, tr.Verb, tr.Name, way, tr.Bytes)
	if tr.Offset != 0 {
		text += fmt.Sprintf(" from %d", tr.Offset)
	}
	if tr.Size != nil {
		text += fmt.Sprintf(" of %d", *tr.Size)
	}
	return text
}

func showEnd(e TransferEnd) string {
	switch {
	case e.Complete():
		return showTransfer(e.TransferInfo) + ": complete"
	case e.Began:
		return showTransfer(e.TransferInfo) + ": broken: " + e.Reason
	}
	return showTransfer(e.TransferInfo) + ": refused: " + e.Reason
}

func showTotals(t Totals) string {
	var all []string
	for _, n := range []struct {
		n    int64
		what string
	}{{t.Downloads, "downloads"}, {t.Uploads, "uploads"}, {t.Failed, "failed"}, {t.BytesDown, "bytes down"}, {t.BytesUp, "bytes up"}} {
		if n.n != 0 {
			all = append(all, fmt.Sprint(n.n, " ", n.what))
		}
	}
	return strings.Join(all, ", ")
}

func hostOf(addr string) string {
	return netip.MustParseAddrPort(addr).Addr().String()
}

// control returns the bytes of a line of the control connection.
func control(what string) (string, error) {
	if strings.HasPrefix(what, `"`) {
		return strconv.Unquote(what)
	}
	return what + "\r\n", nil
}

func (p *player) send(c *memConn, what string) error {
	// What passes by announces the data ports; they have to be there in time.
	if c == p.server {
		if port, err := parseEPSV(what); err == nil && strings.HasPrefix(what, "229") {
			p.listen(p.far, hostOf(p.mux.Server), port)
		} else if port, err := parsePASV(what); err == nil && strings.HasPrefix(what, "227") {
			p.listen(p.far, hostOf(p.mux.Server), port)
		}
	} else if ap, err := parsePORT(strings.TrimPrefix(what, "PORT ")); err == nil {
		p.listen(p.local, ap.Addr().String(), ap.Port())
	} else if ap, err := parseEPRT(strings.TrimPrefix(what, "EPRT ")); err == nil {
		p.listen(p.local, ap.Addr().String(), ap.Port())
	}
	text, err := control(what)
	if err != nil {
		return err
	}
	_, err = c.Write([]byte(text))
	return err
}

func (p *player) listen(n *memNet, host string, port uint16) {
	addr := netip.AddrPortFrom(netip.MustParseAddr(host), port).String()
	if !p.refused[fmt.Sprint(port)] {
		ln, _ := n.listen(addr)
		if ln != nil {
			p.dataPorts[addr] = ln.(*memListener)
		}
	}
}

func (p *player) expect(c *memConn, what string) error {
	want, err := control(what)
	if err != nil {
		return err
	}
	if got := c.in.takeLine(); got != want {
		return fmt.Errorf("got %q", got)
	}
	return nil
}

func (p *player) dataSend(c **memConn, n *memNet, what string) error {
	if port, ok := strings.CutPrefix(what, "open "); ok {
		host := "127.0.0.1"
		if n == p.local {
			host = p.clientHost
		}
		if from, other, ok := strings.Cut(port, " from "); ok { // somebody else comes
			port, n.dialFrom = from, netip.MustParseAddr(other)
			defer func(a netip.Addr) { n.dialFrom = a }(netip.MustParseAddr(p.clientHost))
		}
		conn, err := n.DialContext(context.Background(), "tcp", netip.AddrPortFrom(netip.MustParseAddr(host), portNumber(port)).String())
		if err == nil {
			*c = conn.(*memConn)
		}
		return err
	}
	if *c == nil {
		return errors.New("no data connection")
	}
	switch what {
	case "handshakes":
		return handshake(c)
	case "EOF":
		return (*c).CloseWrite()
	case "RST":
		(*c).SetLinger(0)
		return (*c).Close()
	}
	text, err := strconv.Unquote(what)
	if err == nil {
		_, err = (*c).Write([]byte(text))
	}
	return err
}

func (p *player) dataExpect(c **memConn, n *memNet, host, what string) error {
	if port, ok := strings.CutPrefix(what, "open "); ok {
		addr := port
		if !strings.Contains(port, ":") {
			addr = netip.AddrPortFrom(netip.MustParseAddr(host), portNumber(port)).String()
		}
		ln := p.dataPorts[addr]
		if ln == nil {
			return fmt.Errorf("nobody listens at %s", addr)
		}
		select {
		case conn := <-ln.backlog:
			*c = conn.(*memConn)
			return ln.Close()
		default:
			return fmt.Errorf("nobody has come to %s; dialled: %v", addr, n.dialled)
		}
	}
	if *c == nil {
		return errors.New("no data connection")
	}
	got, end := (*c).in.takeAll()
	switch want, err := strconv.Unquote(what); {
	case what == "EOF" && got == "" && end == io.EOF:
	case what == "RST" && end == syscall.ECONNRESET:
	case what == "nothing" && got == "" && end == nil:
	case err == nil && got == want:
	default:
		return fmt.Errorf("got %q, %v", got, end)
	}
	return nil
}

func portNumber(s string) uint16 {
	n, _ := strconv.ParseUint(s, 10, 16)
	return uint16(n)
}
