package ftpmux

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/netip"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// A certificate for "ftp.test" and 127.0.0.1, valid at synctest's time and ours.
var certificate = sync.OnceValue(func() tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		panic(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
})

var template = &x509.Certificate{
	SerialNumber: big.NewInt(1),
	Subject:      pkix.Name{CommonName: "ftp.test"},
	DNSNames:     []string{"ftp.test"},
	IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
	NotBefore:    time.Unix(0, 0),
	NotAfter:     time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC),
}

var tlsServer = sync.OnceValue(func() *tls.Config { // one, so that sessions can be resumed
	return &tls.Config{Certificates: []tls.Certificate{certificate()}}
})

func tlsClient() *tls.Config {
	roots := x509.NewCertPool()
	roots.AddCert(certificate().Leaf)
	return &tls.Config{RootCAs: roots}
}

// handshake is a TLS server on *c, which becomes what comes through. An end below
// TLS that TLS was not told of becomes a reset.
func handshake(c **memConn) error { return handshakeAs(tlsServer(), c) }

func handshakeAs(config *tls.Config, c **memConn) error {
	below := *c
	server := tls.Server(cuttable{below}, config)
	if err := server.Handshake(); err != nil {
		return err
	}
	inside, outside := memPipe(below.local, below.remote)
	*c = inside
	go func() { // what comes
		if _, err := io.Copy(outside, server); err != nil {
			outside.out.mu.Lock()
			outside.out.end = syscall.ECONNRESET // what has come stays
			outside.out.mu.Unlock()
		}
		outside.CloseWrite()
	}()
	go func() { // what goes
		if _, err := io.Copy(server, outside); err == nil {
			server.CloseWrite()
		}
		below.CloseWrite()
	}()
	return nil
}

// cuttable tells the end of the stream from TLS's own.
type cuttable struct{ net.Conn }

func (c cuttable) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if err == io.EOF {
		err = errors.New("cut off")
	}
	return n, err
}

// TestBeforeTLS: what a server says in plain makes a client's session or ends it, and
// nothing of the client's ever goes out in plain.
func TestBeforeTLS(t *testing.T) {
	for _, tt := range []struct {
		name   string
		says   []string // the first at once, each of the others after what it got
		asked  bool     // for TLS
		client string
		after  time.Duration
	}{
		{"more than a greeting", []string{"220 ready\r\n230 you are in\r\n"}, false,
			"421 no TLS with 127.0.0.1:21: it sends more than its greeting before it is asked anything, as if somebody had tampered with the connection\r\n", 0},
		{"AUTH is refused", []string{"220 ready\r\n", "500-what\r\n500 no AUTH here\r\n"}, true,
			"421 no TLS with 127.0.0.1:21: it answers AUTH TLS with \"500 no AUTH here\"\r\n", 0},
		{"AUTH needs more", []string{"220 ready\r\n", "334 more\r\n"}, true,
			"421 no TLS with 127.0.0.1:21: it answers AUTH TLS with \"334 more\"\r\n", 0},
		{"more than a reply to AUTH", []string{"220 ready\r\n", "234 go on\r\n230 you are in\r\n"}, true,
			"421 no TLS with 127.0.0.1:21: bytes in plain came behind its reply to AUTH TLS, as if somebody had tampered with the connection\r\n", 0},
		{"no TLS after all", []string{"220 ready\r\n", "234 go on\r\n", "230 you are in\r\n"}, true,
			"421 no TLS with 127.0.0.1:21: tls: first record does not look like a TLS handshake\r\n", 0},
		{"no reply to AUTH", []string{"220 ready\r\n", ""}, true,
			"421 no TLS with 127.0.0.1:21: nothing came of AUTH TLS within 20s\r\n", tlsTimeout},
		{"no handshake", []string{"220 ready\r\n", "234 go on\r\n", ""}, true,
			"421 no TLS with 127.0.0.1:21: nothing came of AUTH TLS within 20s\r\n", tlsTimeout},
		{"turned away", []string{"421-too many\r\n421 users\r\n"}, false, "421-too many\r\n421 users\r\n", 0},
		{"later", []string{"120 wait\r\n", "421 no\r\n"}, false, "120 wait\r\n421 no\r\n", 0},
		{"no FTP", []string{"SSH-2.0-OpenSSH_9.2p1\r\n"}, false,
			"421 127.0.0.1:21 does not speak FTP but SSH: it greets with \"SSH-2.0-OpenSSH_9.2p1\"\r\n", 0},
	} {
		t.Run(strings.ReplaceAll(tt.name, " ", "-"), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, server, _, done := stage(t, &Mux{TLS: tlsClient()})
				fmt.Fprint(client, "USER me\r\nPASS hunter2\r\n")
				var plain string
				for _, text := range tt.says {
					fmt.Fprint(server, text)
					synctest.Wait()
					got, _ := server.in.takeAll()
					plain += got
				}
				<-time.After(tt.after)
				synctest.Wait()
				if rest, ok := strings.CutPrefix(plain, "AUTH TLS\r\n"); ok != tt.asked || rest != "" && !strings.HasPrefix(rest, "\x16\x03") {
					t.Errorf("the server got %q in plain", plain)
				}
				if got, end := client.in.takeAll(); got != tt.client || end != io.EOF {
					t.Errorf("the client got %q, %v, want %q", got, end, tt.client)
				}
				client.Close()
				<-done
			})
		})
	}
}

// TestTLSIsVerified looks what becomes of certificates.
func TestTLSIsVerified(t *testing.T) {
	own := tlsClient()
	for _, tt := range []struct {
		name   string
		config *tls.Config
		fails  any // where the error goes; nil for none
	}{
		{"good", own, nil},
		{"another name of its", &tls.Config{RootCAs: own.RootCAs, ServerName: "ftp.test"}, nil},
		{"wrong name", &tls.Config{RootCAs: own.RootCAs, ServerName: "other.test"}, new(x509.HostnameError)},
		{"unknown authority", &tls.Config{RootCAs: x509.NewCertPool()}, new(x509.UnknownAuthorityError)},
		{"not verified", &tls.Config{InsecureSkipVerify: true}, nil},
	} {
		t.Run(strings.ReplaceAll(tt.name, " ", "-"), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				far := newMemNet(60001)
				ln, _ := far.listen("127.0.0.1:21")
				m := &Mux{Remote: far, Server: "127.0.0.1:21", TLS: tt.config}
				checked := make(chan error, 1)
				go func() { checked <- m.Check(t.Context()) }()
				c, _ := ln.Accept()
				server := c.(*memConn)
				fmt.Fprint(server, "220 ready\r\n")
				synctest.Wait()
				server.in.takeAll()
				fmt.Fprint(server, "234 go on\r\n")
				shaken := handshake(&server)
				err := <-checked
				synctest.Wait()
				if got, _ := server.in.takeAll(); shaken == nil && tt.fails == nil && got != "QUIT\r\n" {
					t.Errorf("the server got %q", got)
				}
				server.Close()
				c.Close()
				_, noTLS := err.(*TLSError)
				switch {
				case tt.fails == nil && err != nil:
					t.Error(err)
				case tt.fails != nil && (!noTLS || !errors.As(err, tt.fails)):
					t.Errorf("got %v", err)
				}
			})
		})
	}
}

// TestDataResumesTheSession of the control connection, each time.
func TestDataResumesTheSession(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := &Mux{Server: "127.0.0.1:21", TLS: tlsClient()}
				m.TLS.MaxVersion = version
				connect := func(wrap func(net.Conn) net.Conn) (resumed bool) {
					near, there := memPipe(netip.MustParseAddrPort("127.0.0.1:1"), netip.MustParseAddrPort("127.0.0.1:2"))
					server := tls.Server(there, tlsServer())
					go func() {
						fmt.Fprint(server, "hello")
						server.Close()
					}()
					c := wrap(near)
					io.ReadAll(c)
					c.Close()
					return server.ConnectionState().DidResume
				}
				near, _ := memPipe(netip.MustParseAddrPort("127.0.0.1:1"), netip.MustParseAddrPort("127.0.0.1:2"))
				control, data := m.overTLS(near, m.logger())
				if connect(func(c net.Conn) net.Conn { return newTLSStream(c, control.(*tlsControl).config) }) {
					t.Error("the control connection resumed a session")
				}
				for range 3 {
					if !connect(func(c net.Conn) net.Conn { return newTLSStream(c, data) }) {
						t.Error("a data connection resumed no session")
					}
				}
			})
		})
	}
}

// TestEndOfTLS: what ends below TLS between two records is told from TLS's own end,
// also where Remote says that the server has ended it.
func TestEndOfTLS(t *testing.T) {
	lost := fmt.Errorf("SSH connection lost: %w", io.ErrUnexpectedEOF)
	for below, want := range map[error]error{io.EOF: errCut, io.ErrUnexpectedEOF: io.ErrUnexpectedEOF, lost: lost} {
		synctest.Test(t, func(t *testing.T) {
			near, there := memPipe(netip.MustParseAddrPort("127.0.0.1:1"), netip.MustParseAddrPort("127.0.0.1:2"))
			go func() {
				fmt.Fprint(tls.Server(there, tlsServer()), "all of it")
				there.Close() // without a word of TLS's
			}()
			m := &Mux{Server: "127.0.0.1:21", TLS: tlsClient()}
			_, config := m.overTLS(near, m.logger())
			got, err := io.ReadAll(newTLSStream(doubtful{near, below}, config))
			if string(got) != "all of it" || !errors.Is(err, want) {
				t.Errorf("an end by %v: got %q, %v, want %v", below, got, err, want)
			}
		})
	}
}

// TestEmptyUpload: TLS has a beginning and an end where no byte goes between.
func TestEmptyUpload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, there := memPipe(netip.MustParseAddrPort("127.0.0.1:1"), netip.MustParseAddrPort("127.0.0.1:2"))
		ended := make(chan error)
		go func() {
			got, err := io.ReadAll(tls.Server(cuttable{there}, tlsServer()))
			ended <- errors.Join(err, there.Close())
			if len(got) > 0 {
				t.Errorf("the server got %q", got)
			}
		}()
		m := &Mux{Server: "127.0.0.1:21", TLS: tlsClient()}
		_, config := m.overTLS(near, m.logger())
		if err := newTLSStream(near, config).CloseWrite(); err != nil {
			t.Error(err)
		}
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// TestServerThatDemandsTLS is named in the log, once for each refusal, with the mend.
func TestServerThatDemandsTLS(t *testing.T) {
	for reply, demands := range map[string]bool{
		"530 Non-anonymous sessions must use encryption.":                                 true, // vsftpd
		"550 SSL/TLS required on the control channel":                                     true, // ProFTPD, pyftpdlib
		"421 Sorry, cleartext sessions and weak ciphers are not accepted on this server.": true, // Pure-FTPd
		"503 Use AUTH first.":         true, // FileZilla Server
		"534 Policy requires SSL.":    true, // IIS
		"530 Login incorrect.":        false,
		"530 Authentication failed":   false,
		"331 Password for TLS please": false,
	} {
		synctest.Test(t, func(t *testing.T) {
			var log bytes.Buffer
			client, server, _, done := stage(t, &Mux{Logger: slog.New(slog.NewTextHandler(&log, nil))})
			fmt.Fprint(server, "220 ready\r\n")
			fmt.Fprint(client, "USER me\r\n")
			synctest.Wait()
			fmt.Fprintf(server, "%s\r\n", reply)
			synctest.Wait()
			client.Close()
			server.Close()
			<-done
			if got := strings.Contains(log.String(), `level=WARN msg="the FTP server insists on TLS"`); got != demands {
				t.Errorf("%s: warned: %v, want %v", reply, got, demands)
			}
		})
	}
}

// TestServerWithoutTickets is named in the log where it may be the reason why there is
// no data: ProFTPD's default, with TLS 1.2.
func TestServerWithoutTickets(t *testing.T) {
	for _, none := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			var log bytes.Buffer
			local := newMemNet(50001)
			client, server, far, done := stage(t, &Mux{TLS: tlsClient(), Local: local, Logger: slog.New(slog.NewTextHandler(&log, nil))})
			if _, err := far.listen("127.0.0.1:40021"); err != nil {
				t.Fatal(err)
			}
			fmt.Fprint(server, "220 ready\r\n")
			synctest.Wait()
			server.in.takeAll()
			fmt.Fprint(server, "234 go on\r\n")
			config := tlsServer().Clone()
			config.MaxVersion, config.SessionTicketsDisabled = tls.VersionTLS12, none
			below := server
			if err := handshakeAs(config, &server); err != nil {
				t.Fatal(err)
			}
			fmt.Fprint(client, "EPSV\r\n")
			synctest.Wait()
			fmt.Fprint(server, "200 ok\r\n200 ok\r\n229 Entering Extended Passive Mode (|||40021|)\r\n")
			synctest.Wait()
			data, err := local.DialContext(t.Context(), "tcp", "127.0.0.1:50001")
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprint(client, "RETR a\r\n")
			synctest.Wait()
			fmt.Fprint(server, "425 Unable to build data connection: Operation not permitted\r\n")
			synctest.Wait()
			data.Close()
			client.Close()
			server.Close()
			below.Close()
			<-done
			if got := strings.Contains(log.String(), "gave no ticket"); got != none {
				t.Errorf("no tickets: %v; got %s", none, &log)
			}
		})
	}
}

// FuzzBeforeTLS lets a server say anything ahead of TLS.
func FuzzBeforeTLS(f *testing.F) {
	f.Add([]byte("220-ready\r\n220 now\r\n234 go on\r\n\x16\x03\x03\x00\x02"), byte(25))
	f.Add([]byte("120 wait\r\n220 ready\r\n502 no\r\n"), byte(10))
	f.Add([]byte("220 ready\r\n234 go\r\n\x15\x03\x01\x00\x02\x02\x28"), byte(11))
	f.Fuzz(func(t *testing.T, fromServer []byte, chunk byte) {
		synctest.Test(t, func(t *testing.T) {
			client, server, _, done := stage(t, &Mux{TLS: tlsClient()})
			fmt.Fprint(client, "USER me\r\nPASS hunter2\r\n")
			for b := fromServer; len(b) > 0; {
				n := min(int(chunk)+1, len(b))
				server.Write(b[:n])
				b = b[n:]
				synctest.Wait()
			}
			<-time.After(2 * greetingTimeout)
			client.CloseWrite()
			server.CloseWrite()
			<-done // and synctest sees whether a goroutine is left
			got, _ := server.in.takeAll()
			if rest := strings.TrimPrefix(got, "AUTH TLS\r\n"); rest != "" && (len(rest) == len(got) || rest[0] != 0x16 || strings.Contains(rest, "hunter2")) {
				t.Errorf("the server got %q in plain", got)
			}
		})
	})
}
