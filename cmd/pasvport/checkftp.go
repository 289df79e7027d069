package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/pasvport/pasvport/cmd/pasvport/internal/prompt"
	"github.com/pasvport/pasvport/ftpmux"
)

// passwordVariable holds the password of --ftp-user, for programs.
const passwordVariable = "PASVPORT_FTP_PASSWORD"

// ftpPatience is for one command with what comes of it, a listing included.
const ftpPatience = 2 * time.Minute

// An ftpCheck is a small FTP client that goes through a mux of its own.
type ftpCheck struct {
	far  *watched
	mux  *ftpmux.Mux
	gate error // what stopped the forwarding's check, for the banner to tell

	conn    net.Conn
	control *textproto.Conn
	stop    context.CancelFunc // ends the mux
	done    chan struct{}
}

// forwarding looks whether sshd would connect to the FTP server. Whether one is
// there is not its question.
func (c *ftpCheck) forwarding(ctx context.Context) (string, error) {
	c.gate = greets(ctx, c.mux)
	switch {
	case c.gate == nil, is[*ftpmux.NotFTPError](c.gate), is[*ftpmux.TLSError](c.gate), refusedBeyond(c.gate):
		return "allowed to " + c.mux.Server, nil
	}
	return "", c.gate
}

// banner reads the greeting as a client gets it.
func (c *ftpCheck) banner(ctx context.Context) (string, error) {
	if c.gate != nil {
		return "", c.gate
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	ctx, c.stop = context.WithCancel(ctx)
	c.done = make(chan struct{})
	go func() {
		defer close(c.done)
		c.mux.Serve(ctx, ln)
	}()
	if c.conn, err = net.Dial("tcp", ln.Addr().String()); err != nil {
		return "", err
	}
	c.control = textproto.NewConn(c.conn)
	_, greeting, err := c.reply(220)
	if err != nil {
		return "", fmt.Errorf("%s turns us away: %w", c.mux.Server, err)
	}
	return greeting, nil
}

// login logs in as user, or whom the person names, or as anonymous.
func (c *ftpCheck) login(ctx context.Context, user string, prompts *prompt.Asker) (string, error) {
	user, password, err := credentials(ctx, user, prompts)
	if err != nil {
		return "", &loginError{user, err}
	}
	code, text, err := c.command(0, "USER %s", user)
	if code == 331 {
		code, text, err = c.command(0, "PASS %s", password)
	}
	switch {
	case err != nil:
	case code == 230 || code == 202:
		return "as " + user, nil
	default:
		err = &replyError{code, text}
	}
	return "", &loginError{user, err}
}

// credentials finds out who logs in to the FTP server.
func credentials(ctx context.Context, user string, prompts *prompt.Asker) (name, password string, err error) {
	if user == "" && prompts != nil && prompts.OnTerminal() {
		if user, err = prompts.Ask(ctx, "FTP user (empty: anonymous): "); err != nil {
			return "a user yet to be named", "", err
		}
		user = strings.TrimSpace(user)
	} else if user != "" {
		password = os.Getenv(passwordVariable)
	}
	switch {
	case user == "", user == "anonymous" && password == "":
		return "anonymous", "anonymous@", nil
	case password != "":
	case prompts == nil:
		return user, "", errors.New("nobody is there to ask for the password, and " + passwordVariable + " is not set")
	default:
		if password, err = prompts.Secret(ctx, "FTP password of "+oneLine(user)+": "); err != nil {
			return user, "", err
		}
	}
	if strings.ContainsAny(user+password, "\r\n\x00") {
		return oneLine(user), "", errors.New("a line's end has no place in an FTP user or password")
	}
	return user, password, nil
}

// passive lists the directory as a passive client does.
func (c *ftpCheck) passive(ctx context.Context) (string, error) {
	c.far.forget()
	var port uint16
	_, text, err := c.command(229, "EPSV")
	if err == nil {
		_, text, _ = strings.Cut(text, "(|||")
		_, err = fmt.Sscanf(text, "%d|)", &port)
	}
	if err != nil {
		return "", c.explain("EPSV", err)
	}
	got, err := c.list(ctx, func(ctx context.Context) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", fmt.Sprintf("127.0.0.1:%d", port))
	})
	if err != nil {
		return "", c.explain("a listing in passive mode", err)
	}
	if dialled, _ := c.far.seen(); !dialled {
		got += "; the server is active: --data active"
	}
	return got, nil
}

// active lists the directory as an active client does.
func (c *ftpCheck) active(ctx context.Context) (string, error) {
	c.far.forget()
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer ln.Close()
	addr := ln.Addr().(*net.TCPAddr)
	if _, _, err := c.command(200, "EPRT |1|%s|%d|", addr.IP, addr.Port); err != nil {
		return "", c.explain("EPRT", err)
	}
	got, err := c.list(ctx, func(ctx context.Context) (net.Conn, error) {
		defer context.AfterFunc(ctx, func() { ln.Close() })()
		return ln.Accept()
	})
	if err != nil {
		return "", c.explain("a listing in active mode", err)
	}
	switch dialled, refusal := c.far.seen(); {
	case !dialled:
		return got + "; the server is active as well", nil
	case refusal != nil:
		return got + "; converted to passive for the server: " + refusal.Error(), nil
	}
	return got + "; converted to passive for the server", nil
}

// list reads a listing to its end, over what connect opens.
func (c *ftpCheck) list(ctx context.Context, connect func(context.Context) (net.Conn, error)) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, ftpPatience)
	defer cancel()
	type result struct {
		conn net.Conn
		err  error
	}
	results := make(chan result, 1)
	go func() {
		conn, err := connect(ctx)
		results <- result{conn, err}
	}()
	if _, _, err := c.command(1, "LIST"); err != nil {
		cancel()
		if r := <-results; r.conn != nil {
			r.conn.Close()
		}
		return "", err
	}
	r := <-results
	if r.err != nil {
		return "", r.err
	}
	defer r.conn.Close()
	defer context.AfterFunc(ctx, func() { r.conn.Close() })()
	var lines lineCount
	_, broken := io.Copy(&lines, r.conn)
	r.conn.Close()
	if _, _, err := c.reply(2); err != nil {
		return "", err
	}
	if broken != nil {
		return "", fmt.Errorf("the data broke off after %d lines: %w", lines, broken)
	}
	if lines == 1 {
		return "LIST, 1 line", nil
	}
	return fmt.Sprintf("LIST, %d lines", lines), nil
}

// command sends one and returns the reply, as reply does.
func (c *ftpCheck) command(want int, format string, args ...any) (int, string, error) {
	c.conn.SetDeadline(time.Now().Add(ftpPatience))
	if err := c.control.PrintfLine(format, args...); err != nil {
		return 0, "", err
	}
	return c.reply(want)
}

// reply reads one; one that does not begin with the digits of want is a
// *replyError, with 0 any will do. Its text is fit for one line.
func (c *ftpCheck) reply(want int) (int, string, error) {
	c.conn.SetDeadline(time.Now().Add(ftpPatience))
	code, text, err := c.control.ReadResponse(want)
	if e, ok := errors.AsType[*textproto.Error](err); ok {
		err = &replyError{e.Code, oneLine(e.Msg)}
	}
	if errors.Is(err, io.EOF) {
		err = errors.New("the FTP server ended the connection")
	}
	return code, oneLine(text), err
}

// A replyError is a reply of the FTP server that says no.
type replyError struct {
	code int
	text string
}

func (e *replyError) Error() string { return fmt.Sprintf("%03d %s", e.code, e.text) }

// explain adds what the far side had to say of a data connection.
func (c *ftpCheck) explain(what string, err error) error {
	err = fmt.Errorf("%s: %w", what, err)
	if _, refusal := c.far.seen(); refusal != nil {
		return &dataError{err, refusal}
	}
	return err
}

// A dataError is an FTP reply with the reason that is behind it.
type dataError struct{ err, cause error }

func (e *dataError) Error() string   { return e.err.Error() }
func (e *dataError) Unwrap() []error { return []error{e.err, e.cause} }

// close leaves the FTP server and ends the mux.
func (c *ftpCheck) close() {
	if c.conn != nil {
		c.command(0, "QUIT")
		c.conn.Close()
	}
	if c.stop != nil {
		c.stop()
		<-c.done
	}
}

// watched is the far side. It notes how the last data connection came about.
type watched struct {
	ftpmux.Remote

	mu      sync.Mutex
	dialled bool  // to the server
	err     error // the last refusal
}

func (w *watched) forget() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.dialled, w.err = false, nil
}

// seen tells whether the server was dialled, and what was refused.
func (w *watched) seen() (dialled bool, refusal error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.dialled, w.err
}

func (w *watched) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := w.Remote.DialContext(ctx, network, addr)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.dialled = true
	if err != nil {
		w.err = err
	}
	return conn, err
}

func (w *watched) Listen(ctx context.Context, network, addr string) (net.Listener, error) {
	ln, err := w.Remote.Listen(ctx, network, addr)
	if err != nil {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.err = err
	}
	return ln, err
}

// lineCount counts what is written to it.
type lineCount int

func (n *lineCount) Write(p []byte) (int, error) {
	*n += lineCount(bytes.Count(p, []byte("\n")))
	return len(p), nil
}
