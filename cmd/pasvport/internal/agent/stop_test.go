package agent

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pasvport/pasvport/cmd/pasvport/internal/api"
	"github.com/pasvport/pasvport/cmd/pasvport/internal/config"
)

// pipes is a listener at which tests connect.
type pipes struct {
	arriving chan net.Conn
	closed   chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.arriving:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	select {
	case <-p.closed:
	default:
		close(p.closed)
	}
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipes", Net: "unix"} }

// connect returns the command's side of a connection on which it has said that.
func (p *pipes) connect(said string) net.Conn {
	command, agent := net.Pipe()
	p.arriving <- agent
	io.WriteString(command, said)
	return command
}

// serving is an agent without tunnels, at work, whose end the channel tells.
func serving() (*Agent, *pipes, <-chan error) {
	a := New(Options{
		Load:    func() (*config.File, error) { return &config.File{}, nil },
		Apply:   func(config.Agent) error { return nil },
		Metrics: func(func() *api.Status) http.Handler { return http.NotFoundHandler() },
		Logger:  slog.New(slog.DiscardHandler),
	})
	ln := &pipes{make(chan net.Conn), make(chan struct{})}
	ended := make(chan error, 1)
	go func() { ended <- a.Serve(context.Background(), context.Background(), ln) }()
	return a, ln, ended
}

const (
	halfAHead = "POST /v1/stop HTTP/1.1\r\nHost: a"
	halfABody = "POST /v1/prompts/x HTTP/1.1\r\nHost: a\r\nPasvport-API: 1\r\nContent-Length: 20\r\n\r\n{"
	noReader  = "GET /v1/status HTTP/1.1\r\nHost: a\r\nPasvport-API: 1\r\n\r\n"
)

// TestStopWithSlowCommands has commands that say nothing, a half, or do not listen.
// None of them keeps the agent from ending.
func TestStopWithSlowCommands(t *testing.T) {
	for name, said := range map[string]string{"none": "-", "idle": "", "half a head": halfAHead, "half a body": halfABody, "no reader": noReader} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, ln, ended := serving()
				if said != "-" {
					defer ln.connect(said).Close()
				}
				synctest.Wait()
				start := time.Now()
				a.Stop()
				if err := <-ended; err != nil {
					t.Error(err)
				}
				if took := time.Since(start); took > lastReply+time.Second { // of the bubble's clock
					t.Errorf("it took %v", took)
				}
			})
		})
	}
}

// TestSlowHead has a command that never says what it wants, and loses its connection.
func TestSlowHead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, ln, ended := serving()
		c := ln.connect(halfAHead)
		defer c.Close()
		if _, err := io.ReadAll(c); err != nil {
			t.Error(err)
		}
		a.Stop()
		<-ended
	})
}
