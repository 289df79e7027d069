package sdnotify

import "net"

// AgentSocket is the name, FileDescriptorName= in a .socket unit, of the socket that
// the agent answers commands on.
const AgentSocket = "agent"

// Sockets are listeners that systemd has opened. Whoever closes them leaves their
// files and ports to systemd.
type Sockets struct {
	Agent   net.Listener              // a Unix socket; nil if there is none
	Tunnels map[string][]net.Listener // of TCP, by tunnels' names, in the unit's order
}

// Close closes all of them.
func (s Sockets) Close() {
	if s.Agent != nil {
		s.Agent.Close()
	}
	for _, listeners := range s.Tunnels {
		for _, l := range listeners {
			l.Close()
		}
	}
}
