package sshconf

import "time"

// Host is what the configuration says of one destination: the first value of
// every keyword, tokens expanded, ssh's defaults where nothing was said. The
// fields bear the keywords' names, and mean what ssh_config(5) says of them. A
// Host may be copied; copies share slices, which nobody changes.
type Host struct {
	Alias    string // as the user typed it, without user and port
	HostName string // where to connect to: expanded, in lower case, canonical where that was asked for
	Port     int
	User     string
	Tag      string // "" for none

	// The way there.
	AddressFamily      string // any, inet or inet6
	BindAddress        string // "" for the system's choice; "" also of the next
	BindInterface      string
	ConnectTimeout     time.Duration // 0: the system's own limit
	ConnectionAttempts int           // 1 or more
	TCPKeepAlive       bool
	IPQoS              int // DSCP and ECN bits for bulk traffic; -1 for the system's own
	// ProxyJump holds the hops in the order in which they are passed, each in
	// the form that Resolver.Jump takes. Empty: straight to the host.
	ProxyJump []string
	// ProxyCommand is for the shell, its tokens expanded; ssh puts "exec " before
	// it. "" for none, and always so beside ProxyJump.
	ProxyCommand   string
	ProxyUseFdpass bool
	ControlMaster  string // no, yes, ask, auto or autoask
	ControlPath    string // expanded; "" for none

	// Who we are.
	IdentityFiles                []string // expanded: absolute or relative to the working directory; may not exist
	DefaultIdentities            bool     // IdentityFiles are ssh's usual ones: no IdentityFile was said
	CertificateFiles             []string // likewise
	IdentitiesOnly               bool
	IdentityAgent                string        // the agent's socket; "" for what SSH_AUTH_SOCK names, "none" for no agent
	AddKeysToAgent               string        // no, yes, ask or confirm
	AddKeysLifetime              time.Duration // 0: for ever
	PreferredAuthentications     []string      // nil: ssh's order
	PubkeyAuthentication         bool
	PasswordAuthentication       bool
	KbdInteractiveAuthentication bool
	NumberOfPasswordPrompts      int
	PubkeyAcceptedAlgorithms     Algorithms
	BatchMode                    bool // ask nobody anything

	// Whom we trust.
	HostKeyAlias                     string   // the name in known_hosts, without port, in lower case; "" for the host's own
	HashKnownHosts                   bool     // write names so that they cannot be read
	UserKnownHostsFiles              []string // none at all for "none"
	GlobalKnownHostsFiles            []string
	KnownHostsCommand                string // as it was said: SplitWords takes it apart, Expand expands each word; "" for none
	RevokedHostKeys                  string // a file, expanded; "" for none
	StrictHostKeyChecking            string // yes, ask, accept-new or no
	NoHostAuthenticationForLocalhost bool
	VerifyHostKeyDNS                 string // yes, ask or no; a Note unless no
	RequiredRSASize                  int    // bits
	HostKeyAlgorithms                Algorithms
	CASignatureAlgorithms            Algorithms

	// The connection.
	KexAlgorithms       Algorithms
	Ciphers             Algorithms
	MACs                Algorithms
	RekeyLimit          uint64        // bytes; 0: the cipher's own
	ServerAliveInterval time.Duration // negative: not said, see ServerAliveDefault; 0: no keepalives
	ServerAliveCountMax int

	// Notes tell what the configuration asks for and pasvport cannot do, each
	// with its place, for the log.
	Notes []Note

	// These do not change once they are there, so that copies may share them.
	tokens tokens
	shown  map[string][]string
}

// A Note is one line of the configuration that is not honoured, or a file that
// could not be read and that ssh would not miss either.
type Note struct {
	Keyword string // in lower case; "" of a file
	Text    string // file:line, what it asks for, and why it is not done
}
