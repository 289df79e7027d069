package main

import (
	"context"
	"path/filepath"

	"github.com/pasvport/pasvport/cmd/pasvport/internal/api"
	"github.com/pasvport/pasvport/cmd/pasvport/internal/config"
)

// socketPath is where the agent answers.
func socketPath() string { return filepath.Join(config.RuntimeDir(), "agent.sock") }

// connectAgent returns the running agent, or tells that there is none.
func connectAgent() (*api.Client, error) {
	agent := api.New(socketPath())
	return agent, agent.Ping()
}

// agentStatus is what the running agent knows.
func agentStatus(ctx context.Context) (*api.Status, error) {
	agent, err := connectAgent()
	if err != nil {
		return nil, err
	}
	return agent.Status(ctx)
}
