package config

import (
	"strings"
	"testing"
	"time"
)

// TestCheck looks for what cannot be, in the words of a file and of the command line.
func TestCheck(t *testing.T) {
	negative := Duration(-time.Second)
	for _, test := range []struct {
		t          Tunnel
		key        Key
		file, flag string
	}{
		{Tunnel{}, "", "", ""},
		{Tunnel{Data: "auto", TLS: "upstream", TLSCA: "ca.pem", TLSServerName: "ftp", IPv4: true, Port: "ssh", Listen: []string{"0", "name.invalid:2121"}}, "", "", ""},
		{Tunnel{Gateway: true, Listen: []string{"*:2121"}}, "", "", ""},
		{Tunnel{Data: "active", Server: "localhost"}, "", "", ""},
		{Tunnel{Data: "both"}, "data", `data "both" is none of auto, passive and active`, `--data "both" is none of`},
		{Tunnel{TLS: "yes", TLSCA: "ca.pem"}, "tls", `tls "yes" is none of refuse and upstream`, `--tls "yes" is none of`},
		{Tunnel{TLSCA: "ca.pem"}, "tls_ca", "tls_ca is for tls upstream", "--tls-ca is for --tls upstream"},
		{Tunnel{TLS: "refuse", TLSServerName: "ftp"}, "tls_server_name", "tls_server_name is for tls upstream", "--tls-server-name is for --tls upstream"},
		{Tunnel{TLSInsecure: true}, "tls_insecure", "tls_insecure is for tls upstream", "--tls-insecure is for"},
		{Tunnel{TLS: "upstream", TLSInsecure: true, TLSCA: "ca.pem"}, "tls_insecure", "tls_insecure and tls_ca exclude each other", "--tls-insecure and --tls-ca exclude"},
		{Tunnel{Grace: &negative}, "grace", "grace -1s is negative", "--grace -1s is negative"},
		{Tunnel{IPv4: true, IPv6: true}, "ipv6", "ipv4 and ipv6 exclude each other", "--ipv4 and --ipv6"},
		{Tunnel{Connections: -1}, "connections", "connections -1 is not from 1 to 16", "--connections -1"},
		{Tunnel{Connections: 17}, "connections", "connections 17 is not from 1 to 16", "--connections 17"},
		{Tunnel{Verbose: -1}, "verbose", "verbose -1 is negative", "--verbose -1"},
		{Tunnel{Port: "0"}, "port", `port: bad port "0"`, "--port: bad port"},
		{Tunnel{Port: "65536"}, "port", `port: bad port "65536"`, "--port: bad port"},
		{Tunnel{Listen: []string{"0", "x:y"}}, "listen", `listen x:y: "y" is no port`, "--listen x:y: "},
		{Tunnel{Listen: []string{"*:0"}}, "listen", "listen *:0 listens beyond this machine", "--listen *:0 "},
		{Tunnel{Listen: []string{"10.0.0.1:0"}}, "listen", "listen 10.0.0.1:0 listens beyond this machine", "--listen 10.0.0.1:0 "},
		{Tunnel{Server: "ftp:x"}, "server", `server "ftp:x" is no host[:port]`, "--server"},
		{Tunnel{Data: "active", Server: "10.0.0.5"}, "data", "data active cannot work with 10.0.0.5:21", "--data active cannot work with"},
		{Tunnel{Data: "active", Listen: []string{"0:10.0.0.5:2100"}}, "data", "data active cannot work with 10.0.0.5:2100", "--data active cannot work with"},
	} {
		_, broken := test.t.forwards(DefaultBind, Forward.maybeOnLoopback)
		broken = append(broken, test.t.broken()...)
		if len(broken) == 0 {
			if test.file != "" {
				t.Errorf("%+v: nothing is found; want %q", test.t, test.file)
			}
			continue
		}
		e := broken[0]
		flag := e.Text.Say(func(k Key) string { return "--" + strings.ReplaceAll(string(k), "_", "-") })
		if e.Key != test.key || e.Error() != test.file || len(broken) != 1 {
			t.Errorf("%+v: got %s: %v (%d); want %s: %s", test.t, e.Key, e, len(broken), test.key, test.file)
		}
		if !strings.HasPrefix(flag, test.flag) {
			t.Errorf("%+v: got %q, want %q", test.t, flag, test.flag)
		}
	}
}

// TestForwards fills in what Listen leaves out.
func TestForwards(t *testing.T) {
	for _, test := range []struct {
		t    Tunnel
		want []Forward
	}{
		{Tunnel{}, []Forward{{"127.0.0.1:0", "127.0.0.1:21"}}},
		{Tunnel{Server: "[::1]:2100"}, []Forward{{"127.0.0.1:0", "[::1]:2100"}}},
		{Tunnel{Server: "ftp", Listen: []string{"1", "2:other"}}, []Forward{{"127.0.0.1:1", "ftp:21"}, {"127.0.0.1:2", "other:21"}}},
	} {
		got, err := test.t.Forwards("127.0.0.1:0")
		if err != nil || len(got) != len(test.want) {
			t.Errorf("%+v: got %v, %v", test.t, got, err)
			continue
		}
		for i := range got {
			if got[i] != test.want[i] {
				t.Errorf("%+v: got %v, want %v", test.t, got, test.want)
			}
		}
	}
}
