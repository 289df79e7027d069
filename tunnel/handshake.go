package tunnel

import (
	"context"
	"errors"
	"net"

	"golang.org/x/crypto/ssh"

	"github.com/pasvport/pasvport/sshconf"
)

// handshake does all of SSH that comes before channels.
func (t *Tunnel) handshake(lim *limit, h *sshconf.Host, w *wire) (ssh.Conn, <-chan ssh.NewChannel, <-chan *ssh.Request, error) {
	a := newAuth(t, lim, h, w)
	defer a.close()
	_, direct := w.Conn.(*net.TCPConn)
	check := newHostCheck(h, a.ask, direct)
	algorithms := Algorithms(h)
	greet := newGreeting(w)
	conn, chans, reqs, err := ssh.NewClientConn(greet, address(h), &ssh.ClientConfig{
		Config: ssh.Config{
			KeyExchanges:   algorithms["kexalgorithms"],
			Ciphers:        algorithms["ciphers"],
			MACs:           algorithms["macs"],
			RekeyThreshold: h.RekeyLimit,
		},
		User:              h.User,
		AuthCallback:      a.next,
		HostKeyCallback:   t.hostKey(h, check),
		HostKeyAlgorithms: check.algorithms(),
		ClientVersion:     "SSH-2.0-pasvport",
		BannerCallback: func(text string) error {
			t.log.Info("the server says", "host", display(h), "banner", text)
			return nil
		},
	})
	if inner := errors.Unwrap(err); inner != nil {
		err = inner // without "handshake failed"
	}
	if err != nil && lim.ctx.Err() != nil { // the limit or the caller ended it
		err = context.Cause(lim.ctx)
		return nil, nil, nil, t.connectError(h, w, greet.error(err))
	}
	switch {
	case err == nil:
		t.trace(h, "auth", a.succeeded)
		if conn, ok := conn.(ssh.AlgorithmsConnMetadata); ok {
			a := conn.Algorithms()
			t.log.Debug("algorithms", "host", display(h), "kex", a.KeyExchange, "hostkey", a.HostKey,
				"write", a.Write.Cipher+" "+a.Write.MAC, "read", a.Read.Cipher+" "+a.Read.MAC)
		}
	case check.err != nil:
		err = check.err
	case a.stop != nil:
		err = a.error(a.stop)
	case a.began:
		e, end := a.error(noEOF(err)), w.ended()
		e.cut = end != nil && errors.Is(err, end)
		err = e
	default:
		err = t.connectError(h, w, greet.error(negotiationError(h, noEOF(bare(err)))))
	}
	return conn, chans, reqs, err
}

// connectError is err as a ConnectError; a ProxyCommand is made to tell its part.
func (t *Tunnel) connectError(h *sshconf.Host, w *wire, err error) error {
	if p, ok := w.Conn.(*proxyConn); ok {
		err = p.error(err)
	}
	return &ConnectError{Host: display(h), Addr: w.RemoteAddr().String(), Err: err}
}

// hostKey traces the host key that check lets pass. Each key exchange brings it
// again.
func (t *Tunnel) hostKey(h *sshconf.Host, check *hostCheck) ssh.HostKeyCallback {
	rekeys := -1
	return func(name string, remote net.Addr, key ssh.PublicKey) error {
		if err := check.check(name, remote, key); err != nil {
			return err
		}
		if rekeys++; rekeys > 0 {
			t.log.Debug("new session keys", "host", display(h), "count", rekeys)
		} else {
			t.trace(h, "hostkey", check.detail)
		}
		return nil
	}
}
