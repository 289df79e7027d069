package tunnel

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"strings"

	"golang.org/x/crypto/ssh"
)

// An identity is one key or certificate to offer. It is an ssh.Signer that asks for a
// passphrase only when a signature is wanted, which is when the server has said that it
// takes the key.
type identity struct {
	auth  *auth
	label string
	pub   ssh.PublicKey // nil while only the private key would tell
	file  *keyFile      // nil where the configuration names no file for it
	agent *agentKey     // nil unless the agent has it

	asked   bool // it was its turn
	offered bool // and the server was asked whether it takes the key
	taken   bool // and it said that it does
	signed  bool // and got the signature
	used    bool // and has had enough of it, or there is nothing to offer
}

// certificate is the identity's, or nil.
func (id *identity) certificate() *ssh.Certificate {
	cert, _ := id.pub.(*ssh.Certificate)
	return cert
}

// public is the public half if it is known at all; ssh takes no notice of one that only
// an old format's private half shows.
func (id *identity) public() ssh.PublicKey {
	if id.pub == nil && id.file != nil && id.file.signer != nil {
		return id.file.signer.PublicKey()
	}
	return id.pub
}

func (id *identity) String() string {
	if id.pub == nil {
		return id.label
	}
	return fmt.Sprintf("%s (%s)", id.label, fingerprint(id.pub))
}

// An offer is a public key that notes when it is sent.
type offer struct {
	ssh.PublicKey
	id *identity
}

func (o offer) Marshal() []byte {
	if !o.id.offered {
		o.id.offered = true
		o.id.auth.attempt(o.id.String(), "publickey with "+o.id.String())
	}
	return o.PublicKey.Marshal()
}

// PublicKey is called when it is the key's turn.
func (id *identity) PublicKey() ssh.PublicKey {
	id.asked = true
	return offer{id.pub, id}
}

// Algorithms are those to sign by, as ssh.MultiAlgorithmSigner has it.
func (id *identity) Algorithms() []string { return signatureAlgorithms(id.pub, id.auth.accepted) }

func (id *identity) Sign(rand io.Reader, data []byte) (*ssh.Signature, error) {
	return id.SignWithAlgorithm(rand, data, "")
}

func (id *identity) SignWithAlgorithm(rand io.Reader, data []byte, algorithm string) (*ssh.Signature, error) {
	if algorithm == "" {
		algorithm = plain(id.pub).Type()
	}
	id.taken = true
	sig, err := id.auth.sign(id, rand, data, algorithm)
	if err != nil {
		id.auth.try(fmt.Sprintf("no signature by %s: %s", id.label, clean(err.Error())))
		return nil, err
	}
	id.signed = true
	return sig, nil
}

// rsaAlgorithms are the algorithms by which an RSA key may sign: RFC 8332.
var rsaAlgorithms = []string{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256, ssh.KeyAlgoRSA}

const certSuffix = "-cert-v01@openssh.com"

// certAlgorithm is the name that an algorithm has where a certificate goes with it.
func certAlgorithm(algorithm string) string {
	return strings.TrimSuffix(algorithm, "@openssh.com") + certSuffix
}

// publicKeyAlgorithms are the library's, as PubkeyAcceptedAlgorithms names them,
// in ssh's order: certificates first, and RSA with the longer hash first.
func publicKeyAlgorithms(library []string) []string {
	var plain, certs []string
	for _, a := range library {
		switch a {
		case ssh.KeyAlgoRSASHA256:
			plain = append(plain, ssh.KeyAlgoRSASHA512, a)
		case ssh.KeyAlgoRSASHA512:
		default:
			plain = append(plain, a)
		}
	}
	for _, a := range plain {
		certs = append(certs, certAlgorithm(a))
	}
	return append(certs, plain...)
}

// signatureAlgorithms are those by which a key may sign, given those that are accepted; best first.
func signatureAlgorithms(pub ssh.PublicKey, accepted []string) []string {
	kind := plain(pub).Type()
	_, cert := pub.(*ssh.Certificate)
	can := []string{kind}
	if kind == ssh.KeyAlgoRSA {
		can = rsaAlgorithms
	}
	var algorithms []string
	for _, name := range accepted {
		for _, a := range can {
			if !cert && name == a || cert && name == certAlgorithm(a) {
				algorithms = append(algorithms, a)
			}
		}
	}
	return algorithms
}

// reveal opens a file that does not show its public half, when it is its turn.
func (a *auth) reveal(id *identity) error {
	if err := a.open(id.file); err != nil {
		return err
	}
	a.addToAgent(id.file)
	id.pub = id.file.signer.PublicKey()
	return a.judge(id.pub)
}

func (a *auth) sign(id *identity, rand io.Reader, data []byte, algorithm string) (*ssh.Signature, error) {
	from, err := a.holder(id)
	if err != nil {
		return nil, err
	}
	if from.agent != nil {
		defer a.ask.lim.pause()()
		return from.agent.sign(a.ask.lim.ctx, data, algorithm)
	}
	if err := a.open(from.file); err != nil {
		return nil, err
	}
	a.addToAgent(from.file)
	signer, ok := from.file.signer.(ssh.AlgorithmSigner)
	if !ok {
		return from.file.signer.Sign(rand, data)
	}
	return signer.SignWithAlgorithm(rand, data, algorithm)
}

// open asks for the passphrase if need be. An empty one gives the key up, as do too many wrong ones.
func (a *auth) open(f *keyFile) error {
	if f.err != nil || f.signer != nil {
		return f.err
	}
	for range a.host.NumberOfPasswordPrompts {
		phrase, err := a.question(fmt.Sprintf("Enter passphrase for key '%s': ", f.path), true)
		if err != nil {
			return err
		}
		if phrase == "" {
			f.err = errors.New("no passphrase given")
			return f.err
		}
		err = f.parse([]byte(phrase))
		if err == nil {
			a.ask.tunnel.keys.put(f)
			return nil
		}
		if !errors.Is(err, x509.IncorrectPasswordError) {
			f.err = err
			return err
		}
	}
	f.err = errors.New("wrong passphrase")
	return f.err
}

var _ ssh.MultiAlgorithmSigner = (*identity)(nil)
