// Package config is what pasvport is told: a tunnel's settings, which are flags on
// the command line and keys of the same names in config.toml, and that file itself.
// It opens no connection.
package config

import "time"

// A Tunnel is one way from this machine to FTP servers behind an SSH server. Each
// flag of the command line that says something about a tunnel has a key here, which
// is its long name with _ for -.
type Tunnel struct {
	// Host is what one would give ssh: a name of ~/.ssh/config, or user@host.
	Host string `toml:"host,omitempty" json:"host,omitempty"`
	// Listen is -L: [bind:]port[:ftphost[:ftpport]] each. None is one for 127.0.0.1:2121.
	Listen []string `toml:"listen,omitempty" json:"listen,omitempty"`
	// Server is the FTP server, host[:port] as the SSH server sees it, where Listen
	// does not name one. "" is 127.0.0.1:21. It has no flag.
	Server string `toml:"server,omitempty" json:"server,omitempty"`

	Port      string   `toml:"port,omitempty" json:"port,omitempty"`             // -p
	Identity  []string `toml:"identity,omitempty" json:"identity,omitempty"`     // -i
	Jump      string   `toml:"jump,omitempty" json:"jump,omitempty"`             // -J
	SSHConfig string   `toml:"ssh_config,omitempty" json:"ssh_config,omitempty"` // -F
	Login     string   `toml:"login,omitempty" json:"login,omitempty"`           // -l
	Option    []string `toml:"option,omitempty" json:"option,omitempty"`         // -o
	IPv4      bool     `toml:"ipv4" json:"ipv4,omitempty"`                       // -4
	IPv6      bool     `toml:"ipv6" json:"ipv6,omitempty"`                       // -6
	Gateway   bool     `toml:"gateway" json:"gateway,omitempty"`                 // -g

	Data          string `toml:"data,omitempty" json:"data,omitempty"` // auto, passive or active; "" is auto
	AllowFXP      bool   `toml:"allow_fxp" json:"allow_fxp,omitempty"`
	TLS           string `toml:"tls,omitempty" json:"tls,omitempty"` // refuse or upstream; "" is refuse
	TLSCA         string `toml:"tls_ca,omitempty" json:"tls_ca,omitempty"`
	TLSServerName string `toml:"tls_server_name,omitempty" json:"tls_server_name,omitempty"`
	TLSInsecure   bool   `toml:"tls_insecure" json:"tls_insecure,omitempty"`

	Prefetch    *bool `toml:"prefetch,omitempty" json:"prefetch,omitempty"`       // nil is true
	Connections int   `toml:"connections,omitempty" json:"connections,omitempty"` // of SSH, at most; 0 is 1

	Grace   *Duration `toml:"grace,omitempty" json:"grace,omitempty"` // nil: 2 s in the foreground, 10 s in the agent
	ViaSSH  bool      `toml:"via_ssh" json:"via_ssh,omitempty"`
	Verbose int       `toml:"verbose" json:"verbose,omitempty"` // -v; counts

	// Autostart has the agent open the tunnel when it starts. It has no flag.
	Autostart bool `toml:"autostart" json:"autostart,omitempty"`
}

// MaxConnections is the most SSH connections that a tunnel may make.
const MaxConnections = 16

// A Duration is written as in Go: "10s", "1m30s".
type Duration time.Duration

// MarshalText writes d as in Go.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText reads what time.ParseDuration reads.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	*d = Duration(v)
	return err
}
