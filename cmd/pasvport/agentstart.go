package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/pasvport/pasvport/cmd/pasvport/internal/agentlog"
	"github.com/pasvport/pasvport/cmd/pasvport/internal/api"
	"github.com/pasvport/pasvport/cmd/pasvport/internal/config"
)

// How long an agent may take to start, or to end if it is about to.
const (
	agentPatience = 15 * time.Second
	agentPause    = 30 * time.Millisecond
)

// startAgent returns the running agent, and starts one where there is none. Two who do
// that at once get the same one.
func startAgent(ctx context.Context) (*api.Client, error) {
	ctx, cancel := context.WithTimeout(ctx, agentPatience)
	defer cancel()
	for {
		agent, err := connectAgent()
		if !errors.Is(err, api.ErrNoAgent) {
			return agent, err
		}
		if err := launch(ctx); errors.Is(err, api.ErrRunning) { // it is starting, or ending
			select {
			case <-time.After(agentPause):
				continue
			case <-ctx.Done():
				return nil, err
			}
		} else if err != nil {
			return nil, err
		}
	}
}

// launch starts an agent of a session of its own, and waits until it is ready.
func launch(ctx context.Context) error {
	program, err := os.Executable()
	if err != nil {
		return fmt.Errorf("starting the agent: %w", err)
	}
	cmd := exec.Command(program, "agent", "run", "--detached")
	cmd.Dir = filepath.VolumeName(program) + string(filepath.Separator)
	cmd.SysProcAttr = ownSession()
	cmd.Env = slices.DeleteFunc(os.Environ(), forService)
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return fmt.Errorf("starting the agent: %w", err)
	}
	if log, err := openEarlyLog(); err == nil {
		defer log.Close()
		cmd.Stderr = log
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting the agent: %w", err)
	}
	defer context.AfterFunc(ctx, func() { stdout.Close() })()
	return readReady(stdout)
}

// forService tells whether a variable is a service manager's word to this process.
func forService(variable string) bool {
	for _, prefix := range []string{"NOTIFY_SOCKET=", "LISTEN_", "WATCHDOG_"} {
		if strings.HasPrefix(variable, prefix) {
			return true
		}
	}
	return false
}

// earlyLog takes the panic of an agent that has not opened its log yet.
func earlyLog() string { return agentlog.Path(config.Agent{}, true) }

func openEarlyLog() (*os.File, error) {
	if err := os.MkdirAll(filepath.Dir(earlyLog()), 0o700); err != nil {
		return nil, err
	}
	return os.OpenFile(earlyLog(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
}

// A started agent says on its standard output that it is ready, or why it is not.
type readiness struct {
	Running bool       `json:"running,omitempty"` // another one has the lock
	Error   *api.Error `json:"error,omitempty"`
}

func readReady(r io.ReadCloser) error {
	defer r.Close()
	var ready readiness
	if err := json.NewDecoder(r).Decode(&ready); err != nil {
		return fmt.Errorf("the agent ended before it was ready; see %s", earlyLog())
	}
	switch {
	case ready.Running:
		return api.ErrRunning
	case ready.Error != nil:
		return ready.Error
	}
	return nil
}
