package tunnel

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
)

func TestOpenSSHHeader(t *testing.T) {
	dir := t.TempDir()
	for _, kind := range []string{"ed25519", "ecdsa", "rsa"} {
		for _, phrase := range []string{"", "secret"} {
			path := keygen(t, dir, kind+phrase, kind, "-N", phrase, "-a", "1")
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			pub, comment, shown := opensshHeader(data)
			want, _ := loadPublic(path + ".pub")
			if pub == nil || !samePublic(pub, want) {
				t.Errorf("%s: not its public half", path)
			}
			if shown != (phrase == "") || shown && comment != kind || !shown && comment != "" {
				t.Errorf("%s: comment %q", path, comment)
			}
		}
	}
}

func FuzzKeyFile(f *testing.F) {
	for _, kind := range []string{"ed25519", "ecdsa", "rsa"} {
		for _, more := range [][]string{nil, {"-m", "PEM"}, {"-N", "x", "-a", "1"}} {
			data, err := os.ReadFile(keygen(f, f.TempDir(), "id", kind, more...))
			if err != nil {
				f.Fatal(err)
			}
			f.Add(data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		opensshHeader(data)
		parsePublic(data)
		if key, err := parsePrivate(data, nil); err == nil && key == nil {
			t.Error("neither key nor error")
		}
	})
}

// Whatever ssh-keygen writes, encrypted or not, opens here.
func TestKeyFormats(t *testing.T) {
	dir := t.TempDir()
	for _, kind := range []string{"ed25519", "rsa", "ecdsa 256", "ecdsa 384", "ecdsa 521"} {
		for _, format := range []string{"RFC4716", "PEM", "PKCS8"} {
			for _, phrase := range []string{"", "secret"} {
				name := strings.Join([]string{kind, format, phrase}, "-")
				args := []string{"-m", format, "-N", phrase, "-a", "1"}
				kind, bits, ok := strings.Cut(kind, " ")
				if ok {
					args = append(args, "-b", bits)
				}
				path := keygen(t, dir, strings.ReplaceAll(name, " ", ""), kind, args...)
				want, _ := loadPublic(path + ".pub")
				f := readKeyFile(path)
				if f.err != nil || f.locked() != (phrase != "") {
					t.Errorf("%s: locked: %v, %v", name, f.locked(), f.err)
					continue
				}
				if f.locked() {
					if err := f.parse([]byte("wrong")); err == nil {
						t.Errorf("%s opens with a wrong passphrase", name)
					}
					if err := f.parse([]byte(phrase)); err != nil {
						t.Errorf("%s: %v", name, err)
						continue
					}
				}
				if !samePublic(f.signer.PublicKey(), want) {
					t.Errorf("%s: another key", name)
				}
			}
		}
	}
}

func TestWrongPublicHalf(t *testing.T) {
	file, _ := newKey(t, "")
	_, other := newKey(t, "")
	if err := os.WriteFile(file+".pub", ssh.MarshalAuthorizedKey(other), 0o600); err != nil {
		t.Fatal(err)
	}
	s := newServer(t, takes(other))
	h := s.host()
	h.IdentityFiles = []string{file}
	e := wantAs[*AuthError](t, newTunnel(t, h, Options{}).Connect(t.Context()))
	if want := []string{"key " + file + " (" + file + ".pub is of another key)"}; !slices.Equal(e.Tried, want) {
		t.Errorf("tried %q, want %q", e.Tried, want)
	}
}

// certify makes path-cert.pub.
func certify(t *testing.T, ca, path string, more ...string) {
	t.Helper()
	args := append([]string{"-q", "-s", ca, "-I", "test", "-n", "root,anna"}, more...)
	run(t, "ssh-keygen", append(args, path+".pub")...)
}

func rename(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

// A pipe would keep us waiting for who writes to it, and a device has no end.
func TestKeyFileIsNoFile(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	if out, err := exec.Command("mkfifo", pipe).CombinedOutput(); err != nil {
		t.Fatalf("mkfifo: %v\n%s", err, out)
	}
	for _, path := range []string{pipe, "/dev/zero"} {
		if f := readKeyFile(path); f.err == nil || f.err.Error() != "not a regular file" {
			t.Errorf("%s: got %v", path, f.err)
		}
	}
	half, pub := newKey(t, "")
	if err := os.Symlink(pipe, half+".pub"); err != nil {
		t.Fatal(err)
	}
	if f := readKeyFile(half); f.err != nil || f.pub == nil || !sameKey(f.pub, pub) {
		t.Errorf("got %v", f.err)
	}
}
