package tunnel

import (
	"errors"
	"fmt"
	"math"
	"time"

	"golang.org/x/crypto/ssh"
)

// checkCertificate tells why a certificate is no use for logging in at this time.
// Whether the server knows its authority and the names in it suit is for the server to say.
func checkCertificate(cert *ssh.Certificate, now time.Time) error {
	switch {
	case cert.CertType != ssh.UserCert:
		return errors.New("a certificate for a host, not for a user")
	case before(now, cert.ValidAfter):
		return fmt.Errorf("its certificate is not valid before %s", certTime(cert.ValidAfter))
	case cert.ValidBefore != ssh.CertTimeInfinity && !before(now, cert.ValidBefore):
		return fmt.Errorf("its certificate expired %s", certTime(cert.ValidBefore))
	}
	return nil
}

func before(now time.Time, seconds uint64) bool {
	return seconds > math.MaxInt64 || now.Unix() < int64(seconds)
}

func certTime(seconds uint64) string {
	if seconds > 1<<40 { // some 30,000 years
		return "the end of time"
	}
	return time.Unix(int64(seconds), 0).UTC().Format("2006-01-02 15:04:05 MST")
}

// fingerprint is the key's own, also where there is a certificate.
func fingerprint(pub ssh.PublicKey) string { return ssh.FingerprintSHA256(plain(pub)) }
