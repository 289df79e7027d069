package tunnel

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"slices"
	"sync"
	"time"

	"github.com/pasvport/pasvport/sshconf"
)

const (
	stderrKept  = 5           // lines
	proxyGrace  = time.Second // for the command to end by itself
	proxyPrompt = 5 * time.Minute
)

// A proxyConn is the standard input and output of a ProxyCommand as a connection.
// When the command ends, reading and writing fail with a *ProxyCommandError.
type proxyConn struct {
	command string
	addr    net.Addr
	log     *slog.Logger
	cmd     *exec.Cmd
	in, out *os.File // our ends
	stderr  *os.File

	close  sync.Once
	closed chan struct{} // Close was called
	exited chan struct{} // the command was waited for
	read   chan struct{} // its stderr was read to the end
	ended  chan struct{} // Close is done, and nothing is left
	mu     sync.Mutex
	last   []string // lines of stderr
	own    bool     // once exited: it was not Close that ended it
}

// startProxy runs the ProxyCommand of h as ssh does. The end of it all is the
// caller's to bring about, by Close.
func startProxy(log *slog.Logger, h *sshconf.Host) (*proxyConn, error) {
	switch {
	case h.ProxyUseFdpass:
		return nil, errors.New("ProxyUseFdpass is not supported: the ProxyCommand has to carry the data itself, with ProxyUseFdpass no")
	case h.ProxyCommand == "-":
		return nil, errors.New("ProxyCommand - is not supported: standard input and output are no connection here")
	}
	p := &proxyConn{command: h.ProxyCommand, addr: nameAddr(address(h)), log: log.With("host", display(h)),
		closed: make(chan struct{}), exited: make(chan struct{}), read: make(chan struct{}), ended: make(chan struct{})}
	var theirs [3]*os.File
	var err error
	for i, ours := range []**os.File{&p.in, &p.out, &p.stderr} {
		r, w, e := os.Pipe()
		if i == 0 {
			theirs[i], *ours = r, w
		} else {
			*ours, theirs[i] = r, w
		}
		err = errors.Join(err, e)
	}
	if err == nil {
		p.cmd = proxyCmd(h.ProxyCommand)
		p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = theirs[0], theirs[1], theirs[2]
		err = p.cmd.Start()
	}
	for _, f := range theirs {
		f.Close() // a nil file is closed with an error
	}
	if err != nil {
		closeAll(p.in, p.out, p.stderr)
		return nil, &ProxyCommandError{Command: h.ProxyCommand, Code: -1, Err: err}
	}
	go p.readStderr()
	go func() {
		p.cmd.Wait()
		select {
		case <-p.closed:
		default:
			p.own = true
		}
		close(p.exited)
	}()
	return p, nil
}

func closeAll(files ...*os.File) {
	for _, f := range files {
		f.Close()
	}
}

// readStderr shows what the command says, line by line.
func (p *proxyConn) readStderr() {
	defer close(p.read)
	in := bufio.NewReaderSize(p.stderr, 1<<10) // a longer line becomes several
	for {
		line, err := in.ReadSlice('\n')
		if text := brief(string(line)); text != "" {
			p.log.Warn("ProxyCommand says", "text", text)
			p.mu.Lock()
			p.last = append(p.last, text)
			p.last = p.last[max(0, len(p.last)-stderrKept):]
			p.mu.Unlock()
		}
		if err != nil && err != bufio.ErrBufferFull {
			return
		}
	}
}

// error is cause with what the command said. If the command has ended of itself, or
// does in a moment, how it did is the cause, unless what it led to spoke first.
func (p *proxyConn) error(cause error) error {
	if _, ok := errors.AsType[*ProxyCommandError](cause); ok {
		return cause
	}
	soon, cancel := context.WithTimeout(context.Background(), proxyGrace)
	defer cancel()
	e := &ProxyCommandError{Command: p.command, Code: -1, Err: cause}
	_, greeted := errors.AsType[*GreetingError](cause)
	for _, done := range []chan struct{}{p.exited, p.read} {
		select {
		case <-done:
		case <-p.closed:
		case <-soon.Done():
		}
	}
	p.mu.Lock()
	e.Stderr = slices.Clone(p.last)
	p.mu.Unlock()
	select {
	case <-p.exited:
		if p.own {
			e.Code = p.cmd.ProcessState.ExitCode()
			if !greeted {
				e.Err = fmt.Errorf("ended with %v", p.cmd.ProcessState)
			}
		}
	default:
	}
	return e
}

func (p *proxyConn) Read(b []byte) (int, error) {
	n, err := p.out.Read(b)
	if err == io.EOF {
		err = p.error(errPeerClosed)
	}
	return n, err
}

func (p *proxyConn) Write(b []byte) (int, error) {
	n, err := p.in.Write(b)
	if err != nil && !errors.Is(err, os.ErrClosed) && !errors.Is(err, os.ErrDeadlineExceeded) {
		err = p.error(err)
	}
	return n, err
}

// Close ends the command and what it has started. It does not wait for that: see wait.
func (p *proxyConn) Close() error {
	p.close.Do(func() {
		close(p.closed)
		family := descendants(p.cmd) // before the command ends of itself, and they are nobody's
		closeAll(p.in, p.out)
		go p.end(family)
	})
	return nil
}

// end asks the command and its family to go, and makes them after a moment.
func (p *proxyConn) end(family []int) {
	defer close(p.ended)
	hangUp(p.cmd, family)
	soon, cancel := context.WithTimeout(context.Background(), proxyGrace)
	defer cancel()
	for _, done := range []chan struct{}{p.exited, p.read} { // nobody has its stderr any more: all are gone
		select {
		case <-done:
		case <-soon.Done():
		}
	}
	kill(p.cmd, family)
	<-p.exited
	p.stderr.Close()
	<-p.read
}

// gone returns when nothing is left of c, which was closed.
func gone(c net.Conn) {
	if p, ok := c.(*proxyConn); ok {
		<-p.ended
	}
}

func (p *proxyConn) LocalAddr() net.Addr  { return p.addr }
func (p *proxyConn) RemoteAddr() net.Addr { return p.addr }

func (p *proxyConn) SetReadDeadline(t time.Time) error  { return p.out.SetReadDeadline(t) }
func (p *proxyConn) SetWriteDeadline(t time.Time) error { return p.in.SetWriteDeadline(t) }
func (p *proxyConn) SetDeadline(t time.Time) error {
	return errors.Join(p.SetReadDeadline(t), p.SetWriteDeadline(t))
}
