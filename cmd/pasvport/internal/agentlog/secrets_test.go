package agentlog

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/pasvport/pasvport/cmd/pasvport/internal/api"
	"github.com/pasvport/pasvport/cmd/pasvport/internal/config"
	"github.com/pasvport/pasvport/ftpmux"
)

// secret is all passwords of these tests, and is in no log.
const secret = "hunter2"

// TestSecretsOfFTP has an FTP client and a server that repeats its passwords talk
// through a mux, at every level and in both formats.
func TestSecretsOfFTP(t *testing.T) {
	for _, format := range []string{"text", "json"} {
		for _, level := range []string{"debug", "info", "warn", "error"} {
			for verbose := range 3 {
				l, path := open(t, config.Agent{LogFormat: format, LogLevel: level})
				talk(t, &ftpmux.Mux{Server: parrot(t), Remote: &here{}, Logger: l.Tunnel("ssh://anna:"+secret+"@h", verbose)},
					"USER anna", "PASS "+secret, "pass "+secret, "ACCT "+secret, "PASS\t"+secret, "PASSWORD "+secret)
				text := read(t, path)
				if strings.Contains(text, secret) {
					t.Errorf("%s, %s, verbose %d: %s", format, level, verbose, text)
				}
				if debug := level == "debug" || verbose == 2; strings.Contains(text, "USER anna") != debug {
					t.Errorf("%s, %s, verbose %d: the conversation is there, or not: %s", format, level, verbose, text)
				}
			}
		}
	}
}

// here is the far side of a tunnel, which is this machine.
type here struct{ net.Dialer }

func (*here) Listen(ctx context.Context, network, addr string) (net.Listener, error) {
	return new(net.ListenConfig).Listen(ctx, network, addr)
}

// parrot is a server that repeats each line, as some do that do not understand it.
func parrot(t *testing.T) (addr string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		fmt.Fprint(c, "220 ready\r\n")
		for lines := bufio.NewScanner(c); lines.Scan(); {
			fmt.Fprintf(c, "500 '%s': command not understood.\r\n", lines.Text())
		}
	}()
	return ln.Addr().String()
}

// talk has a client say these lines through the mux, and be answered to each.
func talk(t *testing.T, mux *ftpmux.Mux, lines ...string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error)
	go func() { served <- mux.Serve(ctx, ln) }()
	c, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	replies := bufio.NewScanner(c)
	replies.Scan()
	for _, line := range lines {
		fmt.Fprintf(c, "%s\r\n", line)
		if !replies.Scan() || !strings.HasPrefix(replies.Text(), "500 ") {
			t.Errorf("%s was answered with %q", line, replies.Text())
		}
	}
	c.Close()
	cancel()
	if err := <-served; err != nil {
		t.Error(err)
	}
}

// asking is an agent that asks for a password, logs what it can, and fails with an
// error that has a URL in it.
type asking struct {
	api.Agent
	log *Log
}

func (a asking) Metrics() http.Handler { return http.NotFoundHandler() }

func (a asking) Up(ctx context.Context, name string, o api.Opening, ask api.Ask) (*api.Tunnel, error) {
	log := a.log.Tunnel(name, 2)
	answer, err := ask(ctx, api.Prompt{Text: "password:", Secret: true})
	if string(answer.Text) != secret {
		return nil, fmt.Errorf("answered with %q, %v", answer.Text, err)
	}
	err = fmt.Errorf("opening %s: no", name)
	log.Debug("asked for "+name, "error", err, "host", o.Tunnel.Host)
	return nil, err
}

// TestSecretsOfCommands has a password go from a command to the agent, and nonsense
// with it.
func TestSecretsOfCommands(t *testing.T) {
	l, path := open(t, config.Agent{LogLevel: "debug"})
	t.Chdir(t.TempDir()) // the name of a socket is short
	ln, err := api.ListenAt("s", l.Logger)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: api.Handler(asking{log: l})}
	served := make(chan error)
	go func() { served <- server.Serve(ln) }()
	url := "ssh://anna:" + secret + "@h"
	_, err = api.New("s").Up(t.Context(), url, api.Opening{Tunnel: &config.Tunnel{Host: url}, Ask: true},
		func(context.Context, api.Prompt) (api.Answer, error) { return api.Answer{Text: []byte(secret)}, nil })
	if err == nil || err.Error() != "opening "+url+": no" {
		t.Errorf("up: %v", err)
	}
	for _, body := range []string{`{"text":"hunter2"}`, `{"text":"hunter2"`, `{"hunter2":1}`, "hunter2"} {
		c, err := net.Dial("unix", "s")
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(c, "POST /v1/prompts/x HTTP/1.1\r\nHost: a\r\nPasvport-API: 1\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
		if line, err := bufio.NewReader(c).ReadString('\n'); err != nil || !strings.Contains(line, " 40") {
			t.Errorf("%s: %q, %v", body, line, err)
		}
		c.Close()
	}
	server.Close()
	<-served
	text := read(t, path)
	if strings.Contains(text, secret) || strings.Count(text, "ssh://anna:****@h") != 4 {
		t.Errorf("the log:\n%s", text)
	}
}
