package tunnel

import (
	"context"
	"net"
	"slices"
	"sync"

	"golang.org/x/crypto/ssh"
)

// backlog is how many streams may wait in a listener.
const backlog = 16

// A listener is one remote forwarding (RFC 4254, section 7.1). Streams wait in it
// unconfirmed and cost nothing.
type listener struct {
	link   *link
	host   string
	port   uint32
	queue  chan arrival // filled under link.mu while registered, so never blocking
	once   sync.Once
	closed chan struct{}
}

type arrival struct {
	nc     ssh.NewChannel
	remote net.Addr
}

// forwardMsg is the body of tcpip-forward and cancel-tcpip-forward.
type forwardMsg struct {
	Host string
	Port uint32
}

// listen asks for a forwarding. When the answer comes too late, it is cancelled.
func (l *link) listen(ctx context.Context, host string, port uint32) (net.Listener, error) {
	if l.master != nil {
		return nil, &ForwardError{Addr: tcpAddr(host, port).String(), Err: errNoListening}
	}
	type result struct {
		ln  *listener
		err error
	}
	results := make(chan result)
	ask := func() {
		ln, err := l.forward(host, port)
		select {
		case results <- result{ln, err}:
			return
		case <-ctx.Done():
		case <-l.done:
		}
		if err == nil {
			ln.Close()
		}
	}
	if !l.goes(ask) {
		return nil, l.err
	}
	select {
	case r := <-results:
		if r.err != nil {
			return nil, r.err
		}
		return r.ln, nil
	case <-ctx.Done():
		return nil, &net.OpError{Op: "listen", Net: "tcp", Addr: tcpAddr(host, port), Err: ctx.Err()}
	case <-l.done:
		return nil, l.err
	}
}

func (l *link) forward(host string, port uint32) (*listener, error) {
	ok, data, err := l.ssh.SendRequest("tcpip-forward", true, ssh.Marshal(forwardMsg{host, port}))
	if err != nil {
		return nil, l.broken(err)
	}
	if !ok {
		return nil, &ForwardError{Addr: tcpAddr(host, port).String()}
	}
	if port == 0 {
		var reply struct{ Port uint32 }
		if err := ssh.Unmarshal(data, &reply); err != nil {
			return nil, l.broken(err)
		}
		port = reply.Port
	}
	ln := &listener{link: l, host: host, port: port, queue: make(chan arrival, backlog), closed: make(chan struct{})}
	l.mu.Lock()
	l.listeners = append(l.listeners, ln)
	l.mu.Unlock()
	return ln, nil
}

// forwarded finds the listener of a stream that arrived (RFC 4254, section 7.2).
// The port decides, and the host among several of one port: servers differ in
// how they write it.
func (l *link) forwarded(nc ssh.NewChannel) {
	var msg struct {
		Host       string
		Port       uint32
		Origin     string
		OriginPort uint32
	}
	if err := ssh.Unmarshal(nc.ExtraData(), &msg); err != nil {
		nc.Reject(ssh.ConnectionFailed, "malformed")
		return
	}
	if !l.enqueue(msg.Host, msg.Port, arrival{nc, tcpAddr(msg.Origin, msg.OriginPort)}) {
		nc.Reject(ssh.Prohibited, "nobody takes it")
	}
}

func (l *link) enqueue(host string, port uint32, a arrival) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	var found *listener
	for _, ln := range l.listeners {
		if ln.port == port && (found == nil || ln.host == host) {
			found = ln
		}
	}
	if found == nil {
		return false
	}
	select {
	case found.queue <- a:
		return true
	default:
		return false
	}
}

// Accept returns the next stream. It ends with net.ErrClosed after Close, and
// with a *LostError when the SSH connection is gone.
func (ln *listener) Accept() (net.Conn, error) {
	for {
		select {
		case <-ln.closed:
			return nil, ln.errClosed()
		case <-ln.link.done:
			return nil, ln.link.err
		default:
		}
		select {
		case <-ln.closed:
		case <-ln.link.done:
		case a := <-ln.queue:
			ch, reqs, err := a.nc.Accept()
			if err != nil {
				return nil, ln.link.broken(err)
			}
			go ssh.DiscardRequests(reqs)
			return newConn(ln.link, ch, ln.Addr(), a.remote), nil
		}
	}
}

// Close gives the forwarding up and refuses what waits in it.
func (ln *listener) Close() error {
	ln.once.Do(func() {
		close(ln.closed)
		l := ln.link
		l.mu.Lock()
		l.listeners = slices.DeleteFunc(l.listeners, func(other *listener) bool { return other == ln })
		l.mu.Unlock()
		l.brief(func() {
			l.ssh.SendRequest("cancel-tcpip-forward", false, ssh.Marshal(forwardMsg{ln.host, ln.port}))
			for {
				select {
				case a := <-ln.queue:
					a.nc.Reject(ssh.Prohibited, "nobody takes it")
				default:
					return
				}
			}
		})
	})
	return nil
}

// Addr is where the server was asked to listen, with the real port.
func (ln *listener) Addr() net.Addr { return tcpAddr(ln.host, ln.port) }

func (ln *listener) errClosed() error {
	return &net.OpError{Op: "accept", Net: "tcp", Addr: ln.Addr(), Err: net.ErrClosed}
}
