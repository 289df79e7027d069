package config

import (
	"strings"
	"testing"
)

func TestParseForward(t *testing.T) {
	for _, test := range []struct {
		text         string
		bind, server string
	}{
		{"2121", "127.0.0.1:2121", ""},
		{"0", "127.0.0.1:0", ""},
		{"65535", "127.0.0.1:65535", ""},

		// a first field of digits alone is the port
		{"2121:10.0.0.5", "127.0.0.1:2121", "10.0.0.5:21"},
		{"2121:10.0.0.5:2100", "127.0.0.1:2121", "10.0.0.5:2100"},
		{"0:ftp.example.com", "127.0.0.1:0", "ftp.example.com:21"},
		{"2121:7zip.example.com:21", "127.0.0.1:2121", "7zip.example.com:21"},

		// else it is where to listen
		{"localhost:2121", "localhost:2121", ""},
		{"127.0.0.2:2121:10.0.0.5", "127.0.0.2:2121", "10.0.0.5:21"},
		{"127.0.0.2:2121:10.0.0.5:2100", "127.0.0.2:2121", "10.0.0.5:2100"},
		{"10.0.0.1:0:ftp:21", "10.0.0.1:0", "ftp:21"},
		{"3com:2121", "3com:2121", ""},
		{"*:2121", ":2121", ""},
		{":2121", ":2121", ""},

		// IPv6
		{"[::1]:2121", "[::1]:2121", ""},
		{"[::1]:2121:[2001:db8::5]", "[::1]:2121", "[2001:db8::5]:21"},
		{"[::1]:0:[2001:db8::5]:2100", "[::1]:0", "[2001:db8::5]:2100"},
		{"2121:[2001:db8::5]", "127.0.0.1:2121", "[2001:db8::5]:21"},
		{"2121:[::1]:2100", "127.0.0.1:2121", "[::1]:2100"},
		{"[fe80::1%eth0]:2121", "[fe80::1%eth0]:2121", ""},
		{"[::]:2121", "[::]:2121", ""},

		// an empty host is the usual one
		{"2121:", "127.0.0.1:2121", "127.0.0.1:21"},
		{"2121::2100", "127.0.0.1:2121", "127.0.0.1:2100"},
	} {
		got, err := ParseForward(test.text)
		if want := (Forward{test.bind, test.server}); err != nil || got != want {
			t.Errorf("%q: got %+v, %v, want %+v", test.text, got, err, want)
		}
	}
}

func TestParseForwardErrors(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{"", "no port"},
		{"localhost", "no port"},
		{"[::1]", "no port"},
		{"localhost:", `"" is no port`},
		{"localhost:ftp", `"ftp" is no port`},
		{"65536", `"65536" is no port`},
		{"99999999999999999999", `"99999999999999999999" is no port`},
		{"-1", "no port"},
		{"2121:host:0", `"0" is no port`},
		{"2121:host:65536", `"65536" is no port`},
		{"2121:host:", `"" is no port`},
		{"2121:host:+21", `"+21" is no port`},
		{"2121:host:21:", "too many fields"},
		{"bind:2121:host:21:x", "too many fields"},
		{"2121:host:21:22", "too many fields"},

		// two ports, as of one who means the server's port
		{"2121:2100", "for a port write 2121:127.0.0.1:2100"},
		{"127.0.0.1:2121:2100", "for a port write 2121:127.0.0.1:2100"},

		// IPv6 without brackets, or with other things in them
		{"::1:2121", `"" is no port`},
		{"2121:2001:db8::5", "too many fields"},
		{"2121:2001:21", "for a port write 2121:127.0.0.1:2001"},
		{"[::1:2121", `"[" is not closed`},
		{"[::1]2121", `"2121" after "]"`},
		{"[localhost]:2121", `"localhost" is no IPv6 address`},
		{"[]:2121", `"" is no IPv6 address`},
		{"[::1", `"[" is not closed`},
	} {
		if got, err := ParseForward(test.text); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%q: got %+v, %v, want %q", test.text, got, err, test.want)
		}
	}
}

func TestOnLoopback(t *testing.T) {
	for bind, want := range map[string]bool{
		"127.0.0.1:2121": true,
		"127.9.8.7:0":    true,
		"[::1]:2121":     true,
		"localhost:2121": true,
		":2121":          false,
		"0.0.0.0:2121":   false,
		"[::]:2121":      false,
		"10.0.0.1:2121":  false,
	} {
		f := Forward{Bind: bind}
		got, err := f.onLoopback()
		if maybe, _ := f.maybeOnLoopback(); err != nil || got != want || maybe != want {
			t.Errorf("%s: got %v, %v and %v, want %v", bind, got, err, maybe, want)
		}
	}
}
