package tunnel

import (
	"math"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

func TestCheckCertificate(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	at := uint64(now.Unix())
	for _, tt := range []struct {
		name          string
		kind          uint32
		after, before uint64
		want          string // "" if good
	}{
		{"for ever", ssh.UserCert, 0, ssh.CertTimeInfinity, ""},
		{"now", ssh.UserCert, at, at + 1, ""},
		{"expires now", ssh.UserCert, 0, at, "expired 2026-11-22 12:00:00 UTC"},
		{"from the next second", ssh.UserCert, at + 1, ssh.CertTimeInfinity, "not valid before 2026-11-22 12:00:01 UTC"},
		{"never", ssh.UserCert, math.MaxUint64, ssh.CertTimeInfinity, "not valid before the end of time"},
		{"beyond int64", ssh.UserCert, 0, math.MaxUint64 - 1, ""},
		{"host", ssh.HostCert, 0, ssh.CertTimeInfinity, "for a host"},
		{"unknown type", 7, 0, ssh.CertTimeInfinity, "for a host"},
	} {
		err := checkCertificate(&ssh.Certificate{CertType: tt.kind, ValidAfter: tt.after, ValidBefore: tt.before}, now)
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %s", tt.name, err, tt.want)
		}
	}
}
