package main

import (
	"context"

	"github.com/pasvport/pasvport/cmd/pasvport/internal/api"
	"github.com/pasvport/pasvport/cmd/pasvport/internal/config"
	"github.com/pasvport/pasvport/cmd/pasvport/internal/top"
)

// agentStatus is what the running agent knows.
func agentStatus(ctx context.Context) (*api.Status, error) {
	agent, err := connectAgent()
	if err != nil {
		return nil, err
	}
	return agent.Status(ctx)
}

// agentSource is the running agent as top looks at it.
func agentSource() (top.Source, error) { return connectAgent() }

// loadConfig reads config.toml.
func loadConfig() (*config.File, error) { return config.Load(config.Path()) }
