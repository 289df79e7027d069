package tunnel

import (
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	mrand "math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
)

// Builders for what ssh-keygen does not make.

func sshString(p ...string) string {
	s := strings.Join(p, "")
	return string(binary.BigEndian.AppendUint32(nil, uint32(len(s)))) + s
}

func sshUint64(n ...uint64) string {
	var p []byte
	for _, n := range n {
		p = binary.BigEndian.AppendUint64(p, n)
	}
	return string(p)
}

func krlSection(kind byte, body ...string) string {
	return string([]byte{kind}) + sshString(body...)
}

func krlFile(sections ...string) string {
	return krlMagic + "\x00\x00\x00\x01" + sshUint64(7, 1, 0) + sshString() + sshString("a comment") + strings.Join(sections, "")
}

func certSection(ca string, parts ...string) string {
	return krlSection(krlCertificates, sshString(ca), sshString(), strings.Join(parts, ""))
}

func newCert(t testing.TB, ca, key ssh.Signer, serial uint64, id string) *ssh.Certificate {
	t.Helper()
	cert := &ssh.Certificate{Key: key.PublicKey(), CertType: ssh.HostCert, Serial: serial, KeyId: id, ValidBefore: ssh.CertTimeInfinity}
	if err := cert.SignCert(rand.Reader, ca); err != nil {
		t.Fatal(err)
	}
	return cert
}

// A krlLab asks ssh-keygen the same.
type krlLab struct {
	t      *testing.T
	keygen string
	keys   map[string]ssh.PublicKey
	files  map[string]string
}

func newKRLLab(t *testing.T, keys map[string]ssh.PublicKey) *krlLab {
	l := &krlLab{t, program(t, "ssh-keygen"), keys, make(map[string]string)}
	for name, key := range keys {
		l.files[name] = writeFile(t, "key.pub", string(ssh.MarshalAuthorizedKey(key)))
	}
	return l
}

// compare returns how many keys are revoked, or -1 for a list that is refused.
func (l *krlLab) compare(name string, krl []byte) (n int) {
	l.t.Helper()
	file := writeFile(l.t, "krl", string(krl))
	for key, pub := range l.keys {
		cmd := exec.Command(l.keygen, "-Q", "-f", file, l.files[key])
		out, _ := cmd.CombinedOutput()
		code := cmd.ProcessState.ExitCode()
		_, revoked, err := revokedBy(file, pub)
		got := map[bool]int{true: 1}[revoked]
		if err != nil {
			got, n = 255, -1
		}
		if got != code {
			l.t.Errorf("%s: %s: got %v, %v; ssh-keygen ends in %d: %s\n%q", name, key, revoked, err, code, out, krl)
		}
		if revoked {
			n++
		}
	}
	return n
}

func TestKRLAgainstOpenSSH(t *testing.T) {
	ca, ca2, host, rsa := newSigner(t), newSigner(t), newSigner(t), rsaSigner(t)
	blob := func(s ssh.Signer) string { return string(s.PublicKey().Marshal()) }
	sum1 := func(s ssh.Signer) string { h := sha1.Sum(s.PublicKey().Marshal()); return string(h[:]) }
	sum256 := func(s ssh.Signer) string { h := sha256.Sum256(s.PublicKey().Marshal()); return string(h[:]) }
	lab := newKRLLab(t, map[string]ssh.PublicKey{
		"ca": ca.PublicKey(), "host": host.PublicKey(), "rsa": rsa.PublicKey(),
		"cert 5": newCert(t, ca, host, 5, "five"), "cert 0": newCert(t, ca, host, 0, "zero"), "cert 70": newCert(t, ca, rsa, 70, "seventy"),
		"cert 5 of another": newCert(t, ca2, rsa, 5, "five"), "cert max": newCert(t, ca, rsa, 1<<64-1, ""),
	})
	bitmap := func(low uint64, bits string) string {
		return krlSection(krlSerialBitmap, sshUint64(low), sshString(bits))
	}
	signed := func(s ssh.Signer, krl string) string {
		krl += krlSection(krlSignature, blob(s))
		sig, err := s.Sign(rand.Reader, []byte(krl))
		if err != nil {
			t.Fatal(err)
		}
		return krl + sshString(string(ssh.Marshal(sig)))
	}
	good := krlFile(krlSection(krlKeys, sshString(blob(host))))
	for _, tt := range []struct {
		name, krl string
		revoked   int // of the keys; -1 for an error
	}{
		{"empty", krlFile(), 0},
		{"key", good, 3},
		{"keys", krlFile(krlSection(krlKeys, sshString(blob(host)), sshString(blob(rsa)))), 7},
		{"authority", krlFile(krlSection(krlKeys, sshString(blob(ca)))), 5},
		{"odd key", krlFile(krlSection(krlKeys, sshString("junk"))), 0},
		{"SHA-1", krlFile(krlSection(krlSHA1, sshString(sum1(host)))), 3},
		{"SHA-1 too short", krlFile(krlSection(krlSHA1, sshString(sum1(host)[1:]))), -1},
		{"SHA-256", krlFile(krlSection(krlSHA256, sshString(sum256(rsa)))), 4},
		{"SHA-256 too long", krlFile(krlSection(krlSHA256, sshString(sum256(rsa)+"x"))), -1},
		{"serials", krlFile(certSection(blob(ca), krlSection(krlSerials, sshUint64(4, 5, 70)))), 2},
		{"serials of any", krlFile(certSection("", krlSection(krlSerials, sshUint64(5)))), 2},
		{"serial 0", krlFile(certSection(blob(ca), krlSection(krlSerials, sshUint64(0)))), -1},
		{"serials cut", krlFile(certSection(blob(ca), krlSection(krlSerials, sshUint64(5)+"x"))), -1},
		{"odd authority", krlFile(certSection("junk", krlSection(krlSerials, sshUint64(5)))), -1},
		{"range", krlFile(certSection(blob(ca), krlSection(krlSerialRange, sshUint64(1, 70)))), 2},
		{"range of all", krlFile(certSection(blob(ca), krlSection(krlSerialRange, sshUint64(1, 1<<64-1)))), 3},
		{"range from 0", krlFile(certSection(blob(ca), krlSection(krlSerialRange, sshUint64(0, 70)))), -1},
		{"range backwards", krlFile(certSection(blob(ca), krlSection(krlSerialRange, sshUint64(7, 6)))), -1},
		{"two ranges in one", krlFile(certSection(blob(ca), krlSection(krlSerialRange, sshUint64(1, 5, 6, 7)))), -1},
		{"bitmap", krlFile(certSection(blob(ca), bitmap(5, "\x01"))), 1},
		{"bitmap, two bytes", krlFile(certSection(blob(ca), bitmap(1, "\x01\x10"))), 1},
		{"bitmap, far", krlFile(certSection(blob(ca), bitmap(62, "\x01\x00"))), 1},
		{"bitmap, leading zeros", krlFile(certSection(blob(ca), bitmap(5, "\x00\x00\x01"))), 1},
		{"bitmap, empty", krlFile(certSection(blob(ca), bitmap(5, ""))), 0},
		{"bitmap, negative", krlFile(certSection(blob(ca), bitmap(5, "\x80"))), -1},
		{"bitmap, padded", krlFile(certSection(blob(ca), bitmap(5, "\x00\x80"))), 0},
		{"bitmap with serial 0", krlFile(certSection(blob(ca), bitmap(0, "\x01"))), -1},
		{"bitmap without serial 0", krlFile(certSection(blob(ca), bitmap(0, "\x20"))), 1},
		{"bitmap at the end", krlFile(certSection(blob(ca), bitmap(1<<64-1, "\x01"))), 1},
		{"bitmap over the end", krlFile(certSection(blob(ca), bitmap(1<<64-1, "\x03"))), -1},
		{"bitmap, longest", krlFile(certSection(blob(ca), bitmap(5, "\x01"+strings.Repeat("\x00", 2047)))), 0},
		{"bitmap, too long", krlFile(certSection(blob(ca), bitmap(5, "\x01"+strings.Repeat("\x00", 2048)))), -1},
		{"ids", krlFile(certSection(blob(ca), krlSection(krlKeyIDs, sshString("x"), sshString("zero"), sshString("five")))), 2},
		{"ids of any", krlFile(certSection("", krlSection(krlKeyIDs, sshString("five")))), 2},
		{"empty id", krlFile(certSection("", krlSection(krlKeyIDs, sshString("")))), 1},
		{"id with a zero at the end", krlFile(certSection("", krlSection(krlKeyIDs, sshString("five\x00")))), 2},
		{"id with a zero", krlFile(certSection("", krlSection(krlKeyIDs, sshString("fi\x00ve")))), -1},
		{"several parts", krlFile(certSection(blob(ca), krlSection(krlSerials, sshUint64(5)), krlSection(krlKeyIDs, sshString("zero"))), certSection(blob(ca2), krlSection(krlSerials, sshUint64(5)))), 3},
		{"no parts", krlFile(certSection(blob(ca))), 0},
		{"unknown part", krlFile(certSection(blob(ca), krlSection(0x24, "x"))), -1},
		{"unknown section", krlFile(krlSection(9, "x")), -1},
		{"cut", good[:len(good)-1], -1},
		{"more behind", good + "x", -1},
		{"magic only", krlMagic, -1},
		{"version 2", strings.Replace(good, "\x00\x00\x00\x01", "\x00\x00\x00\x02", 1), -1},
		{"signed", signed(ca2, good), 3},
		{"signed twice", signed(ca, signed(ca2, good)), 3},
		{"signed wrongly", strings.Replace(signed(ca2, good), "a comment", "b comment", 1), -1},
		{"more behind the signature", signed(ca2, good) + krlSection(krlKeys, sshString(blob(rsa))), -1},
		{"signature missing", good + krlSection(krlSignature, blob(ca)), -1},
	} {
		if n := lab.compare(tt.name, []byte(tt.krl)); n != tt.revoked {
			t.Errorf("%s: %d are revoked, want %d", tt.name, n, tt.revoked)
		}
	}
	// Extensions came with OpenSSH 9.4.
	for name, want := range map[byte]bool{0: true, 1: false} {
		part := sshString("odd@example.com") + string([]byte{name}) + sshString("x")
		for _, krl := range []string{
			krlFile(krlSection(krlExtension, part), krlSection(krlKeys, sshString(blob(host)))),
			krlFile(certSection("", krlSection(krlCertsExtension, part)), krlSection(krlKeys, sshString(blob(host)))),
		} {
			if revoked, err := revokedByKRL([]byte(krl), host.PublicKey()); revoked != want || (err == nil) != want {
				t.Errorf("extension, critical %d: %v, %v", name, revoked, err)
			}
		}
	}
}

// Lists that ssh-keygen makes of random specifications.
func TestKRLGenerated(t *testing.T) {
	rng := mrand.New(mrand.NewPCG(1, 2))
	ca := newSigner(t)
	caFile := writeFile(t, "ca.pub", string(ssh.MarshalAuthorizedKey(ca.PublicKey())))
	keys := make(map[string]ssh.PublicKey)
	for i := range 6 {
		host := newSigner(t)
		serial := rng.Uint64N(300)
		keys[fmt.Sprint("key ", i)] = host.PublicKey()
		keys[fmt.Sprint("cert ", i, " serial ", serial)] = newCert(t, ca, host, serial, fmt.Sprint("id", i))
	}
	lab := newKRLLab(t, keys)
	var names []string
	for name := range keys {
		if strings.HasPrefix(name, "key") {
			names = append(names, name)
		}
	}
	revoked, lists := 0, 0
	for range 40 {
		var spec strings.Builder
		for range rng.IntN(6) {
			switch rng.IntN(6) {
			case 0:
				fmt.Fprintf(&spec, "serial: %d\n", 1+rng.Uint64N(300))
			case 1:
				low := 1 + rng.Uint64N(250)
				fmt.Fprintf(&spec, "serial: %d-%d\n", low, low+rng.Uint64N(50))
			case 2: // close to each other, for a bitmap
				low := 1 + rng.Uint64N(250)
				for i := range uint64(20) {
					fmt.Fprintf(&spec, "serial: %d\n", low+i*(1+rng.Uint64N(2)))
				}
			case 3:
				fmt.Fprintf(&spec, "id: id%d\n", rng.IntN(8))
			default:
				key := keys[names[rng.IntN(len(names))]]
				kind := []string{"key: ", "sha1: ", "sha256: "}[rng.IntN(3)]
				spec.WriteString(kind + string(ssh.MarshalAuthorizedKey(key)))
			}
		}
		file := filepath.Join(t.TempDir(), "krl")
		run(t, "ssh-keygen", "-q", "-k", "-f", file, "-s", caFile, writeFile(t, "spec", spec.String()))
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		n := lab.compare(spec.String(), data)
		if n < 0 {
			t.Errorf("refused: %s", spec.String())
		}
		revoked += n
		lists++
	}
	t.Logf("%d lists, %d times a key was revoked", lists, revoked)
	if revoked == 0 {
		t.Error("nothing was revoked")
	}
}

func FuzzKRL(f *testing.F) {
	host, ca := newSigner(f), newSigner(f)
	cert := newCert(f, ca, host, 5, "five")
	blob := string(host.PublicKey().Marshal())
	f.Add([]byte(krlFile(krlSection(krlKeys, sshString(blob)), krlSection(krlSHA1, sshString(strings.Repeat("x", 20))))))
	f.Add([]byte(krlFile(certSection("", krlSection(krlSerials, sshUint64(5)), krlSection(krlSerialRange, sshUint64(1, 9)),
		krlSection(krlSerialBitmap, sshUint64(1), sshString("\x01\x00")), krlSection(krlKeyIDs, sshString("five"))))))
	f.Add([]byte(krlFile(krlSection(krlSignature, blob), sshString("x"))))
	f.Fuzz(func(t *testing.T, data []byte) {
		if !isKRL(data) {
			data = append([]byte(krlMagic), data...)
		}
		revoked, err := revokedByKRL(data, cert)
		if revoked && err != nil {
			t.Fatalf("both revoked and %v", err)
		}
		// what revokes the key revokes its certificate
		if plain, err := revokedByKRL(data, host.PublicKey()); err == nil && plain && !revoked {
			t.Fatal("the key is revoked, its certificate is not")
		}
	})
}

func FuzzRevokedList(f *testing.F) {
	key := newSigner(f).PublicKey()
	line := string(ssh.MarshalAuthorizedKey(key))
	f.Add([]byte("# c\r\n" + line))
	f.Add([]byte("junk\n" + line))
	f.Add([]byte("restrict " + line + "\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		n, err := revokedByList(data, key)
		if n > 0 && err != nil || n > strings.Count(string(data), "\n")+1 {
			t.Fatalf("line %d, %v", n, err)
		}
		if n > 0 && !strings.Contains(string(data), strings.Fields(line)[1]) {
			t.Fatal("revoked by a list that does not have it")
		}
		// to add the key to a good list revokes it
		if err == nil && n == 0 {
			if n, err := revokedByList(append(data, "\n"+line...), key); n == 0 || err != nil {
				t.Fatalf("not revoked: line %d, %v", n, err)
			}
		}
	})
}
