package tunnel

import (
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"github.com/pasvport/pasvport/sshconf"
)

func rsaSigner(t *testing.T) ssh.Signer {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	s, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// checkFor is the check for a connection to h that a test plays itself.
func checkFor(t testing.TB, h *sshconf.Host, opts ...Options) *hostCheck {
	t.Helper()
	lim := newLimit(t.Context(), 0)
	t.Cleanup(lim.stop)
	return newHostCheck(h, asker{New(h, append(opts, Options{})[0]), lim}, true)
}

func TestHostKeys(t *testing.T) {
	s := newServer(t)
	other, rsa := newSigner(t).PublicKey(), rsaSigner(t).PublicKey()
	line := func(key ssh.PublicKey) string { return knownhosts.Line([]string{s.addr}, key) + "\n" }
	bare := knownhosts.Line([]string{"127.0.0.1"}, s.hostKey) + "\n"
	hashed := knownhosts.Line([]string{"x"}, s.hostKey) + "\n"
	hashed = strings.Replace(hashed, "x ", knownhosts.HashHostname(knownhosts.Normalize(s.addr))+" ", 1)
	print := ssh.FingerprintSHA256(s.hostKey)
	nobody := []string(nil)

	for _, tt := range []struct {
		name, known, strict string
		answers             []string // nil: nobody to ask
		line                int      // of the refusal; -1 for none at all, 0 for unknown
		added               bool
		asked               int
	}{
		{"known", line(other) + line(s.hostKey), "yes", nobody, -1, false, 0},
		{"known, hashed", hashed, "yes", nobody, -1, false, 0},
		{"known at port 22", bare, "yes", nobody, -1, false, 0},
		{"known by pattern", "*.example,[127.0.0.?]:* " + bare[len("127.0.0.1 "):], "yes", nobody, -1, false, 0},
		{"known, for others", "*,![127.0.0.1]:*,!127.0.0.1 " + bare[len("127.0.0.1 "):], "yes", nobody, 0, false, 0},
		{"known, behind bad lines", "junk\nhost ssh-foo AAAA\n1.2.3.4 1024 35 1234567\n@odd " + bare + line(s.hostKey), "yes", nobody, -1, false, 0},
		{"unknown, yes", "", "yes", []string{"yes"}, 0, false, 0},
		{"unknown, ask nobody", "", "ask", nobody, 0, false, 0},
		{"unknown, ask", line(other)[1:], "ask", []string{"eh", "yes"}, -1, true, 2},
		{"unknown, ask, no end of line", "# no end of line", "ask", []string{print}, -1, true, 1},
		{"unknown, ask, other fingerprint", "", "ask", []string{"SHA256:xyz", "no"}, 0, false, 2},
		{"unknown, ask, no", "", "ask", []string{"no"}, 0, false, 1},
		{"unknown, ask, silence", "", "", []string{}, 0, false, 1},
		{"unknown, accept-new", "", "accept-new", nobody, -1, true, 0},
		{"unknown, no", "", "no", nobody, -1, true, 0},
		{"changed, no", "\n" + line(other), "no", nobody, 2, false, 0},
		{"changed, ask", "junk\n\n" + line(other), "ask", []string{"yes"}, 3, false, 0},
		{"other type", "# x\n" + line(rsa), "accept-new", nobody, 2, false, 0},
		{"of two, the type counts", line(rsa) + line(other), "no", nobody, 2, false, 0},
		{"revoked", line(s.hostKey) + "@revoked * " + bare[len("127.0.0.1 "):], "no", nobody, 2, false, 0},
		{"revoked by name", "@revoked " + bare, "no", nobody, 1, false, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := s.host()
			file := writeFile(t, "known_hosts", tt.known)
			h.UserKnownHostsFiles = []string{file, "/missing"}
			h.StrictHostKeyChecking = tt.strict
			p := &script{answers: tt.answers}
			opts := Options{}
			if tt.answers != nil {
				opts.Prompter = p
			}
			err := newTunnel(t, h, opts).Connect(t.Context())
			if tt.line >= 0 {
				e := wantAs[*HostKeyError](t, err)
				if e.Line != tt.line || (e.File == file) != (tt.line > 0) || e.Fingerprint != print || e.Host != "prod" ||
					e.KeyType != "ssh-ed25519" || e.Revoked != strings.HasPrefix(tt.name, "revoked") || e.Addr != knownhosts.Normalize(s.addr) {
					t.Errorf("got %+v", e)
				}
			} else if err != nil {
				t.Fatal(err)
			}
			if len(p.asked) != tt.asked {
				t.Errorf("asked %q", p.asked)
			}
			got, _ := os.ReadFile(file)
			want := tt.known
			if tt.added {
				if want != "" && !strings.HasSuffix(want, "\n") {
					want += "\n"
				}
				want += line(s.hostKey)
			}
			if string(got) != want {
				t.Errorf("the file is\n%swant\n%s", got, want)
			}
		})
	}
}

func TestHostKeyAlias(t *testing.T) {
	s := newServer(t)
	other := newSigner(t).PublicKey()
	h := s.host()
	h.HostKeyAlias, h.StrictHostKeyChecking = "prod", "yes"
	known := knownhosts.Line([]string{s.addr}, s.hostKey) + "\n"
	h.UserKnownHostsFiles = []string{writeFile(t, "known_hosts", known+knownhosts.Line([]string{"prod"}, other)+"\n")}
	if e := wantAs[*HostKeyError](t, newTunnel(t, h, Options{}).Connect(t.Context())); e.Line != 2 {
		t.Errorf("got %+v, want line 2: the address is not what counts", e)
	}
	h.UserKnownHostsFiles = []string{writeFile(t, "known_hosts", knownhosts.Line([]string{"prod"}, s.hostKey)+"\n")}
	if err := newTunnel(t, h, Options{}).Connect(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestHashKnownHosts(t *testing.T) {
	s := newServer(t)
	h := s.host()
	file := filepath.Join(t.TempDir(), "known_hosts")
	h.UserKnownHostsFiles, h.StrictHostKeyChecking, h.HashKnownHosts = []string{file}, "accept-new", true
	for range 2 { // the second time it is known
		if err := newTunnel(t, h, Options{}).Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		h.StrictHostKeyChecking = "yes"
	}
	if text, _ := os.ReadFile(file); !strings.HasPrefix(string(text), "|1|") || strings.Contains(string(text), "127.0.0.1") {
		t.Errorf("got %q", text)
	}
}

func TestKnownHostsIsMade(t *testing.T) {
	s := newServer(t)
	h := s.host()
	file := filepath.Join(t.TempDir(), ".ssh", "known_hosts")
	h.UserKnownHostsFiles, h.StrictHostKeyChecking = []string{file}, "accept-new"
	if err := newTunnel(t, h, Options{}).Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]os.FileMode{file: 0o600, filepath.Dir(file): 0o700} {
		if fi, err := os.Stat(path); err != nil || fi.Mode().Perm() != want {
			t.Errorf("%s: %v, %v; want %v", path, fi.Mode(), err, want)
		}
	}
	h.StrictHostKeyChecking = "yes"
	if err := newTunnel(t, h, Options{}).Connect(t.Context()); err != nil {
		t.Error(err)
	}
}

// Of a server's several keys, the one that can be compared is asked for.
func TestHostKeyAlgorithms(t *testing.T) {
	old := rsaSigner(t)
	s := newServer(t, func(c *ssh.ServerConfig) { c.AddHostKey(old) })
	for _, key := range []ssh.PublicKey{old.PublicKey(), s.hostKey} {
		h := s.host()
		h.UserKnownHostsFiles = []string{writeFile(t, "known_hosts", knownhosts.Line([]string{s.addr}, key)+"\n")}
		if err := newTunnel(t, h, Options{}).Connect(t.Context()); err != nil {
			t.Errorf("%s: %v", key.Type(), err)
		}
	}
	h := s.host()
	h.UserKnownHostsFiles = []string{writeFile(t, "known_hosts", knownhosts.Line([]string{s.addr}, old.PublicKey())+"\n")}
	algos := checkFor(t, h).algorithms()
	want := []string{"rsa-sha2-512-cert-v01@openssh.com", "rsa-sha2-256-cert-v01@openssh.com", "rsa-sha2-512", "rsa-sha2-256"}
	if !slices.Equal(algos[:4], want) || slices.Contains(algos, "ssh-rsa") || !slices.Contains(algos, "ssh-ed25519") {
		t.Errorf("got %q", algos)
	}
}

func TestHostCertificates(t *testing.T) {
	ca, host := newSigner(t), newSigner(t)
	cert := &ssh.Certificate{Key: host.PublicKey(), CertType: ssh.HostCert, ValidPrincipals: []string{"127.0.0.1"}, ValidBefore: ssh.CertTimeInfinity}
	if err := cert.SignCert(rand.Reader, ca); err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewCertSigner(cert, host)
	if err != nil {
		t.Fatal(err)
	}
	s := newServer(t, func(c *ssh.ServerConfig) { c.AddHostKey(signer) })
	key := func(k ssh.PublicKey) string { return strings.TrimSuffix(string(ssh.MarshalAuthorizedKey(k)), "\n") }
	authority := "@cert-authority [127.0.0.1]:* " + key(ca.PublicKey()) + "\n"
	otherCA := "@cert-authority * " + key(newSigner(t).PublicKey()) + "\n"
	for _, tt := range []struct {
		name, known string
		ok, revoked bool
	}{
		{"authority", authority, true, false},
		{"other authority", otherCA, false, false},
		{"other authority, key known", otherCA + "[127.0.0.1]:* " + key(host.PublicKey()) + "\n", true, false},
		{"no authority, other key known", knownhosts.Line([]string{s.addr}, s.hostKey) + "\n", false, false}, // a certificate is preferred, as in ssh
		{"authority revoked", authority + "@revoked * " + key(ca.PublicKey()) + "\n", false, true},
		{"certified key revoked", authority + "@revoked * " + key(host.PublicKey()) + "\n", false, true},
		{"the authority is not a host key", "@cert-authority * " + key(s.hostKey) + "\n", false, false},
	} {
		h := s.host()
		h.UserKnownHostsFiles = []string{writeFile(t, "known_hosts", tt.known)}
		err := newTunnel(t, h, Options{}).Connect(t.Context())
		if tt.ok && err != nil {
			t.Errorf("%s: %v", tt.name, err)
		} else if !tt.ok {
			if e := wantAs[*HostKeyError](t, err); e.Revoked != tt.revoked {
				t.Errorf("%s: %v", tt.name, e)
			}
		}
	}
	h := s.host()
	h.CASignatureAlgorithms = "rsa-*" // not what the authority signs with
	h.UserKnownHostsFiles = []string{writeFile(t, "known_hosts", authority)}
	if e := wantAs[*HostKeyError](t, newTunnel(t, h, Options{}).Connect(t.Context())); e.Err == nil || !strings.Contains(e.Error(), "CASignatureAlgorithms") {
		t.Errorf("got %v", e)
	}
	h = s.host()
	h.HostName = "localhost" // not what the certificate is for
	h.UserKnownHostsFiles = []string{writeFile(t, "known_hosts", strings.Replace(authority, "[127.0.0.1]:*", "*", 1))}
	h.AddressFamily = "inet"
	if e := wantAs[*HostKeyError](t, newTunnel(t, h, Options{}).Connect(t.Context())); e.Err == nil {
		t.Errorf("got %v", e)
	}
}

func TestRekeyingKeepsTheKey(t *testing.T) {
	key := newSigner(t).PublicKey()
	h := hostAt(t, "192.0.2.1:22")
	h.UserKnownHostsFiles = []string{writeFile(t, "known_hosts", knownhosts.Line([]string{"192.0.2.1"}, key)+"\n")}
	c := checkFor(t, h)
	if err := errors.Join(c.check("", nil, key), c.check("", nil, key)); err != nil {
		t.Error(err)
	}
	wantAs[*HostKeyError](t, c.check("", nil, newSigner(t).PublicKey()))
}

// ssh-keygen -F knows what a line matches.
func TestKnownHostsAgainstOpenSSH(t *testing.T) {
	keygen := program(t, "ssh-keygen")
	key := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(newSigner(t).PublicKey())))
	for _, pattern := range []string{
		"host", "HOST", "h?st", "*", "h*t", "ho*st*", "*x", "host,other", "!host,*", "*,!host", "!x,*", "[host]:22", "[host]:2222",
		"[*]:2222", "[h?st]:2*", "[host]", "host:2222", knownhosts.HashHostname("host"), knownhosts.HashHostname("[host]:2222"),
		"|1|x|y", "|2|AAAA|AAAA",
	} {
		file := writeFile(t, "known_hosts", "# comment\n"+pattern+" "+key+"\n")
		known := readKnownHosts(slog.New(slog.DiscardHandler), []string{file})
		for _, name := range []string{"host", "[host]:2222", "Host", "other"} {
			out, _ := exec.Command(keygen, "-F", name, "-f", file).Output()
			got, want := len(known.about(name)) > 0, len(out) > 0
			if name == "Host" {
				want = len(known.about("host")) > 0 // ssh makes names small before it looks
			}
			if got != want {
				t.Errorf("%q matches %q: %v, ssh-keygen says %v", pattern, name, got, want)
			}
		}
	}
}

func FuzzKnownHosts(f *testing.F) {
	key := "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGPKdi1SMHyvzAJvsF8L3c4VOi9gfPWY1sRTBaPiMEqk"
	f.Add([]byte("# c\r\nhost,!*.x,[a]:2 "+key+" comment\n\njunk\n@revoked * "+key+"\n|1|AAAA|AAAA "+key), "host")
	f.Add([]byte("@cert-authority h*st*? "+key+"\nhost 1024 35 99"), "[host]:2222")
	f.Fuzz(func(t *testing.T, data []byte, name string) {
		lines, bad := parseKnownHosts(data, "f")
		lines.about(name, "host").order([]string{"ssh-ed25519-cert-v01@openssh.com", "rsa-sha2-512"})
		last := 0
		for _, l := range lines {
			if l.line <= last || l.line > strings.Count(string(data), "\n")+1 {
				t.Fatalf("line %d after %d", l.line, last)
			}
			last = l.line
			l.match(name)
			// a line that was read can be read alone
			text := strings.Split(string(data), "\n")[l.line-1]
			if again, errs := parseKnownHosts([]byte(text), "f"); len(again) != 1 || errs != nil {
				t.Fatalf("%q: %v", text, errs)
			}
		}
		if len(lines)+len(bad) > strings.Count(string(data), "\n")+1 {
			t.Fatal("more lines than there are")
		}
	})
}

// Host keys of a server that is reached by way of another are checked, whatever
// its address is as seen from there; and so are those of a server with a HostKeyAlias.
func TestNoHostAuthenticationForLocalhost(t *testing.T) {
	s := newServer(t)
	h := s.host()
	h.UserKnownHostsFiles, h.NoHostAuthenticationForLocalhost = nil, true
	if err := newTunnel(t, h, Options{}).Connect(t.Context()); err != nil {
		t.Error(err)
	}
	behind := s.host()
	behind.UserKnownHostsFiles, behind.NoHostAuthenticationForLocalhost = nil, true
	behind.HostKeyAlias = "behind"
	wantAs[*HostKeyError](t, newTunnel(t, behind, Options{}).Connect(t.Context()))
	through := s.host()
	through.UserKnownHostsFiles, through.NoHostAuthenticationForLocalhost = nil, true
	through.ProxyJump = []string{"hop"}
	jump := func(string) (*sshconf.Host, error) { return h, nil }
	wantAs[*HostKeyError](t, newTunnel(t, through, Options{Jump: jump}).Connect(t.Context()))
}

func TestHostKeyWords(t *testing.T) {
	s := newServer(t)
	rsa := rsaSigner(t)
	old := newServer(t, func(c *ssh.ServerConfig) { *c = ssh.ServerConfig{NoClientAuth: true}; c.AddHostKey(rsa) })
	line := knownhosts.Line([]string{s.addr}, rsa.PublicKey()) + "\n"
	for _, tt := range []struct {
		name string
		edit func(*sshconf.Host)
		want string
	}{
		{"other type", func(h *sshconf.Host) { h.UserKnownHostsFiles = []string{writeFile(t, "known_hosts", line)} }, "is not the one in FILE:1, which is ssh-rsa"},
		{"no", func(h *sshconf.Host) {
			h.UserKnownHostsFiles, h.StrictHostKeyChecking = []string{writeFile(t, "known_hosts", line)}, "no"
		}, "a changed key is refused, StrictHostKeyChecking no or not"},
		{"too short", func(h *sshconf.Host) {
			*h = *old.host()
			h.RequiredRSASize = 3000
		}, "it has 2048 bits, and RequiredRSASize is 3000"},
		{"batch", func(h *sshconf.Host) {
			h.UserKnownHostsFiles, h.StrictHostKeyChecking, h.BatchMode = []string{"/missing"}, "ask", true
		}, "is unknown"},
		{"odd name", func(h *sshconf.Host) {
			h.HostName, h.UserKnownHostsFiles, h.StrictHostKeyChecking = "127.0.0.1?", []string{"/missing"}, "no"
		}, "no such name can be kept in known_hosts"},
		{"none of the algorithms", func(h *sshconf.Host) { h.HostKeyAlgorithms = "ssh-odd" }, "ssh-odd"},
	} {
		h := s.host()
		tt.edit(h)
		p := &script{}
		var err error
		if tt.name == "odd name" {
			err = checkFor(t, h, Options{Prompter: p}).check("", nil, s.hostKey)
		} else {
			err = newTunnel(t, h, Options{Prompter: p}).Connect(t.Context())
		}
		want := tt.want
		if len(h.UserKnownHostsFiles) > 0 {
			want = strings.Replace(want, "FILE", h.UserKnownHostsFiles[0], 1)
		}
		if err == nil || !strings.Contains(err.Error(), want) || len(p.asked) > 0 {
			t.Errorf("%s: got %v, asked %q", tt.name, err, p.asked)
		}
	}
}

// Who is asked is told where else the key is known.
func TestHostKeyElsewhere(t *testing.T) {
	s := newServer(t)
	key := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(s.hostKey))) + "\n"
	other := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(newSigner(t).PublicKey()))) + "\n"
	for _, tt := range []struct{ known, want, not string }{
		{"backup,10.0.0.9 " + key + "another " + other + knownhosts.HashHostname("x") + " " + key, "    backup,10.0.0.9 (FILE:1)\n    a name that is hashed (FILE:3)\n", "another"},
		{strings.Repeat("many "+key, 10), "    and 2 more\n", "FILE:9"},
		{"another " + other, "fingerprint\n", "other names"},
	} {
		h := s.host()
		h.StrictHostKeyChecking = "ask"
		file := writeFile(t, "known_hosts", tt.known)
		h.UserKnownHostsFiles = []string{file}
		p := &script{answers: []string{"yes"}}
		if err := newTunnel(t, h, Options{Prompter: p}).Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		in := func(s string) bool { return strings.Contains(p.asked[0], strings.ReplaceAll(s, "FILE", file)) }
		if !in(tt.want) || in(tt.not) {
			t.Errorf("asked\n%s", p.asked[0])
		}
	}
}

// The order is ssh's, and another one only where the configuration has none.
func TestHostKeyOrder(t *testing.T) {
	h := hostAt(t, "192.0.2.1:22")
	plain := checkFor(t, h).algorithms()
	want := []string{"ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "rsa-sha2-512", "rsa-sha2-256"}
	if got := slices.DeleteFunc(slices.Clone(plain), func(a string) bool { return !slices.Contains(want, a) }); !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
	certs := slices.IndexFunc(plain, func(a string) bool { return !strings.Contains(a, certInfix) })
	if certs < 4 || slices.ContainsFunc(plain[certs:], func(a string) bool { return strings.Contains(a, certInfix) }) {
		t.Errorf("certificates are not first: %q", plain)
	}
	h.UserKnownHostsFiles = []string{writeFile(t, "known_hosts", knownhosts.Line([]string{"192.0.2.1"}, rsaSigner(t).PublicKey())+"\n")}
	for said, first := range map[sshconf.Algorithms]string{
		"": "rsa-sha2-512-cert-v01@openssh.com", "-rsa-sha2-512*": "rsa-sha2-256-cert-v01@openssh.com", "+ssh-rsa": "rsa-sha2-512-cert-v01@openssh.com",
		"^ssh-ed25519": "ssh-ed25519", "ecdsa-*,rsa-*": "ecdsa-sha2-nistp256-cert-v01@openssh.com", "none-that-is-known": "none-that-is-known",
	} {
		h.HostKeyAlgorithms = said
		if got := checkFor(t, h).algorithms(); got[0] != first {
			t.Errorf("%q: got %q, want %s first", said, got, first)
		}
	}
}

func TestRevokedHostKeys(t *testing.T) {
	s := newServer(t)
	line := string(ssh.MarshalAuthorizedKey(s.hostKey))
	for _, tt := range []struct {
		name, file string
		revoked    bool
		line       int
	}{
		{"list", "# gone\n\n" + line, true, 3},
		{"KRL", krlFile(krlSection(krlKeys, sshString(string(s.hostKey.Marshal())))), true, 0},
		{"malformed KRL", krlMagic, false, 0},
		{"malformed list", "junk\n" + line, false, 0},
	} {
		h := s.host()
		h.RevokedHostKeys = writeFile(t, "revoked", tt.file)
		e := wantAs[*HostKeyError](t, newTunnel(t, h, Options{}).Connect(t.Context()))
		if e.Revoked != tt.revoked || e.Line != tt.line || tt.revoked != (e.Err == nil) || (e.File != "") != tt.revoked || !strings.Contains(e.Error(), h.RevokedHostKeys) {
			t.Errorf("%s: got %+v: %v", tt.name, e, e)
		}
	}
	h := s.host()
	h.RevokedHostKeys = filepath.Join(t.TempDir(), "missing")
	if e := wantAs[*HostKeyError](t, newTunnel(t, h, Options{}).Connect(t.Context())); !errors.Is(e, os.ErrNotExist) {
		t.Errorf("a missing file: %v", e)
	}
}
