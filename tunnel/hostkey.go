package tunnel

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/pasvport/pasvport/sshconf"
)

// A hostCheck judges the host key of one connection, as ssh does.
type hostCheck struct {
	host   *sshconf.Host
	ask    asker
	direct bool       // over TCP: the address that is seen is the host's own
	known  knownHosts // of the files
	name   string     // in known_hosts: HostKeyAlias, the host, or [host]:port
	bare   string     // without the port; what a certificate is for

	approved []byte // the key that was let pass
	detail   string // that key, for people
	err      error  // why a key was not
}

func newHostCheck(h *sshconf.Host, ask asker, direct bool) *hostCheck {
	files := slices.Concat(h.UserKnownHostsFiles, h.GlobalKnownHostsFiles)
	c := &hostCheck{host: h, ask: ask, direct: direct, known: readKnownHosts(ask.tunnel.log, files)}
	c.bare = strings.ToLower(h.HostName)
	c.name = hostPort(c.bare, h.Port)
	if h.HostKeyAlias != "" { // has no port
		c.bare = strings.ToLower(h.HostKeyAlias)
		c.name = c.bare
	}
	return c
}

// hostPort is how known_hosts names a host at a port.
func hostPort(host string, port int) string {
	if port == 0 || port == 22 {
		return host
	}
	return "[" + host + "]:" + strconv.Itoa(port)
}

// preferHostKeys sorts algorithms for host keys as ssh does: those of
// certificates first, and in both halves the kinds of key in this order.
func preferHostKeys(list []string) []string {
	kinds := []string{ssh.KeyAlgoED25519, ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521,
		ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256}
	rank := func(algorithm string) int {
		plain, _, cert := strings.Cut(algorithm, certInfix)
		n := slices.Index(kinds, plain)
		if n < 0 {
			n = len(kinds)
		}
		if !cert {
			n += 100
		}
		return n
	}
	list = slices.Clone(list)
	slices.SortStableFunc(list, func(a, b string) int { return rank(a) - rank(b) })
	return list
}

// algorithms are the host key algorithms to offer, in order: unless the
// configuration has an order of its own, those first for which known_hosts has
// something, so that a server with several keys shows the one that can be compared.
func (c *hostCheck) algorithms() []string {
	list, said := Algorithms(c.host)["hostkeyalgorithms"], string(c.host.HostKeyAlgorithms)
	switch {
	case len(list) == 0: // of an empty list the library makes its own
		return []string{said}
	case said != "" && !strings.Contains("+-", said[:1]):
		return list
	}
	known := c.known.about(c.name)
	if c.host.KnownHostsCommand != "" {
		// ssh gives the host's own name here, and finds no line about another or with a port.
		lines, err := c.command("ORDER", strings.ToLower(c.host.HostName), nil)
		if err != nil {
			c.err = c.refuseAny(err)
			return list
		}
		known = append(known, lines.about(c.bare, c.name)...)
	}
	return known.order(list)
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
	if c.err == nil {
		c.err = c.judge(remote, key)
	}
	if c.err == nil {
		c.approved, c.detail = blob, key.Type()+" "+fingerprint(key)+c.detail
	}
	return c.err
}

// judge decides on a key or certificate.
func (c *hostCheck) judge(remote net.Addr, key ssh.PublicKey) error {
	if err := c.tooShort(key); err != nil {
		return c.refuse(key, err)
	}
	if file := c.host.RevokedHostKeys; file != "" {
		switch line, revoked, err := revokedBy(file, key); {
		case err != nil: // who cannot read what is revoked trusts nobody
			return c.refuse(key, fmt.Errorf("RevokedHostKeys: %w", noEOF(err)))
		case revoked:
			return c.revoked(key, file, line)
		}
	}
	// A host with an alias is somewhere else, behind a forwarded port.
	if c.host.NoHostAuthenticationForLocalhost && c.host.HostKeyAlias == "" && c.direct && isLoopback(remote) {
		c.detail = ", not checked: NoHostAuthenticationForLocalhost"
		return nil
	}
	known := c.known.about(c.name)
	if c.host.KnownHostsCommand != "" {
		lines, err := c.command("HOSTNAME", c.name, key)
		if err != nil {
			return c.refuse(key, err)
		}
		known = append(known, lines.about(c.name)...)
	}
	return c.compare(remote, key, known)
}

// compare decides by the lines about the host. A certificate that no known
// authority vouches for, or not rightly, is as good as its key.
func (c *hostCheck) compare(remote net.Addr, key ssh.PublicKey, known knownHosts) error {
	if l, ok := known.revokes(key); ok {
		return c.revoked(key, l.file, l.line)
	}
	bare := c.known.about(c.bare) // the same host at port 22
	var trouble error             // with the certificate
	if cert, ok := key.(*ssh.Certificate); ok {
		lines := known
		if _, ok := bare.revokes(key); !ok {
			lines = slices.Concat(known, bare)
		}
		if l, ok := lines.marked("cert-authority").with(cert.SignatureKey); ok {
			if trouble = c.checkCert(cert); trouble == nil {
				return c.trust(l)
			}
		}
		key = cert.Key
	}
	keys := known.marked("")
	if l, ok := keys.with(key); ok {
		return c.trust(l)
	}
	if len(keys) > 0 {
		return c.changed(key, keys)
	}
	if l, ok := bare.revokes(key); ok { // ssh warns and asks
		return c.revoked(key, l.file, l.line)
	}
	if l, ok := bare.marked("").with(key); ok {
		return c.trust(l)
	}
	return c.unknown(remote, key, trouble)
}

func (c *hostCheck) trust(l knownLine) error {
	c.detail = ", known from " + place(l.file, l.line)
	return nil
}

// checkCert tells what is wrong with a certificate of a known authority.
func (c *hostCheck) checkCert(cert *ssh.Certificate) error {
	if cert.CertType != ssh.HostCert {
		return errors.New("its certificate is not one for a host")
	}
	algorithm, allowed := cert.Signature.Format, Algorithms(c.host)["casignaturealgorithms"]
	if !slices.Contains(allowed, algorithm) {
		return fmt.Errorf("its certificate is signed with %s, which is not in CASignatureAlgorithms", clean(algorithm))
	}
	if err := new(ssh.CertChecker).CheckCert(c.bare, cert); err != nil {
		return fmt.Errorf("its certificate is no good: %s", clean(strings.TrimPrefix(err.Error(), "ssh: ")))
	}
	return nil
}

// unknown decides on a key of a host that known_hosts has nothing on.
func (c *hostCheck) unknown(remote net.Addr, key ssh.PublicKey, trouble error) error {
	strict := c.host.StrictHostKeyChecking
	switch {
	case len(c.host.UserKnownHostsFiles) == 0: // ssh takes no key that it cannot keep
		return c.refuse(key, cmpErr(trouble, errNoFile(strict)))
	case strings.ContainsAny(c.host.HostName, "@?*#[]|'\"\\"):
		return c.refuse(key, errors.New("no such name can be kept in known_hosts"))
	case strict == "no", strict == "off", strict == "accept-new":
	case strict == "yes", c.host.BatchMode, c.ask.tunnel.opts.Prompter == nil:
		return c.refuse(key, trouble)
	default:
		if err := c.question(remote, key); err != nil {
			return c.refuse(key, err)
		}
	}
	c.detail = ", new"
	log := c.ask.tunnel.log.With("host", c.name, "key", fingerprint(key))
	file := c.host.UserKnownHostsFiles[0]
	if err := addKnownHost(file, c.name, key, c.host.HashKnownHosts); err != nil {
		log.Warn("host key accepted and not kept", "err", err)
	} else {
		log.Info("host key added", "file", file)
	}
	return nil
}

// errNoFile explains the refusal to those who thought that any new key passes.
func errNoFile(strict string) error {
	if strict == "yes" {
		return nil
	}
	return errors.New("it is unknown, and UserKnownHostsFile names no file to keep it in")
}

func cmpErr(first, second error) error {
	if first != nil {
		return first
	}
	return second
}

// question has the person compare the key.
func (c *hostCheck) question(remote net.Addr, key ssh.PublicKey) error {
	print := fingerprint(key)
	q := fmt.Sprintf("%s (%s) is not known yet. Its %s key has the fingerprint\n%s\n%sIs that right, and shall it be trusted from now on (yes/no/[fingerprint])? ",
		c.name, remote, key.Type(), print, c.elsewhere(key))
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

// elsewhere lists the other names under which known_hosts has the key.
func (c *hostCheck) elsewhere(key ssh.PublicKey) string {
	const most = 8
	var text strings.Builder
	n := 0
	for _, l := range c.known.marked("") {
		if !bytes.Equal(l.key.Marshal(), key.Marshal()) {
			continue
		}
		if n++; n > most {
			continue
		}
		name := strings.Join(l.patterns, ",")
		if l.hashed() {
			name = "a name that is hashed"
		}
		fmt.Fprintf(&text, "    %s (%s)\n", clean(name), place(l.file, l.line))
	}
	switch {
	case n == 0:
		return ""
	case n > most:
		fmt.Fprintf(&text, "    and %d more\n", n-most)
	}
	return "The key is known by other names:\n" + text.String()
}

func (c *hostCheck) refuse(key ssh.PublicKey, err error) *HostKeyError {
	if cert, ok := key.(*ssh.Certificate); ok {
		key = cert.Key
	}
	e := c.refuseAny(err)
	e.KeyType, e.Fingerprint = key.Type(), fingerprint(key)
	return e
}

// refuseAny is for when no key was seen yet.
func (c *hostCheck) refuseAny(err error) *HostKeyError {
	return &HostKeyError{Host: display(c.host), Addr: c.name, Err: err}
}

func (c *hostCheck) revoked(key ssh.PublicKey, file string, line int) error {
	e := c.refuse(key, nil)
	e.File, e.Line, e.Revoked = file, line, true
	return e
}

// changed refuses a key, whatever the configuration says, where lines have others;
// it names the one of the same type, if there is one.
func (c *hostCheck) changed(key ssh.PublicKey, lines knownHosts) error {
	l := lines[0]
	if i := slices.IndexFunc(lines, func(l knownLine) bool { return l.key.Type() == key.Type() }); i >= 0 {
		l = lines[i]
	}
	e := c.refuse(key, nil)
	e.File, e.Line, e.Known = l.file, l.line, l.key.Type()
	switch c.host.StrictHostKeyChecking {
	case "no", "off":
		e.Err = errors.New("a changed key is refused, StrictHostKeyChecking no or not")
	}
	return e
}

// tooShort refuses RSA keys that are shorter than RequiredRSASize, or than any
// should be.
func (c *hostCheck) tooShort(key ssh.PublicKey) error {
	least := max(c.host.RequiredRSASize, 1024)
	if bits, ok := rsaBits(key); ok && bits < least {
		return fmt.Errorf("it has %d bits, and RequiredRSASize is %d", bits, least)
	}
	return nil
}

func isLoopback(addr net.Addr) bool {
	tcp, ok := addr.(*net.TCPAddr)
	return ok && tcp.IP.IsLoopback()
}

// place is where in a file something stands; line 0 is the file as a whole.
func place(file string, line int) string {
	if line == 0 {
		return file
	}
	return file + ":" + strconv.Itoa(line)
}
