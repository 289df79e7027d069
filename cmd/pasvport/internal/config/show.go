package config

import (
	"cmp"
	"net"
	"reflect"
	"time"

	"github.com/pelletier/go-toml/v2"

	"github.com/pasvport/pasvport/ftpmux"
)

// AgentGrace is how long transfers may go on in the agent, where Grace says nothing.
const AgentGrace = 10 * time.Second

// TOML writes the file's settings with what is in effect where it says nothing, so that
// Load takes it back. Names of files are absolute in it.
func (f *File) TOML() ([]byte, error) {
	all := File{Tunnels: make(map[string]Tunnel), Agent: f.Agent}
	all.Agent.LogFormat = cmp.Or(f.Agent.LogFormat, "text")
	all.Agent.LogLevel = cmp.Or(f.Agent.LogLevel, "info")
	for name, t := range f.Tunnels {
		all.Tunnels[name] = t.effective()
	}
	return toml.Marshal(all)
}

// TOML is the same of one tunnel.
func (t *Tunnel) TOML(name string) ([]byte, error) {
	return toml.Marshal(map[string]map[string]Tunnel{"tunnel": {name: t.effective()}})
}

// effective is t with the defaults, as the agent has them, that are not to be empty.
func (t *Tunnel) effective() Tunnel {
	grace := Duration(AgentGrace)
	c := *t
	if len(t.Listen) == 0 {
		c.Listen = []string{DefaultBind}
	}
	c.Server = cmp.Or(t.Server, net.JoinHostPort(defaultFTPHost, defaultFTPPort))
	c.Data = cmp.Or(t.Data, string(ftpmux.Auto))
	c.TLS = cmp.Or(t.TLS, TLSRefuse)
	prefetch := true
	c.Prefetch = cmp.Or(t.Prefetch, &prefetch)
	c.Connections = cmp.Or(t.Connections, 1)
	c.Grace = cmp.Or(t.Grace, &grace)
	return c
}

// Same tells whether a tunnel that is up with t would be no other with settings: what
// is in effect is the same. Autostart is for the agent's start alone.
func (t *Tunnel) Same(settings Tunnel) bool {
	a, b := t.effective(), settings.effective()
	a.Autostart = b.Autostart
	return reflect.DeepEqual(a, b)
}
