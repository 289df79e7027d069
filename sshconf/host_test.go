package sshconf

import (
	"errors"
	"maps"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestHosts(t *testing.T) {
	dir := t.TempDir()
	r := &Resolver{Home: dir + "/home", outside: outside{system: dir + "/etc"}}
	write(t, dir+"/home/.ssh/config", `Host web db.example.com *.lan !no "quoted" we?
Nonsense in a file "
Host bad "
Include conf.d/* %d/${NO_SUCH_VARIABLE_HERE}
Include %d/other
Match host m
Host Web web=x
Port x
`)
	write(t, dir+"/home/.ssh/conf.d/a", "Host inner # not this\nInclude b\n\tHOST = last")
	write(t, dir+"/home/.ssh/b", "Include conf.d/a\nHost deep\n")
	write(t, dir+"/home/other", "Host other\n")
	write(t, dir+"/etc/ssh_config", "Host * system\n")
	hosts, err := r.Hosts()
	want := []string{"web", "db.example.com", "quoted", "inner", "deep", "last", "Web", "web=x", "system", "other"}
	slices.Sort(hosts)
	slices.Sort(want)
	if err != nil || !slices.Equal(hosts, want) {
		t.Errorf("got %q, %v, want %q", hosts, err, want)
	}
	write(t, dir+"/home/.ssh/config", "Host b a\nHost a c\n")
	if hosts, err = r.Hosts(); err != nil || !slices.Equal(hosts, []string{"b", "a", "c", "system"}) {
		t.Errorf("got %q, %v", hosts, err)
	}
	r.File = "none"
	if hosts, err = r.Hosts(); err != nil || hosts != nil {
		t.Errorf("got %q, %v", hosts, err)
	}
	r.File = dir + "/no"
	if hosts, err = r.Hosts(); err == nil {
		t.Errorf("got %q, no error", hosts)
	}
}

func TestExpand(t *testing.T) {
	t.Setenv("PLACE", "here")
	h, err := resolve(t, "HostName h.%h\nProxyJump a,u@b:2\nHostKeyAlias Kk\n", "joe@foo")
	if err != nil {
		t.Fatal(err)
	}
	more := map[byte]string{'H': "h.foo", 'I': "HOSTNAME", 'f': "SHA256:x", 'K': "AAAA", 't': "ssh-ed25519"}
	byHand := &Host{Alias: "foo", HostName: "h.foo", Port: 22, User: "joe", HostKeyAlias: "kk", ProxyJump: h.ProxyJump}
	for _, h := range []*Host{h, byHand} {
		got, err := h.Expand("%h %n %p %r %k %j %% ${PLACE} %H %I %f %K %t", more)
		if want := "h.foo foo 22 joe kk b % here h.foo HOSTNAME SHA256:x AAAA ssh-ed25519"; got != want || err != nil {
			t.Errorf("got %q, %v, want %q", got, err, want)
		}
		for _, s := range []string{"%T", "%", "${NO_SUCH_VARIABLE_HERE}", "%z"} {
			if got, err := h.Expand(s, more); err == nil {
				t.Errorf("%s: got %q", s, got)
			}
		}
		if _, err := h.Expand("%H", nil); err == nil {
			t.Error("more stays for the next call")
		}
	}
	one, err := h.Expand("%C %l %L %u %i", nil)
	two, err2 := byHand.Expand("%C %l %L %u %i", nil)
	if one != two || err != nil || err2 != nil {
		t.Errorf("got %q, %v; made by hand %q, %v", one, err, two, err2)
	}
	words, err := SplitWords(`/bin/kh --host "%H x" 'a b' #c`)
	if want := []string{"/bin/kh", "--host", "%H x", "a b", "#c"}; err != nil || !slices.Equal(words, want) {
		t.Errorf("got %q, %v", words, err)
	}
	if words, err = SplitWords(`/bin/kh "`); err == nil {
		t.Errorf("got %q", words)
	}
}

// TestExpandedFields: what ssh -G does not show expanded.
func TestExpandedFields(t *testing.T) {
	t.Setenv("PLACE", "here")
	h, err := resolve(t, `HostName h.%h
RevokedHostKeys ~/${PLACE}/%h
CertificateFile ~/%n-%p
ProxyCommand nc -X ${PLACE} %h %p "%r" %n %k %%
KnownHostsCommand /bin/kh %H
BindAddress %h
`, "joe@foo")
	if err != nil {
		t.Fatal(err)
	}
	if h.RevokedHostKeys != "/home/me/here/h.foo" || !slices.Equal(h.CertificateFiles, []string{"/home/me/foo-22"}) ||
		h.ProxyCommand != `nc -X ${PLACE} h.foo 22 "joe" foo foo %` || h.KnownHostsCommand != "/bin/kh %H" || h.BindAddress != "%h" {
		t.Errorf("got %+v", h)
	}
	for _, config := range []string{"ProxyCommand %d\n", "RevokedHostKeys %z\n", "ControlPath ${NO_SUCH_VARIABLE_HERE}\n", "ForwardAgent /%z\n"} {
		if h, err := resolve(t, config, "foo"); err == nil {
			t.Errorf("%q: got %+v", config, h)
		}
	}
}

func TestFields(t *testing.T) {
	h, err := resolve(t, `AddKeysToAgent confirm 1h
IPQoS ef none
RekeyLimit 1G
PreferredAuthentications publickey,password
KexAlgorithms +diffie-hellman-group1-sha1
PubkeyAuthentication unbound
ControlMaster true
StrictHostKeyChecking off
VerifyHostKeyDNS true
`, "foo")
	if err != nil {
		t.Fatal(err)
	}
	if h.AddKeysToAgent != "confirm" || h.AddKeysLifetime != time.Hour || h.IPQoS != -1 || h.RekeyLimit != 1<<30 ||
		!slices.Equal(h.PreferredAuthentications, []string{"publickey", "password"}) || h.KexAlgorithms != "+diffie-hellman-group1-sha1" ||
		!h.PubkeyAuthentication || h.ControlMaster != "yes" || h.StrictHostKeyChecking != "no" || h.VerifyHostKeyDNS != "yes" {
		t.Errorf("got %+v", h)
	}
	for said, want := range map[string]string{"yes": "yes 0s", "no": "no 0s", "ask": "ask 0s", "10m": "yes 10m0s", "confirm": "confirm 0s", "0": "yes 0s"} {
		h, err := resolve(t, "AddKeysToAgent "+said+"\n", "foo")
		if err != nil || h.AddKeysToAgent+" "+h.AddKeysLifetime.String() != want {
			t.Errorf("AddKeysToAgent %s: got %v, %v", said, h, err)
		}
	}
}

// TestNotes: what is asked for and not honoured is told with its place, what is
// honoured or forbidden is not, and nothing is told of other hosts or twice.
func TestNotes(t *testing.T) {
	h, err := resolve(t, `GSSAPIAuthentication yes
GSSAPIAuthentication no
PKCS11Provider none
HostbasedAuthentication no
VerifyHostKeyDNS ask
Compression no
ProxyUseFdpass yes
CertificateFile c
ControlPath /x
Ciphers aes128-ctr
RevokedHostKeys /r
KnownHostsCommand /k
LocalForward 8080 h:80
LocalForward 8081 h:80
RemoteCommand none
SecurityKeyProvider internal
Match final host bar
Tunnel yes
Match final
RemoteCommand x
Host bar
ForwardAgent yes
`, "foo", "ForwardAgent=/sock")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, n := range h.Notes {
		_, place, _ := strings.Cut(n.Text, "/config:")
		place, _, _ = strings.Cut(place, " is not honoured")
		got = append(got, n.Keyword+" "+place)
	}
	want := []string{
		`gssapiauthentication 1: "gssapiauthentication yes"`, `proxyusefdpass 7: "proxyusefdpass yes"`,
		`verifyhostkeydns 5: "verifyhostkeydns ask"`, `localforward 13: "localforward 8080 h:80"`, `forwardagent `,
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if last := h.Notes[len(h.Notes)-1].Text; !strings.HasPrefix(last, `command line: "forwardagent /sock" is not honoured: `) {
		t.Errorf("got %q", last)
	}
}

func TestRefuseConnection(t *testing.T) {
	_, err := resolve(t, "Host foo\nRefuseConnection \"moved to bar\"\n", "foo")
	refused, ok := errors.AsType[*RefusedError](err)
	if !ok || refused.Text != "moved to bar" || refused.Host != "foo" || !strings.HasSuffix(refused.Place, "/config:2") ||
		!strings.Contains(err.Error(), "moved to bar") {
		t.Errorf("got %v", err)
	}
	if h, err := resolve(t, "RefuseConnection none\nRefuseConnection x\n", "foo"); err != nil {
		t.Errorf("none: got %+v, %v", h, err)
	}
}

func TestAlgorithmsOf(t *testing.T) {
	own, known := []string{"a1", "a2", "b1"}, []string{"a1", "a2", "a3", "b1", "b2"}
	for said, want := range map[Algorithms]string{
		"":         "a1 a2 b1",
		"b2,a1,a1": "b2 a1",
		"a*,z":     "a1 a2 a3",
		"+b2,a1":   "a1 a2 b1 b2",
		"+b*":      "a1 a2 b1 b2",
		"^b1,a3":   "b1 a3 a1 a2",
		"-a*":      "b1",
		"-a*,!a2":  "a2 b1",
		"-*":       "",
		"-z":       "a1 a2 b1",
	} {
		if got := strings.Join(said.Of(own, known), " "); got != want {
			t.Errorf("%q: got %q, want %q", said, got, want)
		}
	}
	if !slices.Equal(own, []string{"a1", "a2", "b1"}) {
		t.Errorf("a program's own list has changed: %q", own)
	}
}

func TestDump(t *testing.T) {
	h, err := resolve(t, "HostName h\nTag work\nIdentityFile ~/%h\nIdentityFile b\nCiphers aes128-ctr\n", "Foo")
	if err != nil {
		t.Fatal(err)
	}
	lines := h.Dump(map[string][]string{"ciphers": {"x", "y"}})
	for _, want := range []string{
		"host Foo", "hostname h", "ciphers x,y", "identityfile ~/%h", "identityfile b", "serveraliveinterval 10", "tag work",
	} {
		if !slices.Contains(lines, want) {
			t.Errorf("no %q in %q", want, lines)
		}
	}
	if slices.ContainsFunc(lines, func(s string) bool { return strings.HasPrefix(s, "macs") }) {
		t.Errorf("MACs of nobody's: %q", lines)
	}
	if lines := (&Host{Alias: "x"}).Dump(nil); lines != nil {
		t.Errorf("made by hand: got %q", lines)
	}
}

// TestCopies: copies of a Host and several goroutines do not meet.
func TestCopies(t *testing.T) {
	r := &Resolver{File: filepath.Join(t.TempDir(), "config")}
	write(t, r.File, "Match final\nUser u\nHostName %h.x\nControlPath /%C\n")
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			h, err := r.Resolve("foo")
			if err != nil {
				t.Error(err)
				return
			}
			other := *h
			shown, toks := maps.Clone(h.shown), maps.Clone(h.tokens)
			for range 4 {
				wg.Go(func() {
					other.Expand("%h", map[byte]string{'h': "x"})
					other.Dump(map[string][]string{"ciphers": nil})
				})
			}
			if !reflect.DeepEqual(shown, h.shown) || !maps.Equal(toks, h.tokens) {
				t.Error("a copy changed its original")
			}
		})
	}
	wg.Wait()
}

// TestControlPathOfOlderSSH is about %C, from which ssh left the jump host out until 9.6.
func TestControlPathOfOlderSSH(t *testing.T) {
	dir := t.TempDir()
	config := filepath.Join(dir, "config")
	write(t, config, "ControlPath "+dir+"/%C\nMatch host prod\nProxyJump gw\n")
	r := Resolver{File: config}
	path := func() string {
		t.Helper()
		h, err := r.Resolve("prod")
		if err != nil {
			t.Fatal(err)
		}
		return h.ControlPath
	}
	newer := path()
	h, err := r.Resolve("prod")
	if err != nil {
		t.Fatal(err)
	}
	older := filepath.Join(dir, h.tokens.connection(""))
	write(t, older, "")
	if got := path(); got != older {
		t.Errorf("got %s, want that which is there, %s", got, older)
	}
	write(t, newer, "")
	if got := path(); got != newer {
		t.Errorf("got %s, want %s where both are there", got, newer)
	}
}
