package tunnel

import (
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
	conn, chans, reqs, err := ssh.NewClientConn(w, address(h), &ssh.ClientConfig{
		Config: ssh.Config{
			KeyExchanges: algorithms["kexalgorithms"],
			Ciphers:      algorithms["ciphers"],
			MACs:         algorithms["macs"],
		},
		User:              h.User,
		AuthCallback:      a.next,
		HostKeyCallback:   check.check,
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
	switch {
	case err == nil:
	case check.err != nil:
		err = check.err
	case a.stop != nil:
		err = a.error(a.stop)
	case a.began:
		err = a.error(noEOF(err))
	default:
		err = &ConnectError{Host: display(h), Addr: w.RemoteAddr().String(), Err: noEOF(err)}
	}
	return conn, chans, reqs, err
}
