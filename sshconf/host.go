package sshconf

import "time"

// Host is what the configuration says of one destination: the first value of
// every keyword, tokens expanded, ssh's defaults where nothing was said.
type Host struct {
	Alias         string // as the user typed it, without user and port
	HostName      string
	Port          int
	User          string
	AddressFamily string // any, inet or inet6

	IdentityFiles     []string // absolute or relative to the working directory; may not exist
	DefaultIdentities bool     // IdentityFiles are ssh's usual ones: no IdentityFile was said
	IdentitiesOnly    bool

	IdentityAgent string // the agent's socket; "" for SSH_AUTH_SOCK, "none" for no agent

	BatchMode bool // ask nobody anything

	HostKeyAlias          string   // the name in known_hosts, without port; "" for the host's own
	HashKnownHosts        bool     // write names so that they cannot be read
	UserKnownHostsFiles   []string // none at all for "none"
	GlobalKnownHostsFiles []string
	StrictHostKeyChecking string // yes, ask, accept-new or no

	// ProxyJump holds the hops in the order in which they are passed, each in
	// the form that Resolver.Jump takes. Empty: straight to the host.
	ProxyJump []string

	// ProxyCommand is what the configuration asks for in ProxyJump's place,
	// as it stands there, tokens and quotes included; "" for nothing.
	ProxyCommand string

	ConnectTimeout      time.Duration // 0: the system's own limit
	ServerAliveInterval time.Duration // negative: not said; 0: no keepalives
	ServerAliveCountMax int

	// Notes tell what was read over and why, for the log.
	Notes []string
}
