//go:build linux

package tunnel

import (
	"bufio"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/pasvport/pasvport/sshconf"
)

// dialed is the connection to addr as h has it made.
func dialed(t *testing.T, h *sshconf.Host) *net.TCPConn {
	t.Helper()
	tun := New(h, Options{})
	c, lim, err := tun.reach(t.Context(), h, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	lim.stop()
	t.Cleanup(func() { c.Close() })
	return c.(*net.TCPConn)
}

func option(t *testing.T, c *net.TCPConn, level, name int) (value int) {
	t.Helper()
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	raw.Control(func(fd uintptr) { value, err = syscall.GetsockoptInt(int(fd), level, name) })
	if err != nil {
		t.Fatal(err)
	}
	return value
}

func TestSocketOptions(t *testing.T) {
	for _, family := range []struct {
		listen         string
		level, tos     int
		bind, loopback string
	}{
		{"127.0.0.1:0", syscall.IPPROTO_IP, syscall.IP_TOS, "127.0.0.5", "127.0.0.1"},
		{"[::1]:0", syscall.IPPROTO_IPV6, syscall.IPV6_TCLASS, "::1", "::1"},
	} {
		ln, err := net.Listen("tcp", family.listen)
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		h := hostAt(t, ln.Addr().String())
		h.IPQoS = -1
		c := dialed(t, h)
		if got := option(t, c, family.level, family.tos); got != 0 {
			t.Errorf("IPQoS none: %#x", got)
		}
		if got := option(t, c, syscall.SOL_SOCKET, syscall.SO_KEEPALIVE); got != 0 {
			t.Errorf("TCPKeepAlive no: %d", got)
		}
		system := option(t, c, syscall.IPPROTO_TCP, syscall.TCP_KEEPIDLE)
		h.IPQoS, h.TCPKeepAlive, h.BindAddress = 0x20, true, family.bind
		h.BindInterface = "none0" // BindAddress comes first
		c = dialed(t, h)
		if got := option(t, c, family.level, family.tos); got != 0x20 {
			t.Errorf("IPQoS cs1: %#x", got)
		}
		if got := option(t, c, syscall.SOL_SOCKET, syscall.SO_KEEPALIVE); got != 1 {
			t.Errorf("TCPKeepAlive yes: %d", got)
		}
		if got := option(t, c, syscall.IPPROTO_TCP, syscall.TCP_KEEPIDLE); got != system {
			t.Errorf("first probe after %d s, the system's is %d", got, system)
		}
		host := func() string { return c.LocalAddr().(*net.TCPAddr).IP.String() }
		if host() != family.bind {
			t.Errorf("BindAddress %s: from %s", family.bind, host())
		}
		h.BindAddress, h.BindInterface = "", "lo"
		if c = dialed(t, h); host() != family.loopback {
			t.Errorf("BindInterface lo: from %s", host())
		}
	}
}

// A name whose first address refuses is reached by its second.
func TestSecondAddress(t *testing.T) {
	s := newServer(t)
	h := s.host()
	h.HostName, h.HostKeyAlias = "prod.example", s.addr
	file, _ := os.ReadFile(h.UserKnownHostsFiles[0])
	h.HostKeyAlias = strings.Fields(string(file))[0]
	tun := newTunnel(t, h, Options{})
	tun.net.lookup = func(context.Context, string, string) ([]netip.Addr, error) { return addrsOf("::1 127.0.0.1"), nil }
	if err := tun.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := tun.link.raw.RemoteAddr().String(); got != s.addr {
		t.Errorf("at %s, want %s", got, s.addr)
	}
}

func TestTurnedAway(t *testing.T) {
	s := startSSHD(t, "MaxStartups 1:100:1")
	first, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	if _, err := bufio.NewReader(first).ReadString('\n'); err != nil { // it counts from here on
		t.Fatal(err)
	}
	e := wantAs[*GreetingError](t, newTunnel(t, s.host(), Options{}).Connect(t.Context()))
	if e.Said != "Exceeded MaxStartups" || !strings.Contains(e.Settings, "MaxStartups") {
		t.Errorf("got %+v", e)
	}
}

// What the server says as it disconnects comes through.
func TestDisconnected(t *testing.T) {
	s := startSSHD(t, "MaxAuthTries 1")
	h := s.host()
	for range 2 {
		file, _ := newKey(t, "")
		h.IdentityFiles = append([]string{file}, h.IdentityFiles...)
	}
	err := newTunnel(t, h, Options{}).Connect(t.Context())
	if want := "Too many authentication failures"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestAlgorithms(t *testing.T) {
	h := &sshconf.Host{}
	own := Algorithms(h)
	for keyword, secure := range map[string][]string{
		"ciphers":           ssh.SupportedAlgorithms().Ciphers,
		"macs":              ssh.SupportedAlgorithms().MACs,
		"kexalgorithms":     ssh.SupportedAlgorithms().KeyExchanges,
		"hostkeyalgorithms": ssh.SupportedAlgorithms().HostKeys,
	} {
		if got := own[keyword]; !slices.Equal(slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(secure))) {
			t.Errorf("%s: %q", keyword, own[keyword])
		}
	}
	h.KexAlgorithms = "curve25519-sha256@libssh.org"
	h.Ciphers = "+aes128-cbc,unheard-of"
	h.MACs = "^hmac-sha1*"
	h.HostKeyAlgorithms = "-ecdsa-*,rsa-*,*-cert-*,*mldsa*"
	got := Algorithms(h)
	for keyword, want := range map[string][]string{
		"kexalgorithms":     {"curve25519-sha256@libssh.org"},
		"ciphers":           append(slices.Clone(own["ciphers"]), "aes128-cbc"),
		"macs":              {"hmac-sha1", "hmac-sha1-96", "hmac-sha2-256-etm@openssh.com", "hmac-sha2-512-etm@openssh.com", "hmac-sha2-256", "hmac-sha2-512"},
		"hostkeyalgorithms": {"ssh-ed25519"},
	} {
		if keyword == "hostkeyalgorithms" {
			got[keyword] = slices.DeleteFunc(got[keyword], func(s string) bool { return strings.Contains(s, "ml-dsa") })
		}
		if !slices.Equal(got[keyword], want) {
			t.Errorf("%s: got %q, want %q", keyword, got[keyword], want)
		}
	}
}

func TestNegotiation(t *testing.T) {
	s := startSSHD(t, "Ciphers aes256-ctr", "MACs hmac-sha2-512", "KexAlgorithms curve25519-sha256@libssh.org")
	for _, tt := range []struct {
		edit            func(*sshconf.Host)
		keyword, theirs string
	}{
		{func(h *sshconf.Host) { h.KexAlgorithms = "ecdh-sha2-nistp256" }, "KexAlgorithms", "curve25519-sha256@libssh.org"},
		{func(h *sshconf.Host) { h.Ciphers = "aes128-ctr" }, "Ciphers", "aes256-ctr"},
		{func(h *sshconf.Host) { h.MACs = "hmac-sha2-256" }, "MACs", "hmac-sha2-512"},
	} {
		h := s.host()
		tt.edit(h)
		err := newTunnel(t, h, Options{}).Connect(t.Context())
		wantAs[*ConnectError](t, err)
		e := wantAs[*AlgorithmError](t, err)
		if e.Keyword != tt.keyword || !slices.Equal(e.Theirs, []string{tt.theirs}) || len(e.Ours) != 1 ||
			!strings.Contains(e.Error(), e.Ours[0]) || !strings.Contains(e.Error(), tt.theirs) {
			t.Errorf("got %v", e)
		}
	}
	for _, kex := range []sshconf.Algorithms{"", "curve25519-sha256@libssh.org"} {
		var log logbook
		h := s.host()
		h.KexAlgorithms = kex
		if err := newTunnel(t, h, Options{Logger: log.logger()}).Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		want := `msg=algorithms host=prod kex=curve25519-sha256@libssh.org hostkey=ecdsa-sha2-nistp256 write="aes256-ctr hmac-sha2-512" read="aes256-ctr hmac-sha2-512"`
		if strings.Count(log.String(), want) != 1 {
			t.Errorf("got %s, want once %s", log.String(), want)
		}
	}
}

// The library offers strict key exchange, against Terrapin (CVE-2023-48795), and
// stays so whatever KexAlgorithms says.
func TestStrictKex(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	h := hostAt(t, ln.Addr().String())
	h.KexAlgorithms = "ecdh-sha2-nistp256"
	tun := newTunnel(t, h, Options{})
	failed := make(chan error)
	go func() { failed <- tun.Connect(context.Background()) }()
	c, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(c, "SSH-2.0-x\r\n")
	in := bufio.NewReader(c)
	in.ReadString('\n')
	packet := make([]byte, 200)
	io.ReadFull(in, packet)
	if want := ",ext-info-c,kex-strict-c-v00@openssh.com"; !strings.Contains(string(packet), "ecdh-sha2-nistp256"+want) {
		t.Errorf("got %q", packet)
	}
	c.Close()
	wantAs[*ConnectError](t, <-failed)
}

// Two hops and an end, each with its own user, key and known_hosts.
func TestChain(t *testing.T) {
	users := []string{"", "", ""}
	if os.Getuid() == 0 { // else sshd lets in nobody but us
		users = []string{"daemon", "bin", "root"}
	}
	var servers []*sshd
	hosts := map[string]*sshconf.Host{}
	for i, user := range users {
		s := startSSHD(t)
		h := s.host()
		h.Alias = fmt.Sprintf("hop%d", i)
		if user != "" {
			h.User = user
		}
		// sshd reads it as that user
		for dir := s.dir; dir != os.TempDir(); dir = filepath.Dir(dir) {
			if err := os.Chmod(dir, 0o711); err != nil {
				t.Fatal(err)
			}
		}
		servers, hosts[h.Alias] = append(servers, s), h
	}
	resolve := func(name string) (*sshconf.Host, error) { return hosts[name], nil }
	end := hosts["hop2"]
	end.ProxyJump = []string{"hop0", "hop1"}
	addr, conns := farServer(t)
	connect := func() (*Tunnel, error) {
		tun := newTunnel(t, end, Options{Jump: resolve})
		return tun, tun.Connect(t.Context())
	}
	tun, err := connect()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for l := tun.link; l != nil; l = l.via {
		names = append(names, l.host+" "+l.ssh.User())
	}
	want := []string{"hop2 " + end.User, "hop1 " + hosts["hop1"].User, "hop0 " + hosts["hop0"].User}
	if !slices.Equal(names, want) {
		t.Errorf("got %q, want %q", names, want)
	}
	c := mustDial(t, tun, addr)
	far := <-conns
	c.Close()
	far.Close()

	end.ProxyJump = nil // as ProxyJump none leaves it
	if tun, err := connect(); err != nil || tun.link.via != nil {
		t.Errorf("ProxyJump none: %v", err)
	}
	end.ProxyJump = []string{"hop0", "hop1"}

	key := hosts["hop1"].IdentityFiles
	hosts["hop1"].IdentityFiles = hosts["hop0"].IdentityFiles
	_, err = connect()
	if e := wantAs[*AuthError](t, err); e.Host != "hop1" {
		t.Errorf("the wrong key: %v", e)
	}
	hosts["hop1"].IdentityFiles = key
	known := hosts["hop1"].UserKnownHostsFiles
	hosts["hop1"].UserKnownHostsFiles = hosts["hop0"].UserKnownHostsFiles
	_, err = connect()
	if e := wantAs[*HostKeyError](t, err); e.Host != "hop1" {
		t.Errorf("the wrong known_hosts: %v", e)
	}
	hosts["hop1"].UserKnownHostsFiles = known

	s := startSSHD(t, "AllowTcpForwarding no")
	h := s.host()
	h.Alias = "locked"
	hosts["locked"] = h
	end.ProxyJump = []string{"hop0", "locked"}
	_, err = connect()
	wantAs[*OpenError](t, err)
	if want := "connecting to hop2 (" + servers[2].addr + "): through locked: sshd does not allow a connection to " + servers[2].addr; !strings.HasPrefix(err.Error(), want) {
		t.Errorf("got %v, want %s", err, want)
	}
}

// Keys change all the time while several streams carry data both ways.
func TestRekey(t *testing.T) {
	const streams, size = 4, 4 << 20
	s := startSSHD(t, "MaxSessions 0")
	addr, conns := farServer(t)
	h := s.host()
	h.RekeyLimit = 256 << 10
	var log logbook
	asked := 0
	tun := newTunnel(t, h, Options{Logger: log.logger(), Trace: func(s Stage) {
		if s.Name == "hostkey" {
			asked++
		}
	}})
	var wg sync.WaitGroup
	pass := func(w io.Writer, r io.Reader, first byte) {
		data := make([]byte, size)
		for i := range data {
			data[i] = first + byte(i>>8) + byte(i)
		}
		wg.Go(func() {
			if _, err := w.Write(data); err != nil {
				t.Error(err)
			}
		})
		wg.Go(func() {
			got := sha256.New()
			if _, err := io.CopyN(got, r, size); err != nil || sha256.Sum256(data) != [32]byte(got.Sum(nil)) {
				t.Errorf("not what was sent, %v", err)
			}
		})
	}
	for i := range byte(streams) {
		c := mustDial(t, tun, addr)
		far := <-conns
		defer far.Close()
		pass(c, far, i)
		pass(far, c, i+100)
	}
	wg.Wait()
	if n := strings.Count(log.String(), "new session keys"); n < 10 || asked != 1 {
		t.Errorf("new keys %d times, host key told %d times", n, asked)
	}
	if err := tun.link.await(tun.link.ping(), tun.link.silence, nil); err != nil {
		t.Error(err)
	}
}
