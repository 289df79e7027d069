package tunnel

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"github.com/pasvport/pasvport/sshconf"
)

// A hostCheck judges the host key of one connection.
type hostCheck struct {
	host  *sshconf.Host
	ask   asker
	known knownHosts
	name  string // in known_hosts: the host, or [host]:port
	bare  string // the host, where that is another

	approved []byte // the key that was let pass
	err      error  // why a key was not
}

func newHostCheck(h *sshconf.Host, ask asker) *hostCheck {
	files := slices.Concat(h.UserKnownHostsFiles, h.GlobalKnownHostsFiles)
	c := &hostCheck{host: h, ask: ask, known: readKnownHosts(ask.tunnel.log, files)}
	c.name, c.bare = knownhosts.Normalize(address(h)), h.HostName
	if h.HostKeyAlias != "" { // has no port
		c.name, c.bare = h.HostKeyAlias, h.HostKeyAlias
	}
	return c
}

// algorithms are the host key algorithms to offer, in order: those for which
// known_hosts has something first, so that a server with several keys shows the
// one that can be compared. Certificates only where an authority is known.
func (c *hostCheck) algorithms() []string {
	var first, rest []string
	supported := ssh.SupportedAlgorithms().HostKeys
	for _, a := range supported {
		switch cert := strings.Contains(a, "-cert-"); {
		case !cert:
			rest = append(rest, a)
		case len(c.known.of(c.name, "cert-authority")) > 0:
			first = append(first, a)
		}
	}
	known := c.known.of(c.name, "")
	if len(known) == 0 {
		known = c.known.of(c.bare, "")
	}
	for _, l := range known {
		algos := []string{l.key.Type()}
		if algos[0] == ssh.KeyAlgoRSA { // the type of the key, signed with SHA-2
			algos = []string{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256}
		}
		for _, a := range algos {
			if slices.Contains(rest, a) {
				first = append(first, a)
				rest = slices.DeleteFunc(rest, func(b string) bool { return a == b })
			}
		}
	}
	return append(first, rest...)
}

// check is the ssh.HostKeyCallback. It is called at each key exchange; after the
// first, only the same key passes.
func (c *hostCheck) check(_ string, remote net.Addr, key ssh.PublicKey) error {
	blob := key.Marshal()
	if c.approved != nil {
		if !bytes.Equal(blob, c.approved) {
			return c.refuse(key, errors.New("not the key this connection began with"))
		}
		return nil
	}
	if c.err = c.judge(remote, key); c.err == nil {
		c.approved = blob
	}
	return c.err
}

func (c *hostCheck) judge(remote net.Addr, key ssh.PublicKey) error {
	cert, _ := key.(*ssh.Certificate)
	if cert != nil {
		key = cert.Key
	}
	for _, name := range []string{c.name, c.bare} {
		revoked := c.known.of(name, "revoked")
		l, ok := revoked.with(key)
		if !ok && cert != nil {
			l, ok = revoked.with(cert.SignatureKey)
		}
		if ok {
			e := c.refuse(key, nil)
			e.File, e.Line, e.Revoked = l.file, l.line, true
			return e
		}
	}
	if cert != nil {
		if _, ok := c.known.of(c.name, "cert-authority").with(cert.SignatureKey); ok {
			return c.judgeCert(cert)
		} // else it is as good as its key
	}
	known := c.known.of(c.name, "")
	if _, ok := known.with(key); ok {
		return nil
	}
	if len(known) > 0 {
		l := known[0]
		if i := slices.IndexFunc(known, func(l knownLine) bool { return l.key.Type() == key.Type() }); i >= 0 {
			l = known[i]
		}
		e := c.refuse(key, nil)
		e.File, e.Line = l.file, l.line
		return e
	}
	if _, ok := c.known.of(c.bare, "").with(key); ok {
		return nil // the same host at another port
	}
	return c.unknown(remote, key)
}

func (c *hostCheck) judgeCert(cert *ssh.Certificate) error {
	if cert.CertType != ssh.HostCert {
		return c.refuse(cert.Key, errors.New("its certificate is not one for a host"))
	}
	if err := new(ssh.CertChecker).CheckCert(c.bare, cert); err != nil {
		return c.refuse(cert.Key, err)
	}
	return nil
}

// unknown decides on a key of a host that known_hosts has nothing on.
func (c *hostCheck) unknown(remote net.Addr, key ssh.PublicKey) error {
	switch c.host.StrictHostKeyChecking {
	case "no", "accept-new":
	case "yes":
		return c.refuse(key, nil)
	default:
		if c.ask.tunnel.opts.Prompter == nil {
			return c.refuse(key, nil)
		}
		if err := c.question(remote, key); err != nil {
			return c.refuse(key, err)
		}
	}
	log := c.ask.tunnel.log.With("host", c.name, "key", ssh.FingerprintSHA256(key))
	if len(c.host.UserKnownHostsFiles) == 0 {
		log.Warn("host key accepted and not kept: there is no file for it")
		return nil
	}
	file := c.host.UserKnownHostsFiles[0]
	if err := addKnownHost(file, c.name, key, c.host.HashKnownHosts); err != nil {
		log.Warn("host key accepted and not kept", "err", err)
	} else {
		log.Info("host key added", "file", file)
	}
	return nil
}

// question has the person compare the key.
func (c *hostCheck) question(remote net.Addr, key ssh.PublicKey) error {
	print := ssh.FingerprintSHA256(key)
	q := fmt.Sprintf("%s (%s) is not known yet. Its %s key has the fingerprint\n%s\nIs that right, and shall it be trusted from now on (yes/no/[fingerprint])? ",
		c.name, remote, key.Type(), print)
	for range 3 {
		answer, err := c.ask.ask(q, false)
		if err != nil {
			return err
		}
		switch answer = strings.TrimSpace(answer); {
		case strings.EqualFold(answer, "yes"), answer == print:
			return nil
		case strings.EqualFold(answer, "no"):
			return errors.New("not trusted by the user")
		}
		q = "Please answer yes, no or with the fingerprint: "
	}
	return errors.New("no usable answer from the user")
}

func (c *hostCheck) refuse(key ssh.PublicKey, err error) *HostKeyError {
	return &HostKeyError{Host: display(c.host), Addr: c.name, KeyType: key.Type(),
		Fingerprint: ssh.FingerprintSHA256(key), Err: err}
}
