package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/pasvport/pasvport/cmd/pasvport/internal/config"
	"github.com/pasvport/pasvport/ftpmux"
)

func (o *options) addTLS(f *pflag.FlagSet) {
	f.StringVar(&o.TLS, "tls", config.TLSRefuse, "what becomes of TLS: refuse, for SSH protects the clients, or upstream, to speak it to an FTP server that insists on it")
	f.StringVar(&o.TLSCA, "tls-ca", "", "trust the certificates in this PEM `file`, in place of the system's, to sign the FTP server's")
	f.StringVar(&o.TLSServerName, "tls-server-name", "", "the `name` that the FTP server's certificate must have; the ftphost of -L where it says nothing")
	f.BoolVar(&o.TLSInsecure, "tls-insecure", false, "take any certificate of the FTP server's")
}

// tlsConfig is for ftpmux.Mux.TLS; nil for no TLS.
func tlsConfig(t *config.Tunnel) (*tls.Config, error) {
	if t.TLS != config.TLSUpstream {
		return nil, nil
	}
	c := &tls.Config{ServerName: t.TLSServerName, InsecureSkipVerify: t.TLSInsecure}
	if t.TLSCA == "" {
		return c, nil
	}
	pem, err := os.ReadFile(t.TLSCA)
	if err != nil {
		return nil, usagef(fmt.Sprintf("--tls-ca: %v", err))
	}
	c.RootCAs = x509.NewCertPool()
	if !c.RootCAs.AppendCertsFromPEM(pem) {
		return nil, usagef(fmt.Sprintf("--tls-ca: %s has no certificate in PEM form", t.TLSCA))
	}
	return c, nil
}

func tlsHints(e *ftpmux.TLSError) []string {
	const insecure = "--tls-insecure takes any certificate: only SSH protects the connection then, as far as the SSH server"
	var (
		name    x509.HostnameError
		signer  x509.UnknownAuthorityError
		invalid x509.CertificateInvalidError
	)
	switch {
	case e.Reply != "":
		return []string{"leave out --tls upstream: the server has no TLS, and SSH protects the connection as far as the SSH server"}
	case errors.As(e, &name):
		if names := namesIn(name.Certificate); names != "" {
			return []string{"the certificate is for " + names + "; --tls-server-name NAME says which of them is expected", insecure}
		}
		return []string{"the certificate has no name in the form that counts (subjectAltName); the server needs a new one", insecure}
	case errors.As(e, &signer):
		return []string{"--tls-ca FILE names a PEM file with the certificate that has signed it, or with this one itself", insecure}
	case errors.As(e, &invalid):
		return []string{"the server needs another certificate", insecure}
	}
	return []string{"the server must have TLS 1.2 or 1.3, with ciphers of today"}
}

// namesIn lists what a certificate is for.
func namesIn(c *x509.Certificate) string {
	names := slices.Clone(c.DNSNames)
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	return oneLine(strings.Join(names, ", "))
}
