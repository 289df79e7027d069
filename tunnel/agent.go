package tunnel

import (
	"context"
	"log/slog"
	"net"
	"os"
	"time"

	"golang.org/x/crypto/ssh/agent"
)

// agentPatience is how long the agent may take to list its keys.
const agentPatience = 5 * time.Second

// agentKeys lists the keys of the agent at path, or at SSH_AUTH_SOCK if that is
// empty; without one, or with path "none", there are none. They sign until closeAgent is called or ctx is done.
func agentKeys(ctx context.Context, log *slog.Logger, path string) (ids []*identity, closeAgent func()) {
	if path == "" {
		path = os.Getenv("SSH_AUTH_SOCK")
	}
	if path == "" || path == "none" {
		return nil, func() {}
	}
	conn, err := net.DialTimeout("unix", path, agentPatience)
	if err != nil {
		log.Debug("no agent", "err", err)
		return nil, func() {}
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	closeAgent = func() { stop(); conn.Close() }
	conn.SetDeadline(time.Now().Add(agentPatience))
	signers, err := agent.NewClient(conn).Signers()
	if err != nil {
		log.Debug("agent gave no keys", "err", err)
	}
	for _, s := range signers {
		label := "agent key"
		if k, ok := s.PublicKey().(*agent.Key); ok && k.Comment != "" {
			label += " " + clean(k.Comment)
		}
		ids = append(ids, &identity{label: label, pub: s.PublicKey(), signer: s})
	}
	conn.SetDeadline(time.Time{})
	return ids, closeAgent
}
