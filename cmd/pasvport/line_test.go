package main

import (
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/pasvport/pasvport/cmd/pasvport/internal/agent"
	"github.com/pasvport/pasvport/cmd/pasvport/internal/api"
	"github.com/pasvport/pasvport/cmd/pasvport/internal/config"
	"github.com/pasvport/pasvport/cmd/pasvport/internal/prompt"
	"github.com/pasvport/pasvport/ftpmux"
)

// TestConnectTellsFirst looks that the agent, however slow, knows that a tunnel is up
// when whoever has connected it is told so, and asks for the status.
func TestConnectTellsFirst(t *testing.T) {
	dir := t.TempDir()
	server, err := startSSH(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer server.close()
	var mu sync.Mutex
	var state api.State
	o := &options{config.Tunnel{Host: "testhost", SSHConfig: filepath.Join(dir, "ssh_config")}}
	l, err := o.line(slog.New(slog.DiscardHandler), new(ftpmux.Sequence), new(prompt.Asker), func(c agent.Change) {
		<-time.After(20 * time.Millisecond)
		mu.Lock()
		defer mu.Unlock()
		state = c.State
	})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := l.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	defer mu.Unlock()
	if state != api.Up {
		t.Errorf("the agent was told that it is %q", state)
	}
	mu.Unlock()
	l.Close()
	mu.Lock()
	if state != api.Up { // the agent knows what it does
		t.Errorf("after its end the agent was told that it is %q", state)
	}
}
