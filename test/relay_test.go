//go:build linux

package test

import (
	"fmt"
	"net"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// startRelay starts what stands between those who connect to the returned address
// and the server at to. For each connection, meet returns what is shown the pieces
// that come from either side before they are passed on, and nil at the end; it may
// change them.
func startRelay(t *testing.T, to string, meet func() (fromClient, fromServer func(piece []byte))) (addr string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var open []net.Conn
	var all sync.WaitGroup
	all.Go(func() {
		for {
			client, err := ln.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", to)
			if err != nil {
				client.Close() // a server that is down is part of some tests
				continue
			}
			mu.Lock()
			open = append(open, client, server)
			mu.Unlock()
			fromClient, fromServer := meet()
			all.Go(func() {
				var both sync.WaitGroup
				both.Go(func() { relayOneWay(server, client, fromClient) })
				both.Go(func() { relayOneWay(client, server, fromServer) })
				both.Wait()
				client.Close()
				server.Close()
			})
		}
	})
	t.Cleanup(func() {
		ln.Close()
		mu.Lock()
		for _, c := range open {
			c.Close()
		}
		mu.Unlock()
		all.Wait()
	})
	return ln.Addr().String()
}

// relayOneWay goes on reading when dst takes no more, for those who look.
func relayOneWay(dst, src net.Conn, look func([]byte)) {
	buf := make([]byte, 32<<10)
	for {
		n, err := src.Read(buf)
		if n > 0 {
			look(buf[:n])
			dst.Write(buf[:n])
		}
		if err != nil {
			look(nil)
			dst.(*net.TCPConn).CloseWrite()
			return
		}
	}
}

// A tap stands between sshd and an FTP server and hears the control connections:
// what the server says is known even when nobody is left to tell it to.
type tap struct {
	addr string

	mu  sync.Mutex
	all []*conversation
}

func startTap(t *testing.T, to string) *tap {
	t.Helper()
	tap := &tap{}
	tap.addr = startRelay(t, to, func() (fromClient, fromServer func([]byte)) {
		c := &conversation{}
		tap.mu.Lock()
		tap.all = append(tap.all, c)
		tap.mu.Unlock()
		return func(piece []byte) { c.hear(false, piece) }, func(piece []byte) { c.hear(true, piece) }
	})
	return tap
}

// with returns the conversation in which the client has said line, or nil.
func (t *tap) with(line string) *conversation {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, c := range t.all {
		if c.after(line) != nil {
			return c
		}
	}
	return nil
}

// A conversation is what was said on one control connection.
type conversation struct {
	mu    sync.Mutex
	lines []spoken
	rest  [2]string // of a line that is not over yet; the client's and the server's

	dataPort  int    // of the latest data connection: the server's, or the one that it connects to
	active    bool   // ... which is so in active mode
	aborted   string // how its data connection was when the server was told ABOR; "" if it was not
	abortedAt time.Time
	ended     bool // the server has ended the conversation
}

type spoken struct {
	byServer bool
	text     string
}

var port229 = regexp.MustCompile(`^229 .*\|(\d+)\|`)

func (c *conversation) hear(byServer bool, piece []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if piece == nil {
		c.ended = c.ended || byServer
		return
	}
	rest := &c.rest[map[bool]int{true: 1}[byServer]]
	*rest += string(piece)
	for {
		line, more, ok := strings.Cut(*rest, "\r\n")
		if !ok {
			return
		}
		*rest = more
		c.lines = append(c.lines, spoken{byServer, line})
		switch {
		case byServer:
			if m := port229.FindStringSubmatch(line); m != nil {
				c.dataPort, _ = strconv.Atoi(m[1])
				c.active = false
			}
		case strings.HasPrefix(line, "PORT "):
			numbers := strings.Split(line, ",")
			high, _ := strconv.Atoi(numbers[len(numbers)-2])
			low, _ := strconv.Atoi(numbers[len(numbers)-1])
			c.dataPort, c.active = high<<8|low, true
		case line == "ABOR":
			c.aborted, c.abortedAt = dataState(c.dataPort, c.active), time.Now()
		}
	}
}

// after returns the lines from line of the client's on, nil if there is none.
func (c *conversation) after(line string) []spoken {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, l := range c.lines {
		if !l.byServer && l.text == line {
			return c.lines[i:len(c.lines):len(c.lines)]
		}
	}
	return nil
}

// over tells whether the server has ended the conversation.
func (c *conversation) over() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ended
}

// answer returns the server's final reply to line, "" for none.
func (c *conversation) answer(line string) string {
	for _, l := range c.after(line) {
		if code := finalCode(l.text); l.byServer && code != 0 {
			return l.text
		}
	}
	return ""
}

// finalCode returns the code of a line that ends a final reply, else 0.
func finalCode(line string) int {
	if len(line) < 4 || line[3] != ' ' || line[0] < '2' || line[0] > '5' {
		return 0
	}
	code, _ := strconv.Atoi(line[:3])
	return code
}

// dataState tells how the FTP server's end of a data connection is: "open" until
// its peer has ended it. A passive server has it at port, an active one has
// connected it there.
func dataState(port int, active bool) string {
	table, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		return err.Error()
	}
	const local, remote, state, established = 1, 2, 3, "01"
	at := map[bool]int{false: local, true: remote}[active]
	for line := range strings.Lines(string(table)) {
		fields := strings.Fields(line)
		if strings.HasSuffix(fields[at], fmt.Sprintf(":%04X", port)) && fields[state] == established {
			return "open"
		}
	}
	return "ended"
}
