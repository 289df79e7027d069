package tunnel

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

const (
	// agentPatience is how long the agent may take to answer what it can answer alone.
	agentPatience = 5 * time.Second
	// agentTouch is how long it may take to sign: it may ask its person or want a
	// touch. No server waits for a login much longer.
	agentTouch = 2 * time.Minute
)

// An agentConn is a connection to an ssh-agent. One that fails once is not used again.
type agentConn struct {
	conn   net.Conn
	client agent.ExtendedAgent
	keys   []*agentKey // in its order
	broken error       // what the connection ended with: the client hides it in a text
}

func (a *agentConn) Read(p []byte) (int, error)  { return a.note(a.conn.Read(p)) }
func (a *agentConn) Write(p []byte) (int, error) { return a.note(a.conn.Write(p)) }

func (a *agentConn) note(n int, err error) (int, error) {
	if err != nil {
		a.broken = err
	}
	return n, err
}

// An agentKey is a key that the agent holds.
type agentKey struct {
	agent   *agentConn
	pub     ssh.PublicKey
	comment string
}

// dialAgent connects to the agent at path, or at SSH_AUTH_SOCK if that is empty,
// and has it list its keys. With path "none", or without any, there is no agent and no error.
// The end of ctx ends what is under way.
func dialAgent(ctx context.Context, path string) (*agentConn, error) {
	if path == "" {
		path = os.Getenv("SSH_AUTH_SOCK")
	}
	if path == "" || path == "none" {
		return nil, nil
	}
	d := net.Dialer{Timeout: agentPatience}
	conn, err := d.DialContext(ctx, "unix", path)
	if err != nil {
		return nil, err
	}
	return askAgent(ctx, conn)
}

// askAgent has the agent at the other end list its keys.
func askAgent(ctx context.Context, conn net.Conn) (*agentConn, error) {
	a := &agentConn{conn: conn}
	a.client = agent.NewClient(a) // which has no Close: so it reads on this goroutine, and starts none
	if err := a.do(ctx, agentPatience, a.list); err != nil {
		conn.Close()
		return nil, fmt.Errorf("listing the agent's keys: %w", err)
	}
	return a, nil
}

func (a *agentConn) list() error {
	list, err := a.client.List()
	if err != nil {
		return err
	}
	for _, k := range list {
		if pub, err := ssh.ParsePublicKey(k.Blob); err == nil { // else of a type that nobody here knows
			a.keys = append(a.keys, &agentKey{a, pub, k.Comment})
		}
	}
	return nil
}

// do talks to the agent, which may be slow, silent or mad. What went wrong
// leaves the conversation in an unknown state, so it ends then.
func (a *agentConn) do(ctx context.Context, patience time.Duration, talk func() error) (err error) {
	stop := context.AfterFunc(ctx, func() { a.conn.Close() })
	defer stop()
	defer func() {
		if r := recover(); r != nil {
			a.conn.Close()
			err = fmt.Errorf("the agent's answer makes no sense: %v", r)
		}
	}()
	a.conn.SetDeadline(time.Now().Add(patience))
	err = talk()
	switch {
	case a.broken == nil:
		return err
	case errors.Is(a.broken, os.ErrDeadlineExceeded):
		err = fmt.Errorf("no answer from the agent within %v", patience)
	case errors.Is(a.broken, io.EOF), errors.Is(a.broken, io.ErrUnexpectedEOF):
		err = errors.New("the agent hung up")
	}
	a.conn.Close()
	return err
}

func (a *agentConn) close() {
	if a != nil {
		a.conn.Close()
	}
}

// add has the agent keep a key.
func (a *agentConn) add(ctx context.Context, key agent.AddedKey) error {
	return a.do(ctx, agentPatience, func() error { return a.client.Add(key) })
}

var signatureFlags = map[string]agent.SignatureFlags{
	ssh.KeyAlgoRSASHA256: agent.SignatureFlagRsaSha256,
	ssh.KeyAlgoRSASHA512: agent.SignatureFlagRsaSha512,
}

// sign has the agent sign, by the algorithm and no other.
func (k *agentKey) sign(ctx context.Context, data []byte, algorithm string) (*ssh.Signature, error) {
	var sig *ssh.Signature
	err := k.agent.do(ctx, agentTouch, func() (err error) {
		sig, err = k.agent.client.SignWithFlags(k.pub, data, signatureFlags[algorithm])
		return err
	})
	if err != nil {
		return nil, err
	}
	if sig.Format != algorithm {
		return nil, fmt.Errorf("the agent signed by %q and not %s", clean(sig.Format), algorithm)
	}
	return sig, nil
}
