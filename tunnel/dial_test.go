package tunnel

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pasvport/pasvport/sshconf"
)

func addrsOf(text string) (list []netip.Addr) {
	for _, s := range strings.Fields(text) {
		list = append(list, netip.MustParseAddr(s))
	}
	return list
}

// fakeNetwork has every name at addrs, and connects as connect says.
func fakeNetwork(addrs string, connect func(ctx context.Context, to string) (net.Conn, error)) network {
	return network{
		lookup: func(context.Context, string, string) ([]netip.Addr, error) { return addrsOf(addrs), nil },
		connect: func(ctx context.Context, _ *sshconf.Host, to netip.Addr) (net.Conn, error) {
			return connect(ctx, to.String())
		},
	}
}

func TestHappyEyeballs(t *testing.T) {
	for _, tt := range []struct {
		addrs string
		want  string // who is tried, and when
		err   string
	}{
		{"10.0.0.1", "10.0.0.1@0s", ""},
		{"fe80::dead 10.0.0.1", "fe80::dead@0s 10.0.0.1@250ms", ""},
		{"fe80::dead fe80::2:dead 10.0.0.1 fe80::2", "fe80::dead@0s 10.0.0.1@250ms", ""},
		{"::1:bad 10.0.0.1", "::1:bad@0s 10.0.0.1@0s", ""},
		{"::1:bad ::2:bad", "::1:bad@0s ::2:bad@0s", "[::1:bad]:22: connection refused, [::2:bad]:22: connection refused"},
		{"::cafe 10.0.0.1", "::cafe@0s 10.0.0.1@250ms", ""},
		{"::1:bad", "::1:bad@0s", "connection refused"},
		{"::dead ::2:dead", "::dead@0s ::2:dead@250ms", "no answer within 30s"},
	} {
		synctest.Test(t, func(t *testing.T) {
			began := time.Now()
			var tried []string
			var mu sync.Mutex
			var made []memConn
			tun := New(&sshconf.Host{Alias: "prod", HostName: "prod"}, Options{})
			tun.net = fakeNetwork(tt.addrs, func(ctx context.Context, to string) (net.Conn, error) {
				mu.Lock()
				tried = append(tried, fmt.Sprintf("%s@%v", to, time.Since(began)))
				mu.Unlock()
				switch {
				case strings.HasSuffix(to, "dead"):
					<-ctx.Done()
					return nil, ctx.Err()
				case strings.HasSuffix(to, "bad"):
					return nil, &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
				}
				c := memConn{newPipe(), newPipe()}
				mu.Lock()
				made = append(made, c)
				mu.Unlock()
				if strings.HasSuffix(to, "cafe") { // too late, and all the same
					<-time.After(time.Second)
				}
				return c, nil
			})
			c, lim, err := tun.reach(t.Context(), tun.host, nil, nil)
			if got := strings.Join(tried, " "); got != tt.want {
				t.Errorf("%s: tried %s, want %s", tt.addrs, got, tt.want)
			}
			if tt.err != "" {
				if e := wantAs[*ConnectError](t, err); e.Err.Error() != tt.err {
					t.Errorf("%s: got %v, want %s", tt.addrs, e, tt.err)
				}
				return
			}
			lim.stop()
			if err != nil {
				t.Fatal(err)
			}
			for _, other := range made {
				if closed := other.in.closed; closed != (other != c) {
					t.Errorf("%s: closed: %v", tt.addrs, closed)
				}
			}
		})
	}
}

func TestConnectionAttempts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var tried []string
		var refused []error
		tun := New(&sshconf.Host{Alias: "prod", HostName: "prod", ConnectionAttempts: 4, ConnectTimeout: 10 * time.Second}, Options{})
		tun.net = fakeNetwork("10.0.0.1", func(ctx context.Context, to string) (net.Conn, error) {
			tried = append(tried, time.Since(began).String())
			if len(tried) == 2 { // the others are refused
				<-ctx.Done()
				return nil, ctx.Err()
			}
			return nil, &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
		})
		_, _, err := tun.reach(t.Context(), tun.host, nil, nil)
		if want := "connecting to prod (10.0.0.1:22): connection refused"; err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
		if want := "[0s 1s 12s 13s]"; fmt.Sprint(tried) != want {
			t.Errorf("tried at %v, want %s", tried, want)
		}

		ctx, cancel := context.WithCancel(t.Context()) // during the pause
		time.AfterFunc(time.Second/2, cancel)
		_, _, err = tun.reach(ctx, tun.host, nil, nil)
		if !errors.Is(err, context.Canceled) || len(tried) != 5 {
			t.Errorf("got %v after %d attempts", err, len(tried))
		}
		tun.net.lookup = func(context.Context, string, string) ([]netip.Addr, error) {
			refused = append(refused, &net.DNSError{Err: "no such host", Name: "prod"})
			return nil, refused[0]
		}
		_, _, err = tun.reach(t.Context(), tun.host, nil, nil)
		if len(refused) != 1 || err.Error() != "connecting to prod (prod:22): lookup prod: no such host" {
			t.Errorf("%d lookups, %v", len(refused), err)
		}
	})
}

func TestTakeTurns(t *testing.T) {
	for in, want := range map[string]string{
		"":                            "",
		"10.0.0.1 10.0.0.2":           "10.0.0.1 10.0.0.2",
		"::1 ::2 ::3 10.0.0.1":        "::1 10.0.0.1 ::2 ::3",
		"10.0.0.1 10.0.0.2 ::1 ::2":   "10.0.0.1 ::1 10.0.0.2 ::2",
		"::ffff:10.0.0.1 ::1 fe80::1": "::ffff:10.0.0.1 ::1 fe80::1",
	} {
		if got := takeTurns(addrsOf(in)); !slices.Equal(got, addrsOf(want)) {
			t.Errorf("%s: got %v", in, got)
		}
	}
}

func TestAddressFamily(t *testing.T) {
	asked := ""
	n := network{lookup: func(_ context.Context, network, _ string) ([]netip.Addr, error) {
		asked = network
		return addrsOf("::ffff:10.0.0.1"), nil
	}}
	for family, want := range map[string]string{"": "ip", "any": "ip", "inet": "ip4", "inet6": "ip6"} {
		addrs, err := n.resolve(t.Context(), families[family], "prod")
		if asked != want || err != nil || addrs[0].String() != "10.0.0.1" {
			t.Errorf("%s: asked for %s, got %v, %v", family, asked, addrs, err)
		}
	}
	for _, tt := range []struct {
		family, addr string
		ok           bool
	}{
		{"ip", "::1", true}, {"ip4", "127.0.0.1", true}, {"ip6", "fe80::1%lo", true},
		{"ip4", "::1", false}, {"ip6", "127.0.0.1", false},
	} {
		addrs, err := n.resolve(t.Context(), tt.family, tt.addr)
		if ok := err == nil; ok != tt.ok || ok && addrs[0].String() != tt.addr {
			t.Errorf("%s %s: got %v, %v", tt.family, tt.addr, addrs, err)
		}
	}
}

// Each of these failures is one clear line.
func TestConnectFailures(t *testing.T) {
	say := func(text string, hold bool) string {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { ln.Close() })
		go func() {
			for {
				c, err := ln.Accept()
				if err != nil {
					return
				}
				io.WriteString(c, text)
				if hold {
					t.Cleanup(func() { c.Close() })
					continue
				}
				c.(*net.TCPConn).CloseWrite() // a Close would be a reset
				io.Copy(io.Discard, c)
				c.Close()
			}
		}()
		return ln.Addr().String()
	}
	for _, tt := range []struct {
		name, said string
		hold       bool
		edit       func(*sshconf.Host)
		want       string // after the host
	}{
		{"closed at once", "", false, nil, "): the server says nothing: the server closed the connection"},
		{"turned away", "Not allowed at this time\r\n", false, nil, "): the server says: Not allowed at this time (see PerSourcePenalties in sshd_config)"},
		{"other words", "Go \x1b away\r\n", false, nil, "): the server says: Go away; the server closed the connection"},
		{"FTP", "220 vsFTPd\r\n", true, nil, "): no SSH server but one of FTP or SMTP: it says: 220 vsFTPd"},
		{"silent", "", true, func(h *sshconf.Host) { h.ConnectTimeout = time.Second }, "): the server says nothing: no answer within 1s"},
		{"bad BindAddress", "", true, func(h *sshconf.Host) { h.BindAddress = "192.0.2.77" }, "): from 192.0.2.77: cannot assign requested address"},
		{"BindAddress of another family", "", true, func(h *sshconf.Host) { h.BindAddress = "::1" },
			"): BindAddress: address ::1: not IPv4"},
		{"no such interface", "", true, func(h *sshconf.Host) { h.BindInterface = "none0" }, "): BindInterface none0: no such network interface"},
		{"unroutable", "", true, func(h *sshconf.Host) { h.HostName = "255.255.255.255" }, "): network is unreachable"},
		{"no such name", "", true, func(h *sshconf.Host) { h.HostName = "prod.invalid" }, "): lookup prod.invalid: no such host"},
		{"wrong family", "", true, func(h *sshconf.Host) { h.AddressFamily = "inet6" }, "): address 127.0.0.1: not IPv6"},
		{"only ciphers that Go lacks", "", true, func(h *sshconf.Host) { h.Ciphers = "rijndael-cbc@lysator.liu.se" },
			"): Ciphers rijndael-cbc@lysator.liu.se leaves nothing to offer; supported are aes128-gcm@openssh.com,"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := hostAt(t, say(tt.said, tt.hold))
			if tt.edit != nil {
				tt.edit(h)
			}
			tun := newTunnel(t, h, Options{})
			tun.net.lookup = func(_ context.Context, _, name string) ([]netip.Addr, error) {
				return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
			}
			e := wantAs[*ConnectError](t, tun.Connect(t.Context()))
			if !strings.Contains(e.Error(), tt.want) || strings.ContainsAny(e.Error(), "\n\x1b") {
				t.Errorf("got %v, want %s", e, tt.want)
			}
		})
	}
}

func TestTrace(t *testing.T) {
	a, b := newServer(t), newServer(t)
	gw := a.host()
	gw.Alias = "gw"
	h := b.host()
	h.ProxyJump = []string{"gw"}
	var got []string
	tun := newTunnel(t, h, Options{
		Jump:   func(string) (*sshconf.Host, error) { return gw, nil },
		Trace:  func(s Stage) { got = append(got, s.Host+" "+s.Name+" "+s.Detail) },
		Logger: slog.New(slog.DiscardHandler),
	})
	if err := tun.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"gw dns 127.0.0.1", "gw tcp " + a.addr, "gw hostkey ssh-ed25519 SHA256:", "gw auth ",
		"prod tcp " + b.addr + " through gw", "prod hostkey ssh-ed25519 SHA256:", "prod auth ",
	}
	if !slices.EqualFunc(got, want, strings.HasPrefix) {
		t.Errorf("got %q, want %q", got, want)
	}

	got = nil
	h.UserKnownHostsFiles = nil
	err := newTunnel(t, h, Options{Jump: tun.opts.Jump, Trace: tun.opts.Trace}).Connect(t.Context())
	if wantAs[*HostKeyError](t, err); len(got) != 5 {
		t.Errorf("a refused key is told as passed: %q", got)
	}
}
