//go:build linux

package test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// An authority signs the certificates of FTP servers.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	file string // its own certificate, in PEM form
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{
		cert: &x509.Certificate{
			Subject:               pkix.Name{CommonName: "Test authority"},
			IsCA:                  true,
			BasicConstraintsValid: true,
		},
		key:  newECKey(t),
		file: filepath.Join(t.TempDir(), "ca.pem"),
	}
	der := a.sign(t, a.cert, &a.key.PublicKey)
	var err error
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	writeFile(t, a.file, pemOf("CERTIFICATE", der))
	return a
}

func newECKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func pemOf(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func (a *authority) sign(t *testing.T, cert *x509.Certificate, key *ecdsa.PublicKey) []byte {
	t.Helper()
	cert.SerialNumber = big.NewInt(time.Now().UnixNano())
	cert.NotBefore = time.Now().Add(-time.Hour)
	cert.NotAfter = time.Now().Add(24 * time.Hour)
	der, err := x509.CreateCertificate(rand.Reader, cert, a.cert, key, a.key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// issue makes a key and a certificate for names and addresses, in one file in dir.
func (a *authority) issue(t *testing.T, dir string, names ...string) (file string) {
	t.Helper()
	cert := &x509.Certificate{Subject: pkix.Name{CommonName: names[0]}}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			cert.IPAddresses = append(cert.IPAddresses, ip)
		} else {
			cert.DNSNames = append(cert.DNSNames, name)
		}
	}
	key := newECKey(t)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(dir, "cert.pem")
	text := append(pemOf("PRIVATE KEY", der), pemOf("CERTIFICATE", a.sign(t, cert, &key.PublicKey))...)
	writeFile(t, file, text)
	return file
}

// tlsFTPDs are FTP servers that let nobody in without TLS, nor data pass but for one. Those
// that can want data connections to resume the control connection's session.
var tlsFTPDs = []struct {
	name  string
	start func(t *testing.T, s *ftpServer, cert string, launcher ...string)
}{
	{"vsftpd", func(t *testing.T, s *ftpServer, cert string, launcher ...string) {
		// a user of the system's: anonymous ones are not asked for as much
		s.user, s.password = ftpUser, ftpPassword
		account := fmt.Sprintf("%d:%d::%s:/bin/sh", ftpUID, ftpUID, s.root)
		launcher = append(launcher, withAccount(t, s.dir, ftpUser, account, pamOnce)...)
		startVsftpdWith(t, s, launcher,
			"anonymous_enable=NO", "local_enable=YES", "pam_service_name=sshd", "chroot_local_user=YES", "local_umask=022",
			"ssl_enable=YES", "rsa_cert_file="+cert, "require_ssl_reuse=YES", "strict_ssl_read_eof=YES", "ssl_ciphers=HIGH",
			"force_local_logins_ssl=YES", "force_local_data_ssl=YES")
		s.user, s.password = ftpUser, ftpPassword
	}},
	{"ProFTPD", func(t *testing.T, s *ftpServer, cert string, launcher ...string) {
		startProFTPDWith(t, s, launcher, tlsOn(t, cert, "on")...)
	}},
	{"Pure-FTPd", func(t *testing.T, s *ftpServer, cert string, launcher ...string) {
		startPureFTPdWith(t, s, launcher, "-Y", "2", "-2", cert) // takes data in plain as well
	}},
	{"Pure-FTPd-data", func(t *testing.T, s *ftpServer, cert string, launcher ...string) {
		startPureFTPdWith(t, s, launcher, "-Y", "3", "-2", cert)
	}},
}

// TestTLS lets clients that speak plain FTP do everything with servers that insist on
// TLS, on the control connection and for data.
func TestTLS(t *testing.T) {
	ca := newAuthority(t)
	ssh := startSSHD(t)
	for _, ftpd := range tlsFTPDs {
		for _, mode := range modes {
			if mode.sshd != "" {
				continue
			}
			server := newFTPServer(t, mode.ip)
			ftpd.start(t, server, ca.issue(t, server.dir, mode.ip))
			flags := append(mode.flags, "--tls", "upstream", "--tls-ca", ca.file, "-L", "0:"+server.addr())
			clients := []string{"curl", "lftp", "ftplib"}
			if mode.name != "passive" { // who connects matters there, and not who asks
				clients = clients[2:]
			}
			for _, name := range clients {
				t.Run(ftpd.name+"/"+name+"/"+mode.name, func(t *testing.T) {
					t.Parallel()
					p := startPasvport(t, ssh, flags...)
					folder := strings.Join([]string{ftpd.name, name, mode.name}, "-")
					newCell(t, server, p.addrs[0], folder, mode.active).run(clientNamed(t, name))
				})
			}
		}
	}
}

// onlyTLS starts a program whose OpenSSL speaks one version of TLS.
func onlyTLS(t *testing.T, version string) (launcher []string) {
	t.Helper()
	config := filepath.Join(t.TempDir(), "openssl.cnf")
	writeFile(t, config, fmt.Appendf(nil, `openssl_conf = init
[init]
ssl_conf = ssl
[ssl]
system_default = tls
[tls]
MinProtocol = TLSv%s
MaxProtocol = TLSv%[1]s
`, version))
	return []string{program(t, "env"), "OPENSSL_CONF=" + config}
}

// TestTLSVersions has many transfers in one session with each version of TLS: data
// connections resume the control connection's session in another way.
func TestTLSVersions(t *testing.T) {
	ca := newAuthority(t)
	ssh := startSSHD(t)
	for _, ftpd := range tlsFTPDs {
		for _, version := range []string{"1.2", "1.3"} {
			t.Run(ftpd.name+"/"+version, func(t *testing.T) {
				t.Parallel()
				server := newFTPServer(t, elsewhere)
				ftpd.start(t, server, ca.issue(t, server.dir, server.ip), onlyTLS(t, version)...)
				p := startPasvport(t, ssh, "--tls", "upstream", "--tls-ca", ca.file, "-L", "0:"+server.addr())
				newCell(t, server, p.addrs[0], "files", false).run(clientNamed(t, "ftplib"))
				p.waitFor(t, p.stderr, `TLS with the server.*version="TLS `+version)
			})
		}
	}
}

// TestTLSLarge has files that fill every buffer on the way, both ways.
func TestTLSLarge(t *testing.T) {
	ca := newAuthority(t)
	ssh := startSSHD(t)
	content := noise(30 << 20)
	for _, ftpd := range tlsFTPDs {
		t.Run(ftpd.name, func(t *testing.T) {
			t.Parallel()
			server := newFTPServer(t, elsewhere)
			ftpd.start(t, server, ca.issue(t, server.dir, server.ip))
			p := startPasvport(t, ssh, "--tls", "upstream", "--tls-ca", ca.file, "-L", "0:"+server.addr())
			c := newCell(t, server, p.addrs[0], "cell", false)
			c.serve("down.bin", content)
			c.hold("up.bin", content)
			c.must(c.command("curl", "-sS", "-u", c.user+":"+c.password, "-O", c.url("down.bin")))
			c.checkLocal("down.bin", content)
			c.must(c.command("curl", "-sS", "-u", c.user+":"+c.password, "-T", "up.bin", c.url("")))
			c.checkRemote("up.bin", content)
		})
	}
}

// TestTLSCutOff: TLS tells a server that asks for it what SSH cannot, that the end of
// an upload was none.
func TestTLSCutOff(t *testing.T) {
	ca := newAuthority(t)
	for name, cut := range map[string]func(t *testing.T, ssh *sshd, curl *process){
		"client killed": func(t *testing.T, _ *sshd, curl *process) { curl.kill() },
		"sshd killed":   func(t *testing.T, ssh *sshd, _ *process) { loseSSH(t, ssh) },
	} {
		t.Run(strings.ReplaceAll(name, " ", "-"), func(t *testing.T) {
			t.Parallel()
			ssh := startSSHD(t)
			server := newFTPServer(t, elsewhere)
			tlsFTPDs[0].start(t, server, ca.issue(t, server.dir, server.ip)) // vsftpd
			p := startPasvport(t, ssh, "--tls", "upstream", "--tls-ca", ca.file, "-L", "0:"+server.addr())
			c := newCell(t, server, p.addrs[0], "cell", false)
			c.hold("big.bin", noise(64<<20))
			curl := startProcess(t, c.command("curl", "-sS", "--limit-rate", "4M", "-u", c.user+":"+c.password, "-T", "big.bin", c.url("")))
			eventually(t, "a part of the file arrives", func() bool { return sizeOf(filepath.Join(c.remote, "big.bin")) > 1<<20 })
			cut(t, ssh, curl)
			if curl.wait(t) == 0 {
				t.Error("curl takes the upload for complete")
			}
			eventually(t, "vsftpd calls the upload failed", func() bool {
				log := readFile(t, server.path("log"))
				if strings.Contains(log, "OK UPLOAD") {
					t.Fatalf("half a file is taken for a whole one:\n%s", log)
				}
				return strings.Contains(log, "FAIL UPLOAD")
			})
		})
	}
}

// TestTLSCertificates looks which certificates are taken, and what is said of others.
func TestTLSCertificates(t *testing.T) {
	ca, other := newAuthority(t), newAuthority(t)
	ssh := startSSHD(t)
	server := newFTPServer(t, "127.0.0.1")
	startProFTPDWith(t, server, nil, tlsOn(t, ca.issue(t, server.dir, "127.0.0.1", "ftp.example.com", "localhost"), "on")...)
	named := newFTPServer(t, elsewhere)
	startProFTPDWith(t, named, nil, tlsOn(t, ca.issue(t, named.dir, "ftp.example.com"), "on")...)
	none := startProFTPD(t, elsewhere)
	for _, test := range []struct {
		name  string
		ftp   string
		flags []string
		says  []string // on standard error, if it fails
	}{
		{"address", server.addr(), []string{"--tls-ca", ca.file}, nil},
		{"name as given to -L", "localhost:" + server.portText(), []string{"--tls-ca", ca.file}, nil},
		{"another name of its", server.addr(), []string{"--tls-ca", ca.file, "--tls-server-name", "ftp.example.com"}, nil},
		{"other name", server.addr(), []string{"--tls-ca", ca.file, "--tls-server-name", "ftp.example.org"},
			[]string{"error: no TLS with " + server.addr() + ": ", "hint: the certificate is for ftp.example.com, localhost, 127.0.0.1; --tls-server-name NAME"}},
		{"name for an address", named.addr(), []string{"--tls-ca", ca.file}, []string{"hint: the certificate is for ftp.example.com; --tls-server-name NAME"}},
		{"name given", named.addr(), []string{"--tls-ca", ca.file, "--tls-server-name", "ftp.example.com"}, nil},
		{"other authority", server.addr(), []string{"--tls-ca", other.file}, []string{"signed by unknown authority", "hint: --tls-ca FILE", "hint: --tls-insecure"}},
		{"the system's authorities", server.addr(), nil, []string{"signed by unknown authority", "hint: --tls-ca FILE", "hint: --tls-insecure"}},
		{"any certificate", named.addr(), []string{"--tls-insecure"}, nil},
		{"no TLS", none.addr(), []string{"--tls-insecure"}, []string{"it answers AUTH TLS with \"500 AUTH not understood\"", "hint: leave out --tls upstream"}},
	} {
		t.Run(strings.ReplaceAll(test.name, " ", "-"), func(t *testing.T) {
			t.Parallel()
			args := append([]string{"exec", "--tls", "upstream", "-L", "0:" + test.ftp}, test.flags...)
			r := run(t, pasvportCmd(t, ssh, append(args, "testhost", "--", "curl", "-sS", "-u", server.user+":"+server.password, "{}/")...))
			if code := map[bool]int{true: 0, false: 1}[len(test.says) == 0]; r.code != code {
				t.Errorf("exit code %d, want %d", r.code, code)
			}
			for _, what := range test.says {
				if !strings.Contains(r.stderr, what) {
					t.Errorf("standard error has no %q", what)
				}
			}
			if told := strings.Contains(r.stderr, `level=WARN msg="--tls-insecure`); told != slices.Contains(args, "--tls-insecure") {
				t.Errorf("told that no certificate is verified: %v", told)
			}
			if t.Failed() {
				t.Log(r)
			}
		})
	}
}

// TestTLSRefused: clients that would like TLS go on without, those that want it do not.
// The server has it, and says so to who asks it himself.
func TestTLSRefused(t *testing.T) {
	ca := newAuthority(t)
	ssh := startSSHD(t)
	server := newFTPServer(t, elsewhere)
	startProFTPDWith(t, server, nil, tlsOn(t, ca.issue(t, server.dir, server.ip), "off")...)
	p := startPasvport(t, ssh, "-L", "0:"+server.addr())
	c := newCell(t, server, p.addrs[0], "cell", false)
	c.serve("a.bin", noise(1000))
	for addr, offers := range map[string]bool{server.addr(): true, p.addrs[0]: false} {
		conn := login(t, server, addr)
		features := expect(t, conn, "FEAT", 211)
		for _, name := range []string{"AUTH", "PBSZ", "PROT", "CCC"} {
			if got := strings.Contains(features, name); got != offers {
				t.Errorf("%s offers %s: %v, want %v:\n%s", addr, name, got, offers, features)
			}
		}
		conn.Close()
	}
	curl := []string{"curl", "-sS", "-v", "-u", c.user + ":" + c.password, "-o", "got", c.url("a.bin")}
	lftp := func(setting string) []string {
		return []string{"lftp", "--norc", "-d", "-c", "set net:max-retries 1; set xfer:clobber yes; " + setting + "; open -p " + c.port +
			" -u " + c.user + "," + c.password + " " + c.host + "; get " + c.path + "/a.bin -o got"}
	}
	for _, test := range []struct {
		name    string
		command []string
		works   bool
	}{
		{"curl --ssl", append(curl, "--ssl"), true},
		{"curl --ssl-reqd", append(curl, "--ssl-reqd"), false},
		{"lftp", lftp(""), true},
		{"lftp ssl-force", lftp("set ftp:ssl-force yes"), false},
	} {
		t.Run(strings.ReplaceAll(test.name, " ", "-"), func(t *testing.T) {
			os.Remove(filepath.Join(c.local, "got"))
			r := run(t, c.command(test.command[0], test.command[1:]...))
			if (r.code == 0) != test.works || !strings.Contains(r.stdout+r.stderr, "534 ") {
				t.Errorf("it works: %v, want %v, after a 534: %v", r.code == 0, test.works, r)
			}
			if test.works {
				checkFile(t, filepath.Join(c.local, "got"), c.files["a.bin"])
			}
		})
	}
}

// tlsOn is for ProFTPD; required says on what it insists.
func tlsOn(t *testing.T, cert, required string) []string {
	t.Helper()
	return []string{
		"ModulePath " + unpacked(t, "usr/lib/proftpd"), "LoadModule mod_tls.c",
		"TLSEngine on", "TLSRequired " + required,
		"TLSRSACertificateFile " + cert, "TLSRSACertificateKeyFile " + cert,
	}
}

// TestTLSWanted: who meets a server that insists on TLS is told of the mend, and check
// walks the whole way with it.
func TestTLSWanted(t *testing.T) {
	ca := newAuthority(t)
	ssh := startSSHD(t)
	for _, ftpd := range tlsFTPDs {
		t.Run(ftpd.name, func(t *testing.T) {
			t.Parallel()
			server := newFTPServer(t, "127.0.0.1")
			ftpd.start(t, server, ca.issue(t, server.dir, server.ip))
			p := startPasvport(t, ssh, "-L", "0:"+server.addr())
			c := newCell(t, server, p.addrs[0], "cell", false)
			if r := run(t, c.command("curl", "-sS", "-u", c.user+":"+c.password, c.url(""))); r.code == 0 {
				t.Errorf("the server lets curl in without TLS: %v", r)
			}
			p.waitFor(t, p.stderr, `level=WARN msg="the FTP server insists on TLS".*--tls upstream`)

			check := func(flags ...string) result {
				args := append([]string{"check", "--ftp-user", server.user, "-L", "0:" + server.addr()}, flags...)
				cmd := pasvportCmd(t, ssh, append(args, "testhost")...)
				cmd.Env = append(os.Environ(), "PASVPORT_FTP_PASSWORD="+server.password)
				return run(t, cmd)
			}
			if r := check(); r.code != 1 || !strings.Contains(r.stdout, "FAIL  FTP login") || !strings.Contains(r.stdout, "--tls upstream") {
				t.Errorf("check names no mend: %v", r)
			}
			if r := check("--tls", "upstream", "--tls-ca", ca.file); r.code != 0 || !strings.Contains(r.stdout, "ok    active FTP") {
				t.Errorf("with TLS all should be well: %v", r)
			}
			if r := check("--tls", "upstream"); r.code != 1 || !strings.Contains(r.stdout, "FAIL  FTP banner") || !strings.Contains(r.stdout, "hint: --tls-ca") {
				t.Errorf("check takes a certificate of nobody's: %v", r)
			}
		})
	}
}
