//go:build linux

package test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A rawClient is an FTP client that shows what it is told: every reply, and how
// its data connection ends. What it waits for in vain fails the test.
type rawClient struct {
	t       *testing.T
	control *net.TCPConn
	lines   *bufio.Reader
	active  bool
	data    *net.TCPConn // of the transfer under way
	heard   []int        // codes of the replies since begin
}

// startRawClient logs in and goes to a folder.
func startRawClient(t *testing.T, addr, user, password, folder string, active bool) *rawClient {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	c := &rawClient{t: t, control: conn.(*net.TCPConn), lines: bufio.NewReader(conn), active: active}
	c.control.SetDeadline(time.Now().Add(limit))
	c.want(220)
	c.say("USER " + user)
	c.want(331)
	c.say("PASS " + password)
	c.want(230)
	c.say("TYPE I")
	c.want(200)
	c.say("CWD " + folder)
	c.want(250)
	return c
}

func (c *rawClient) say(line string) {
	c.t.Helper()
	if _, err := io.WriteString(c.control, line+"\r\n"); err != nil {
		c.t.Fatalf("%s: %v", line, err)
	}
}

// reply returns the code and the last line of the next reply.
func (c *rawClient) reply() (code int, line string, err error) {
	for first := ""; ; {
		line, err := c.lines.ReadString('\n')
		if err != nil {
			return 0, line, err
		}
		line = strings.TrimRight(line, "\r\n")
		if first == "" && len(line) > 3 && line[3] == '-' {
			first = line[:3] + " "
		}
		if len(line) < 4 || line[3] == '-' || !strings.HasPrefix(line, first) {
			continue
		}
		code, _ := strconv.Atoi(line[:3])
		c.heard = append(c.heard, code)
		return code, line, nil
	}
}

func (c *rawClient) want(codes ...int) string {
	c.t.Helper()
	code, line, err := c.reply()
	for _, want := range codes {
		if code == want {
			return line
		}
	}
	c.t.Fatalf("got %q, %v; want %v", line, err, codes)
	return ""
}

// begin has a transfer begin: there is a data connection, and a reply that says so.
func (c *rawClient) begin(command string) {
	c.t.Helper()
	if c.active {
		ln := c.listen()
		defer ln.Close()
		c.command(command)
		ln.(*net.TCPListener).SetDeadline(time.Now().Add(limit))
		conn, err := ln.Accept()
		if err != nil {
			c.t.Fatal(err)
		}
		c.has(conn)
	} else {
		c.connect(c.passive())
		c.command(command)
	}
	c.want(125, 150)
}

// command sends the transfer command, and counts the replies from here.
func (c *rawClient) command(command string) {
	c.t.Helper()
	c.heard = nil
	c.say(command)
}

// smallBuffers keeps the kernel from taking much for a client that does not read.
var smallBuffers = func(_, _ string, raw syscall.RawConn) error {
	return raw.Control(func(fd uintptr) {
		syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 32<<10)
	})
}

// passive asks for a port.
func (c *rawClient) passive() (addr string) {
	c.t.Helper()
	c.say("EPSV")
	return c.portIn(c.want(229))
}

// portIn returns the address that the reply to EPSV tells.
func (c *rawClient) portIn(reply string) (addr string) {
	c.t.Helper()
	m := port229.FindStringSubmatch(reply)
	if m == nil {
		c.t.Fatal("no port in the reply")
	}
	host, _, _ := net.SplitHostPort(c.control.RemoteAddr().String())
	return net.JoinHostPort(host, m[1])
}

func (c *rawClient) connect(addr string) {
	c.t.Helper()
	conn, err := (&net.Dialer{Control: smallBuffers}).Dial("tcp", addr)
	if err != nil {
		c.t.Fatal(err)
	}
	c.has(conn)
}

// listen offers a port.
func (c *rawClient) listen() net.Listener {
	c.t.Helper()
	ln, err := (&net.ListenConfig{Control: smallBuffers}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		c.t.Fatal(err)
	}
	port := ln.Addr().(*net.TCPAddr).Port
	c.say(fmt.Sprintf("PORT 127,0,0,1,%d,%d", port>>8, port&0xff))
	c.want(200)
	return ln
}

func (c *rawClient) has(data net.Conn) {
	c.data = data.(*net.TCPConn)
	c.data.SetDeadline(time.Now().Add(limit))
	c.t.Cleanup(func() { data.Close() })
}

// send writes to the data connection.
func (c *rawClient) send(content []byte) {
	c.t.Helper()
	if _, err := c.data.Write(content); err != nil {
		c.t.Fatal(err)
	}
}

// A sight is what a client saw of a transfer.
type sight struct {
	replies []int // from the transfer command on
	final   int   // the first final one of them, 0 for none
	last    string
	control string // how the control connection ended
	data    []byte // what came after the beginning
	end     string // how the data connection ended; "" if there is none
}

func (s sight) String() string {
	text := strings.Trim(fmt.Sprint(s.replies), "[]")
	if text == "" {
		text = "no reply"
	}
	if s.end != "" {
		text += ", data: " + s.end
	}
	return text + ", control: " + s.control
}

// see reads what comes to the end: the data connection, this many final replies
// to the transfer and what belongs to it, and the end of the control connection, which
// QUIT brings about when nothing else does.
func (c *rawClient) see(finals int) sight {
	var s sight
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if c.data != nil {
			data, err := io.ReadAll(c.data)
			s.data, s.end = data, c.ending(err)
		}
	}()
	var err error
	for err == nil {
		var code int
		if code, s.last, err = c.reply(); err != nil || code < 200 {
			continue
		}
		if s.final == 0 {
			s.final = code
		}
		if finals--; finals == 0 {
			s.replies = c.heard
			_, err = io.WriteString(c.control, "QUIT\r\n")
		}
	}
	s.control = c.ending(err)
	if finals > 0 {
		s.replies = c.heard
	}
	<-ended
	return s
}

// ending names how reading came to its end. Waiting in vain is none.
func (c *rawClient) ending(err error) string {
	c.t.Helper()
	switch {
	case err == nil, errors.Is(err, io.EOF):
		return "end"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "reset"
	case errors.Is(err, net.ErrClosed):
		return "closed by the client"
	}
	c.t.Error(err)
	return err.Error()
}
