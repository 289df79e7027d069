package tunnel

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	// socketPoll is how often it is looked whether ssh has logged in.
	socketPoll = 50 * time.Millisecond
	// sshPatience is for an ssh that was told to end.
	sshPatience = 2 * time.Second
	// longestTemp leaves room in a socket's name, of which the shortest limit is
	// 104 bytes, for our part and for the 17 that ssh adds while it makes it.
	longestTemp = 60
)

// A ViaSSHError tells that the system's ssh, which was to make the connection,
// did not or could not be run. It has told its user why.
type ViaSSHError struct {
	Host string
	Args []string // with which it was run
	Code int      // its exit status; -1 if it has none
	Line string   // the last that it printed; may be ""
	Err  error    // exec.ErrNotFound where there is no ssh
}

func (e *ViaSSHError) Error() string {
	why := e.Err.Error()
	if e.Line != "" {
		why = clean(e.Line) + " (" + why + ")"
	}
	return fmt.Sprintf("connecting to %s by ssh: %s", e.Host, why)
}

func (e *ViaSSHError) Unwrap() error { return e.Err }

// A sshProcess is the system's ssh at work as our own master.
type sshProcess struct {
	host   string
	args   []string
	stop   context.CancelFunc
	socket string
	last   lastLine
	done   chan struct{}
	err    error // a *ViaSSHError, once done is closed
}

// connectViaSSH has the system's ssh make the connection, and attaches to it.
func (t *Tunnel) connectViaSSH(ctx context.Context) (*link, error) {
	p, err := t.runSSH()
	if err != nil {
		return nil, err
	}
	host := display(t.host)
	m, err := p.attach(ctx)
	if err != nil {
		p.stop()
		<-p.done
		return nil, err
	}
	t.log.Info("connected by ssh", "host", host, "args", p.args)
	t.trace(t.host, "master", "ssh "+strings.Join(p.args, " "))
	t.mu.Lock()
	t.upOnce = true
	t.mu.Unlock()
	m.ssh = p
	l := startShared(host, t.log, m)
	l.goes(func() {
		err := m.startSession()
		t.log.Debug("session", "host", host, "err", err)
	})
	return l, nil
}

// runSSH starts ssh. Its questions are its own affair, on the terminal; after it
// was connected once, that may be somebody else's, and it asks no more.
func (t *Tunnel) runSSH() (*sshProcess, error) {
	p := &sshProcess{host: display(t.host), done: make(chan struct{}), last: lastLine{to: t.sshStderr()}}
	dir, err := socketTemp()
	if err != nil {
		return nil, p.fail(err)
	}
	p.socket = filepath.Join(dir, "s")
	p.args = []string{"-M", "-N", "-T", "-a", "-x", "-S", p.socket, "-o", "ControlPersist=no", "-o", "ClearAllForwardings=yes"}
	t.mu.Lock()
	again := t.upOnce
	t.mu.Unlock()
	if again {
		p.args = append(p.args, "-o", "BatchMode=yes")
	}
	if t.host.ServerAliveInterval < 0 {
		p.args = append(p.args, "-o", fmt.Sprintf("ServerAliveInterval=%d", defaultInterval/time.Second),
			"-o", fmt.Sprintf("ServerAliveCountMax=%d", defaultCount))
	}
	p.args = append(p.args, t.opts.SSH...)
	ctx, stop := context.WithCancel(context.Background())
	p.stop = stop
	cmd := sshCommand(ctx, p.args)
	cmd.Stderr = &p.last
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = sshPatience
	started := make(chan error)
	t.wg.Go(func() {
		defer os.RemoveAll(dir)
		defer stop()
		// Linux ends ssh with us, and means the thread by that.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			err = cmd.Wait()
			p.last.flush()
			p.err = p.fail(err)
			close(p.done)
		}
	})
	if err := <-started; err != nil {
		return nil, p.fail(err)
	}
	return p, nil
}

// fail makes err, or an end without one, what ssh ended with.
func (p *sshProcess) fail(err error) error {
	e := &ViaSSHError{Host: p.host, Args: p.args, Code: -1, Line: p.last.text(), Err: err}
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		e.Code = exit.ExitCode()
		e.Err = fmt.Errorf("ssh ended with %w", err)
	} else if err == nil {
		e.Code, e.Err = 0, errors.New("ssh ended")
	}
	return e
}

// attach waits until ssh has logged in, for as long as that takes: only then does
// its socket appear.
func (p *sshProcess) attach(ctx context.Context) (*master, error) {
	ticker := time.NewTicker(socketPoll)
	defer ticker.Stop()
	for {
		select {
		case <-p.done:
			return nil, p.err
		case <-ctx.Done():
			return nil, fmt.Errorf("connecting to %s by ssh: %w", p.host, ctx.Err())
		case <-ticker.C:
		}
		m, err := attach(ctx, p.socket, masterPatience)
		switch {
		case err == nil:
			return m, nil
		case !errors.Is(err, os.ErrNotExist) && !errors.Is(err, syscall.ECONNREFUSED) && ctx.Err() == nil:
			return nil, p.fail(err)
		}
	}
}

// socketTemp makes a directory of our own with a short name.
func socketTemp() (string, error) {
	parent := os.TempDir()
	if len(parent) > longestTemp {
		parent = "/tmp"
	}
	return os.MkdirTemp(parent, "pasvport-")
}

// sshStderr is where ssh's own words go.
func (t *Tunnel) sshStderr() io.Writer {
	if t.opts.Stderr != nil {
		return t.opts.Stderr
	}
	return lineLog{t}
}

// A lineLog logs what is written to it.
type lineLog struct{ t *Tunnel }

func (l lineLog) Write(p []byte) (int, error) {
	for line := range strings.Lines(string(p)) {
		if line = strings.TrimSpace(clean(line)); line != "" {
			l.t.log.Warn("ssh says", "host", display(l.t.host), "text", line)
		}
	}
	return len(p), nil
}

// A lastLine passes on what is written to it and remembers the last line.
type lastLine struct {
	to   io.Writer
	mu   sync.Mutex
	line []byte // complete
	part []byte
}

const longestLine = 1 << 10

func (l *lastLine) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for part := range bytes.Lines(p) {
		if room := longestLine - len(l.part); room > 0 {
			l.part = append(l.part, part[:min(room, len(part))]...)
		}
		if part[len(part)-1] == '\n' {
			l.end()
		}
	}
	l.to.Write(p)
	return len(p), nil
}

func (l *lastLine) end() {
	if line := bytes.TrimSpace(l.part); len(line) > 0 {
		l.line = bytes.Clone(line)
	}
	l.part = l.part[:0]
}

// flush takes what is left for a line.
func (l *lastLine) flush() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.end()
}

func (l *lastLine) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.line)
}

// why is what ssh ended with, if it does so in a moment; else err.
func (p *sshProcess) why(err error) error {
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-p.done:
		return p.err
	case <-timer.C:
		return err
	}
}
