package tunnel

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
)

// keygen makes a key in dir, with more arguments to ssh-keygen.
func keygen(t testing.TB, dir, name, kind string, more ...string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	args := append([]string{"-q", "-t", kind, "-C", name, "-f", path}, more...)
	if !slices.Contains(more, "-N") {
		args = append(args, "-N", "")
	}
	run(t, "ssh-keygen", args...)
	return path
}

// encrypted makes a PKCS#8 key with ssh-keygen and returns what is inside the PEM.
func encrypted(t testing.TB, kind string) []byte {
	t.Helper()
	path := keygen(t, t.TempDir(), "id", kind, "-m", "PKCS8", "-N", "secret")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(data)
	if block == nil || block.Type != "ENCRYPTED PRIVATE KEY" {
		t.Fatalf("ssh-keygen wrote %s", data)
	}
	return block.Bytes
}

func TestParsePKCS8(t *testing.T) {
	for _, kind := range []string{"rsa", "ecdsa"} {
		der := encrypted(t, kind)
		key, err := parsePKCS8(der, []byte("secret"))
		if err != nil {
			t.Fatalf("%s: %v", kind, err)
		}
		if _, err := ssh.NewSignerFromKey(key); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
		for _, wrong := range []string{"", "Secret", "secret "} {
			if _, err := parsePKCS8(der, []byte(wrong)); err != x509.IncorrectPasswordError {
				t.Errorf("%s with %q: %v", kind, wrong, err)
			}
		}
	}
}

// A pbes2 is an EncryptedPrivateKeyInfo to be bent.
type pbes2 struct {
	scheme     string
	kdf        string
	iterations int
	keySize    int
	prf        string
	cipher     string
	iv, data   []byte
}

func oid(s string) (id asn1.ObjectIdentifier) {
	for field := range strings.SplitSeq(s, ".") {
		n := 0
		for _, digit := range field {
			n = n*10 + int(digit-'0')
		}
		id = append(id, n)
	}
	return id
}

func (p pbes2) marshal(t testing.TB) []byte {
	der := func(v any) []byte {
		b, err := asn1.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	algorithm := func(id string, parameters []byte) pkix.AlgorithmIdentifier {
		return pkix.AlgorithmIdentifier{Algorithm: oid(id), Parameters: asn1.RawValue{FullBytes: parameters}}
	}
	kdf := der(struct {
		Salt       []byte
		Iterations int
		KeySize    int `asn1:"optional"`
		PRF        pkix.AlgorithmIdentifier
	}{[]byte("salt"), p.iterations, p.keySize, algorithm(p.prf, asn1.NullBytes)})
	scheme := der(struct{ KDF, Cipher pkix.AlgorithmIdentifier }{algorithm(p.kdf, kdf), algorithm(p.cipher, der(p.iv))})
	return der(struct {
		Algorithm pkix.AlgorithmIdentifier
		Data      []byte
	}{algorithm(p.scheme, scheme), p.data})
}

func fairPBES2() pbes2 {
	return pbes2{oidPBES2, oidPBKDF2, 1, 0, "1.2.840.113549.2.9", "2.16.840.1.101.3.4.1.42", make([]byte, 16), make([]byte, 32)}
}

func TestHostilePKCS8(t *testing.T) {
	for _, tt := range []struct {
		name string
		bend func(*pbes2)
		want string
	}{
		{"fair", func(p *pbes2) {}, x509.IncorrectPasswordError.Error()},
		{"3DES", func(p *pbes2) { p.cipher, p.iv = "1.2.840.113549.3.7", p.iv[:8] }, x509.IncorrectPasswordError.Error()},
		{"SHA-1", func(p *pbes2) { p.prf = "1.2.840.113549.2.7" }, x509.IncorrectPasswordError.Error()},
		{"scheme", func(p *pbes2) { p.scheme = "1.2.840.113549.1.5.3" }, "not PBES2"},
		{"kdf", func(p *pbes2) { p.kdf = "1.3.6.1.4.1.11591.4.11" }, "not PBKDF2"},
		{"hash", func(p *pbes2) { p.prf = "1.2.3" }, "hash 1.2.3"},
		{"cipher", func(p *pbes2) { p.cipher = "1.2.3" }, "cipher 1.2.3"},
		{"iterations", func(p *pbes2) { p.iterations = maxIterations + 1 }, "iterations"},
		{"no iterations", func(p *pbes2) { p.iterations = 0 }, "iterations"},
		{"negative", func(p *pbes2) { p.iterations = -1 }, "iterations"},
		{"key size", func(p *pbes2) { p.keySize = 16 }, "16 bytes"},
		{"iv", func(p *pbes2) { p.iv = p.iv[:8] }, "length"},
		{"no data", func(p *pbes2) { p.data = nil }, "length"},
		{"odd data", func(p *pbes2) { p.data = p.data[:17] }, "length"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := fairPBES2()
			tt.bend(&p)
			if _, err := parsePKCS8(p.marshal(t), []byte("x")); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %s", err, tt.want)
			}
		})
	}
	if _, err := parsePKCS8(append(fairPBES2().marshal(t), 0), nil); err == nil || errors.Is(err, x509.IncorrectPasswordError) {
		t.Errorf("with more behind it: %v", err)
	}
}

func FuzzParsePKCS8(f *testing.F) {
	f.Add(fairPBES2().marshal(f), []byte("x"))
	f.Fuzz(func(t *testing.T, der, passphrase []byte) {
		if key, err := parsePKCS8(der, passphrase); err == nil && key == nil {
			t.Error("neither key nor error")
		}
	})
}
