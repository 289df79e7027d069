package main

import (
	"encoding/json"
	"maps"
	"os"
	"strings"

	"github.com/spf13/pflag"

	"github.com/pasvport/pasvport/cmd/pasvport/internal/config"
)

// given is what the command line says of a tunnel, and nil where it says nothing.
// Files are named from the root on, for the agent is somewhere else.
func (o *options) given(f *pflag.FlagSet) (*config.Tunnel, error) {
	text, err := json.Marshal(o.Tunnel)
	if err != nil {
		return nil, err
	}
	var said map[string]json.RawMessage
	if err := json.Unmarshal(text, &said); err != nil {
		return nil, err
	}
	maps.DeleteFunc(said, func(key string, _ json.RawMessage) bool { return !f.Changed(strings.ReplaceAll(key, "_", "-")) })
	if len(said) == 0 {
		return nil, nil
	}
	if text, err = json.Marshal(said); err != nil {
		return nil, err
	}
	t := new(config.Tunnel)
	if err := json.Unmarshal(text, t); err != nil {
		return nil, err
	}
	here, _ := os.Getwd() // a folder that has gone has no files to name
	for i, file := range t.Identity {
		t.Identity[i] = config.Absolute(file, here, true)
	}
	t.SSHConfig, t.TLSCA = config.Absolute(t.SSHConfig, here, true), config.Absolute(t.TLSCA, here, false)
	return t, nil
}
