package tunnel

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"

	"golang.org/x/crypto/ssh"
)

// identify lists the keys to offer, in ssh's order: certificates that the configuration
// names; keys of the agent that it names, and then, unless IdentitiesOnly, the others of
// the agent, both in the agent's order; then the other key files and the certificates
// beside them. What cannot be used is left out, and where it was asked for noted with
// the reason.
func (a *auth) identify() {
	files := a.listFiles()
	var ids, others []*identity
	for _, path := range a.host.CertificateFiles {
		if id := a.listCertificate(path); id != nil {
			ids = append(ids, id)
		}
	}
	if a.agent != nil {
		for _, k := range a.agent.keys {
			i := slices.IndexFunc(files, func(id *identity) bool {
				return id.pub != nil && string(id.pub.Marshal()) == string(k.pub.Marshal())
			})
			switch {
			case i >= 0:
				id := files[i]
				id.agent, id.label = k, id.label+" in the agent"
				ids = append(ids, id)
				files = slices.Delete(files, i, i+1)
			case !a.host.IdentitiesOnly:
				others = append(others, &identity{auth: a, label: agentLabel(k), pub: k.pub, agent: k})
			}
		}
	}
	a.all = slices.Concat(ids, others, files)
	for _, id := range a.all {
		err := a.usable(id)
		if err == nil {
			a.ids = append(a.ids, id)
		} else if id.file == nil || !errors.Is(err, fs.ErrNotExist) || !a.host.DefaultIdentities {
			a.try(fmt.Sprintf("%s (%s)", id.label, reason(err)))
		}
	}
}

func agentLabel(k *agentKey) string {
	label := "agent key"
	if _, ok := k.pub.(*ssh.Certificate); ok {
		label = "agent certificate"
	}
	if comment := clean(k.comment); comment != "" {
		label += " " + comment
	}
	return label
}

func reason(err error) string {
	if errors.Is(err, fs.ErrNotExist) {
		return "no such file"
	}
	return clean(err.Error())
}

// listFiles lists the key files, each followed by the certificate beside it unless
// CertificateFile names any.
func (a *auth) listFiles() (files []*identity) {
	for _, path := range a.host.IdentityFiles {
		f := readKeyFile(path)
		a.ask.tunnel.keys.unlock(f)
		id := &identity{auth: a, label: "key " + path, pub: f.pub, file: f}
		if id.certificate() != nil {
			id.label = "certificate " + path
		}
		files = append(files, id)
		if len(a.host.CertificateFiles) > 0 {
			continue
		}
		if pub, _ := loadPublic(path + "-cert"); pub != nil {
			if cert, ok := pub.(*ssh.Certificate); ok {
				files = append(files, &identity{auth: a, label: "certificate " + path + "-cert.pub", pub: cert, file: f})
			}
		}
	}
	return files
}

func (a *auth) listCertificate(path string) *identity {
	pub, _ := loadPublic(path)
	cert, ok := pub.(*ssh.Certificate)
	if !ok {
		why := "not a certificate"
		if _, err := os.Stat(path); err != nil && pub == nil {
			why = reason(err)
		}
		a.try(fmt.Sprintf("certificate %s (%s)", path, why))
		return nil
	}
	return &identity{auth: a, label: "certificate " + path, pub: cert}
}

// usable tells why an identity is not worth a question to the server.
func (a *auth) usable(id *identity) error {
	if cert := id.certificate(); cert != nil {
		if err := checkCertificate(cert, time.Now()); err != nil {
			return err
		}
	}
	if err := a.judge(id.pub); err != nil {
		return err
	}
	from, err := a.holder(id)
	switch {
	case err != nil:
		return err
	case from.agent == nil && from.file.locked() && a.alone() != "":
		return errors.New("needs its passphrase")
	}
	return nil
}

// judge tells why the configuration does not let a key be used.
func (a *auth) judge(pub ssh.PublicKey) error {
	if pub == nil {
		return nil // not known yet
	}
	if len(signatureAlgorithms(pub, a.accepted)) == 0 {
		return fmt.Errorf("PubkeyAcceptedAlgorithms leaves out %s", pub.Type())
	}
	if bits, ok := rsaBits(pub); ok && bits < a.host.RequiredRSASize {
		return fmt.Errorf("RSA of %d bits, and RequiredRSASize is %d", bits, a.host.RequiredRSASize)
	}
	return nil
}

// holder finds the identity that can sign for id: itself, or for a certificate
// another one of the same key; the agent before files, open files before locked ones.
func (a *auth) holder(id *identity) (*identity, error) {
	if id.agent != nil {
		return id, nil
	}
	var can []*identity
	if id.file != nil {
		can = append(can, id)
	}
	if id.certificate() != nil {
		for _, other := range a.all {
			if samePublic(other.public(), id.pub) {
				can = append(can, other)
			}
		}
	}
	err := errors.New("its private key is in no file and not in the agent")
	for _, fit := range []func(*identity) bool{
		func(id *identity) bool { return id.agent != nil },
		func(id *identity) bool { return id.file != nil && id.file.signer != nil },
		func(id *identity) bool { return id.file != nil && id.file.err == nil },
	} {
		if i := slices.IndexFunc(can, fit); i >= 0 {
			return can[i], nil
		}
	}
	if len(can) > 0 && can[0].file != nil && can[0].file.err != nil {
		err = can[0].file.err
	}
	return nil, err
}
