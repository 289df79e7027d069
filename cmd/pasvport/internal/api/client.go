package api

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// ErrNoAgent tells that no agent answers at the socket.
var ErrNoAgent = errors.New("no agent is running")

// maxReply bounds a reply and each line of a stream; a status with ten thousand sessions
// has a tenth of it.
const maxReply = 64 << 20

// A Client asks the agent. What the agent refuses comes back as an [*Error], and that
// there is none as [ErrNoAgent].
type Client struct {
	socket string
	http   http.Client
}

// New returns a client of the agent at that Unix socket. It connects nothing yet.
func New(socket string) *Client {
	c := &Client{socket: socket}
	c.http.Transport = &http.Transport{
		DisableKeepAlives: true,
		DialContext:       func(ctx context.Context, _, _ string) (net.Conn, error) { return c.dial(ctx) },
	}
	c.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return c
}

// dial connects. It is another user's socket that is refused: whoever listens there
// would be told passwords.
func (c *Client) dial(ctx context.Context) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "unix", c.socket)
	if err != nil {
		return nil, err
	}
	if err := ownUser(conn); err != nil {
		conn.Close()
		return nil, fmt.Errorf("who listens at %s is no agent of yours: %w", c.socket, err)
	}
	return conn, nil
}

// Ping looks whether an agent listens. It is ErrNoAgent if none does.
func (c *Client) Ping() error {
	conn, err := c.dial(context.Background())
	if err != nil {
		return c.absent(err)
	}
	return conn.Close()
}

// absent makes ErrNoAgent of a socket that is not there, or that nobody listens on.
func (c *Client) absent(err error) error {
	if errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, wsaRefused) {
		return ErrNoAgent
	}
	if _, err := os.Lstat(c.socket); errors.Is(err, fs.ErrNotExist) { // whatever a system says to that
		return ErrNoAgent
	}
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err // without the URL, which means nothing to anybody
	}
	return fmt.Errorf("asking the agent: %w", err)
}

// wsaRefused is Windows' ECONNREFUSED.
const wsaRefused = syscall.Errno(10061)

// statusTimeout is for an agent that hangs, or was stopped by a signal.
const statusTimeout = 10 * time.Second

// Status is all that the agent knows. It does not wait for more than 10 s.
func (c *Client) Status(ctx context.Context) (*Status, error) {
	ctx, cancel := context.WithTimeout(ctx, statusTimeout)
	defer cancel()
	s := new(Status)
	err := c.call(ctx, http.MethodGet, "/v1/status", nil, s)
	if errors.Is(err, context.DeadlineExceeded) {
		return nil, &Error{
			Text:  fmt.Sprintf("asking the agent: no reply within %v", statusTimeout),
			Hints: []string{"its process, `pasvport agent run`, hangs or was stopped by a signal; once it is killed, pasvport up NAME starts another"},
			Code:  1,
			Time:  time.Now(),
		}
	}
	return s, err
}

// Down closes a tunnel and returns how it was.
func (c *Client) Down(ctx context.Context, name string) (*Tunnel, error) {
	t := new(Tunnel)
	return t, c.call(ctx, http.MethodPost, tunnelPath(name, "down"), nil, t)
}

// StopSession ends an FTP session.
func (c *Client) StopSession(ctx context.Context, id int64) error {
	return c.call(ctx, http.MethodPost, "/v1/sessions/"+strconv.FormatInt(id, 10)+"/stop", nil, nil)
}

// Reload has the agent read its configuration again.
func (c *Client) Reload(ctx context.Context) (*Reloaded, error) {
	r := new(Reloaded)
	return r, c.call(ctx, http.MethodPost, "/v1/reload", nil, r)
}

// Stop ends the agent, of whatever version it is, and returns when its tunnels are down.
func (c *Client) Stop(ctx context.Context) error {
	return c.call(ctx, http.MethodPost, "/v1/stop", nil, nil)
}

// Up opens a tunnel. answer is asked what the way needs to know, one thing at a time,
// if o says so. The end of ctx ends the attempt.
func (c *Client) Up(ctx context.Context, name string, o Opening, answer Ask) (*Tunnel, error) {
	return c.open(ctx, name, "up", o, answer)
}

// Restart closes a tunnel and opens it again, as Up does.
func (c *Client) Restart(ctx context.Context, name string, o Opening, answer Ask) (*Tunnel, error) {
	return c.open(ctx, name, "restart", o, answer)
}

func (c *Client) open(ctx context.Context, name, how string, o Opening, answer Ask) (*Tunnel, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	reply, err := c.do(ctx, http.MethodPost, tunnelPath(name, how), o)
	if err != nil {
		return nil, err
	}
	defer reply.Body.Close()
	over := func() {} // ends the question under way: the next event is there
	defer func() { over() }()
	return readEvents(reply.Body, func(p Prompt) error {
		over()
		asking, done := context.WithCancel(ctx)
		asked := make(chan struct{})
		over = func() { done(); <-asked }
		go func() {
			defer close(asked)
			if err := c.answer(asking, p, answer); err != nil && asking.Err() == nil {
				cancel() // who cannot be told waits for nothing
			}
		}()
		return nil
	})
}

// tunnelPath is where what is done to a tunnel is asked for. A name of dots alone would
// be taken for a folder, as they are.
func tunnelPath(name, verb string) string {
	return "/v1/tunnels/" + strings.ReplaceAll(url.PathEscape(name), ".", "%2E") + "/" + verb
}

// readEvents reads a stream to its last event, and has each prompt answered.
func readEvents(r io.Reader, answer func(Prompt) error) (*Tunnel, error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxReply)
	for lines.Scan() {
		var e Event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			return nil, fmt.Errorf("reading the agent's reply: %w", err)
		}
		switch {
		case e.Error != nil:
			return nil, e.Error
		case e.Done != nil:
			return e.Done, nil
		case e.Prompt != nil:
			if err := answer(*e.Prompt); err != nil {
				return nil, err
			}
		}
	}
	err := lines.Err()
	if err == nil {
		err = io.ErrUnexpectedEOF
	}
	return nil, fmt.Errorf("the agent ended before it was done: %w", err)
}

// answer answers one prompt.
func (c *Client) answer(ctx context.Context, p Prompt, ask Ask) error {
	a, err := ask(ctx, p)
	if err != nil {
		a = Answer{Refused: true}
	}
	err = c.call(ctx, http.MethodPost, "/v1/prompts/"+url.PathEscape(p.ID), a, nil)
	if e, ok := errors.AsType[*Error](err); ok && e.Status == http.StatusNotFound {
		return nil // it was too late; the stream tells what became of it
	}
	return err
}

// call makes a request and reads the reply into reply, unless that is nil.
func (c *Client) call(ctx context.Context, method, path string, body, reply any) error {
	r, err := c.do(ctx, method, path, body)
	if err != nil {
		return err
	}
	defer r.Body.Close()
	if reply == nil {
		return nil
	}
	if err := json.NewDecoder(io.LimitReader(r.Body, maxReply)).Decode(reply); err != nil {
		return fmt.Errorf("reading the agent's reply: %w", err)
	}
	return nil
}

// do makes a request; the reply is one that went well.
func (c *Client) do(ctx context.Context, method, path string, body any) (*http.Response, error) {
	var text io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		text = bytes.NewReader(b)
	}
	r, err := http.NewRequestWithContext(ctx, method, "http://agent"+path, text)
	if err != nil {
		return nil, err
	}
	r.Header.Set(header, strconv.Itoa(Version))
	reply, err := c.http.Do(r)
	if err != nil {
		return nil, c.absent(err)
	}
	if reply.StatusCode == http.StatusOK {
		return reply, nil
	}
	defer reply.Body.Close()
	if agent := reply.Header.Get(header); agent != strconv.Itoa(Version) {
		return nil, otherVersion(strconv.Itoa(Version), agent)
	}
	e := &Error{Code: 1}
	if err := json.NewDecoder(io.LimitReader(reply.Body, maxReply)).Decode(e); err != nil || e.Text == "" {
		return nil, fmt.Errorf("asking the agent: %s", reply.Status)
	}
	e.Status = reply.StatusCode
	return nil, e
}
