package sshconf

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// resolve reads one configuration with a home of its own.
func resolve(t *testing.T, config, destination string, options ...string) (*Host, error) {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "config")
	write(t, path, config)
	return (&Resolver{File: path, Options: options, Home: "/home/me", outside: outside{system: dir}}).Resolve(destination)
}

func TestIdentityAgent(t *testing.T) {
	t.Setenv("MY_AGENT", "/run/mine")
	for said, want := range map[string]string{
		"":              "",
		"SSH_AUTH_SOCK": "",
		"none":          "none",
		"$MY_AGENT":     "/run/mine",
		"$NO_SUCH_ONE":  "none",
		"${MY_AGENT}":   "/run/mine",
		"~/agent-%h":    "/home/me/agent-x",
	} {
		r := &Resolver{File: "none", Home: "/home/me"}
		if said != "" {
			r.Options = []string{"IdentityAgent=" + said}
		}
		if h, err := r.Resolve("x"); err != nil || h.IdentityAgent != want {
			t.Errorf("%q: got %q, %v; want %q", said, h.IdentityAgent, err, want)
		}
	}
}

func TestDefaults(t *testing.T) {
	r := &Resolver{File: "none", Home: "/home/me/"}
	h, err := r.Resolve("joe@Server")
	if err != nil {
		t.Fatal(err)
	}
	want := &Host{
		Alias: "Server", HostName: "server", Port: 22, User: "joe", AddressFamily: "any",
		IdentityFiles: []string{
			"/home/me/.ssh/id_rsa", "/home/me/.ssh/id_ecdsa", "/home/me/.ssh/id_ecdsa_sk",
			"/home/me/.ssh/id_ed25519", "/home/me/.ssh/id_ed25519_sk",
		},
		DefaultIdentities:     true,
		UserKnownHostsFiles:   []string{"/home/me/.ssh/known_hosts", "/home/me/.ssh/known_hosts2"},
		GlobalKnownHostsFiles: []string{"/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2"},
		StrictHostKeyChecking: "ask",
		ServerAliveInterval:   -time.Second,
		ServerAliveCountMax:   3,

		ConnectionAttempts: 1, TCPKeepAlive: true, IPQoS: 8, ControlMaster: "no", AddKeysToAgent: "no",
		PubkeyAuthentication: true, PasswordAuthentication: true, KbdInteractiveAuthentication: true, NumberOfPasswordPrompts: 3,
		VerifyHostKeyDNS: "no", RequiredRSASize: 1024,
	}
	h.tokens, h.shown = nil, nil
	if !reflect.DeepEqual(h, want) {
		t.Errorf("got %+v\nwant %+v", h, want)
	}
}

// TestUsualFiles has the user's file, then the system's, each with includes of
// its own place; files that are missing or cannot be read do no harm.
func TestUsualFiles(t *testing.T) {
	r := &Resolver{Home: t.TempDir(), outside: outside{system: t.TempDir()}}
	if _, err := r.Resolve("foo"); err != nil {
		t.Errorf("without files: %v", err)
	}
	write(t, r.Home+"/.ssh/config", "Include conf.d/* ~/more\nUser u1\n")
	write(t, r.Home+"/.ssh/conf.d/a", "HostName h1\nIdentityFile a\n")
	write(t, r.Home+"/more", "ConnectTimeout 1\n")
	write(t, r.outside.system+"/ssh_config", "Include b\nUser u2\nIdentityFile a\nIdentityFile c\n")
	write(t, r.outside.system+"/b", "HostName h2\nPort 2\nIdentityFile b\n")
	h, err := r.Resolve("foo")
	if err != nil {
		t.Fatal(err)
	}
	if h.User != "u1" || h.HostName != "h1" || h.Port != 2 || h.ConnectTimeout != time.Second ||
		!slices.Equal(h.IdentityFiles, []string{"a", "b", "c"}) || h.DefaultIdentities {
		t.Errorf("got %+v", h)
	}

	write(t, r.outside.system+"/b", "Include ~/x\n")
	if _, err = r.Resolve("foo"); err == nil || !strings.Contains(err.Error(), r.outside.system+"/b:1: include: bad path") {
		t.Errorf("~ in a system's file: got %v", err)
	}
	os.RemoveAll(r.outside.system)
	os.RemoveAll(r.Home + "/.ssh/config")
	os.Mkdir(r.Home+"/.ssh/config", 0o755)
	if h, err = r.Resolve("foo"); err != nil || len(h.Notes) != 1 || !strings.Contains(h.Notes[0].Text, "is a directory") {
		t.Errorf("a directory: got %+v, %v", h, err)
	}
	if _, err = (&Resolver{File: r.Home}).Resolve("foo"); !errors.Is(err, errDirectory) { // ssh reads nothing
		t.Errorf("a directory for File: got %v", err)
	}
	if _, err = (&Resolver{File: r.Home + "/none"}).Resolve("foo"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing File: got %v", err)
	}
}

// TestPermissions: what others may write to is refused where ssh refuses it.
func TestPermissions(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Log("no such permissions here")
		return
	}
	r := &Resolver{Home: t.TempDir(), outside: outside{system: t.TempDir()}}
	mine, system, inc := r.Home+"/.ssh/config", r.outside.system+"/ssh_config", r.outside.system+"/inc"
	write(t, mine, "")
	write(t, system, "Include inc\n")
	write(t, inc, "")
	for _, c := range []struct {
		path    string
		mode    fs.FileMode
		refused bool
	}{{mine, 0o666, true}, {inc, 0o646, true}, {system, 0o666, false}, {inc, 0o600, false}} {
		os.Chmod(c.path, c.mode)
		_, err := r.Resolve("foo")
		if refused := err != nil && strings.Contains(err.Error(), "bad owner or permissions on "+c.path); refused != c.refused {
			t.Errorf("%s %v: got %v", c.path, c.mode, err)
		}
		os.Chmod(c.path, 0o644)
	}
	os.Chmod(mine, 0o666)
	if _, err := (&Resolver{File: mine}).Resolve("foo"); err != nil {
		t.Errorf("File is not checked: got %v", err)
	}
}

// TestTokens: IdentityFile, which ssh -G does not expand, is expanded just as
// UserKnownHostsFile, which it does.
func TestTokens(t *testing.T) {
	t.Setenv("PLACE", "here")
	const paths = "%d/%u/%h/%n/%r/%p/%i/%k/%l/%L/%j/%C/%%h ~/${PLACE}/$PLACE"
	var config strings.Builder
	config.WriteString("HostName h.%h\nProxyJump a,b@%h-%n-%p-%r-%%:7\nUserKnownHostsFile " + paths + "\n")
	for path := range strings.FieldsSeq(paths) {
		config.WriteString("IdentityFile " + path + "\n")
	}
	h, err := resolve(t, config.String(), "joe@Foo")
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(h.IdentityFiles, h.UserKnownHostsFiles) {
		t.Errorf("IdentityFile %q, UserKnownHostsFile %q", h.IdentityFiles, h.UserKnownHostsFiles)
	}
	if first := h.IdentityFiles[0]; !strings.HasPrefix(first, "/home/me/") || !strings.Contains(first, "/h.foo/Foo/joe/22/") ||
		!strings.Contains(first, "/h.foo-Foo-22-joe-%/") || !strings.HasSuffix(first, "/%h") {
		t.Errorf("IdentityFile: got %q", first)
	}
	if want := "/home/me/here/$PLACE"; h.IdentityFiles[1] != want {
		t.Errorf("IdentityFile: got %q, want %q", h.IdentityFiles[1], want)
	}
	if want := []string{"a", "b@h.foo-Foo-22-joe-%:7"}; !slices.Equal(h.ProxyJump, want) {
		t.Errorf("ProxyJump: got %q, want %q", h.ProxyJump, want)
	}
}

func TestServerAliveInterval(t *testing.T) {
	for config, want := range map[string]time.Duration{
		"":                           -time.Second,
		"ServerAliveInterval 0\n":    0,
		"ServerAliveInterval none\n": 0,
		"ServerAliveInterval 1m5\n":  65 * time.Second,
		"ServerAliveInterval none\nServerAliveInterval 5\n": 5 * time.Second,
	} {
		if h, err := resolve(t, config, "foo"); err != nil || h.ServerAliveInterval != want {
			t.Errorf("%q: got %v, %v, want %v", config, h, err, want)
		}
	}
}

// TestStricter lists what ssh lets pass, in some versions, and we refuse.
func TestStricter(t *testing.T) {
	for _, c := range []struct{ config, destination, want string }{
		{"", "", "no host name"},
		{"HostName -x", "foo", "invalid characters"},
		{"HostName \"a b\"", "foo", "invalid characters"},
		{"User a\x01b", "foo", "control characters"},
		{"User a\x00b", "foo", "NUL"},
		{"ProxyJump a b", "foo", "blanks"},
		{"ProxyJump a,%z", "foo", "unknown token"},
		{"IdentityFile %z", "foo", "unknown token"},
		{"\"Port 22", "foo", "invalid quotes"},
		{"=Port 22", "foo", "no keyword"},
		{"\"\" Port 22", "foo", "no keyword"},
		{"CASignatureAlgorithms ssh-rsa-*,!ssh-rsa", "foo", "negated"}, // ssh says so and goes on
		{"Ciphers ,nope", "foo", "no algorithm"},
		{"RekeyLimit 1G,", "foo", "bad size"},
		{"RevokedHostKeys %z", "foo", "unknown token"}, // not expanded in 9.2
		{"ProxyCommand %z", "foo", "unknown token"},    // told when it is run
		{"Include %z", "foo", "unknown token"},         // not expanded in 9.2
		{"RefuseConnection x", "foo", "refuses"},
		{"UserKnownHostsFile " + strings.Repeat("%h", 20000), "foo", "too long"},
	} {
		if _, err := resolve(t, c.config+"\n", c.destination); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q, %q: got %v, want %q", c.config, c.destination, err, c.want)
		}
	}
}

// TestMoreLenient lists what only some versions of ssh take, and we take.
func TestMoreLenient(t *testing.T) {
	for _, c := range []struct{ config, destination string }{
		{"", "ssh://u@[::1]:22"},
		{"Tag x", "foo"},
		{"UseKeychain yes", "foo"},
		{"ProxyJump none # or not", "foo"},
		{"UserKnownHostsFile %j", "foo"},
		{"ObscureKeystrokeTiming perhaps", "foo"},
		{"ForkAfterAuthentication yes", "foo"},
		{"SendEnv a=b", "foo"},
		{"UserKnownHostsFile %C-%j", "foo"},
		{"HostKeyAlgorithms webauthn-sk-ecdsa-sha2-nistp256-cert-v01@openssh.com", "foo"},
		{"KexAlgorithms mlkem768x25519-sha256", "foo"},
		{"Match sessiontype none version OpenSSH_1*\nUser u", "foo"},
		{"Include ${PATH}/%h", "foo"},
	} {
		h, err := resolve(t, c.config+"\n", c.destination)
		if err != nil || len(h.ProxyJump) > 0 {
			t.Errorf("%q, %q: got %+v, %v", c.config, c.destination, h, err)
		}
	}
}

// TestSyntaxError: file, line and message, also from an included file, from an
// inactive block and from an option.
func TestSyntaxError(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/inner", "\n\nHostnme x\n")
	for _, c := range []struct{ config, option, file, want string }{
		{"# x\n\nHostnme x\n", "", "/config", `:3: bad configuration option "hostnme": expected a keyword of ssh_config(5)`},
		{"Host bar\n Port x\n", "", "/config", `:2: port: bad port "x": expected one from 1 to 65535 or the name of a service`},
		{"Host bar\n Include " + dir + "/inner\n", "", "/inner", `:3: bad configuration option "hostnme": expected a keyword of ssh_config(5)`},
		{"User\n", "", "/config", `:1: no argument after keyword "User"`},
		{"User \"\"\n", "", "/config", `:1: user: missing argument`},
		{"User a b\n", "", "/config", `:1: user: extra arguments at end of line: "b"`},
		{"User 'a\n", "", "/config", `:1: invalid quotes`},
		{"ServerAliveInterval 1y\n", "", "/config", `:1: serveraliveinterval: invalid time "1y": expected one like 90, 10m or 1h30m`},
		{"Ciphers aes*\n", "", "/config", `:1: ciphers: unknown algorithm "aes*": expected some of ` + strings.Join(cipherNames, ", ")},
		{"Host bar\nTCPKeepAlive on\n", "", "/config", `:2: tcpkeepalive: unsupported option "on": expected yes, no`},
		{"\nMatch host\n", "", "/config", `:2: match: missing argument for host`},
		{"Match hots x\n", "", "/config", `:1: match: unsupported condition "hots": expected all, final, canonical, exec, host, ` +
			`originalhost, user, localuser, localnetwork, tagged, version, sessiontype or command`},
		{"", "Port=x", "command line", `: option "Port=x": port: bad port "x": expected one from 1 to 65535 or the name of a service`},
	} {
		write(t, dir+"/config", c.config)
		r := Resolver{File: dir + "/config"}
		if c.option != "" {
			r.Options = []string{c.option}
		}
		_, err := r.Resolve("foo")
		se, ok := errors.AsType[*SyntaxError](err)
		if !ok || !strings.HasSuffix(se.File, c.file) || se.Error() != se.File+c.want {
			t.Errorf("%q: got %v, want %s%s", c.config, err, c.file, c.want)
		}
	}
}

// TestIncludeCycle ends with an error and does not run long.
func TestIncludeCycle(t *testing.T) {
	dir := t.TempDir()
	a, b := dir+"/a", dir+"/b"
	write(t, a, strings.Repeat("Include "+b+" "+b+"\n", 100))
	write(t, b, strings.Repeat("Include "+a+" "+a+"\n", 100))
	_, err := (&Resolver{File: a}).Resolve("foo")
	if se, ok := errors.AsType[*SyntaxError](err); !ok || !strings.Contains(se.Error(), "more than 16 files deep") {
		t.Errorf("got %v", err)
	}
}

func TestLimits(t *testing.T) {
	if _, err := resolve(t, "#"+strings.Repeat("x", maxFile), "foo"); err == nil {
		t.Error("a file of any length is read")
	}
	var many strings.Builder
	for i := range 101 {
		many.WriteString("IdentityFile " + strings.Repeat("x", i+1) + "\n")
	}
	if _, err := resolve(t, many.String(), "foo"); err == nil || !strings.Contains(err.Error(), ":101: ") {
		t.Errorf("101 identity files: got %v", err)
	}
}

// TestManyFiles: 16 files, each of which includes the next one twice, are 65,536
// to read. ssh reads them.
func TestManyFiles(t *testing.T) {
	dir := t.TempDir()
	for i := range 16 {
		next := filepath.Join(dir, strconv.Itoa(i+1))
		write(t, filepath.Join(dir, strconv.Itoa(i)), "Include "+next+" "+next+"\n")
	}
	write(t, filepath.Join(dir, "16"), "User u\n")
	r := &Resolver{File: filepath.Join(dir, "0")}
	if _, err := r.Resolve("foo"); err == nil || !strings.Contains(err.Error(), "more than 4096 files") {
		t.Errorf("got %v", err)
	}
	if hosts, err := r.Hosts(); err != nil || len(hosts) > 0 {
		t.Errorf("Hosts: got %q, %v", hosts, err)
	}
}

// TestSteps: comparing patterns ends with an error where it would take long.
func TestSteps(t *testing.T) {
	long := strings.Repeat("a", 1000)
	stars := strings.Repeat("*a", 2000) + "b"
	for name, config := range map[string]string{
		"Host":          strings.Repeat("Host "+stars+"\n", 600),
		"Match":         strings.Repeat("Match host "+stars+"\n", 600),
		"IgnoreUnknown": "IgnoreUnknown " + stars + ",*\n" + strings.Repeat(long+" x\n", 600),
	} {
		if _, err := resolve(t, config, long); err == nil || !strings.Contains(err.Error(), "too many patterns to compare") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestJump(t *testing.T) {
	for _, hop := range []string{"", "@a", "u@", "a:x", "a:65536", "[a", "[a]b", "::1", "a/b", "-a", "a b", "a;b", "u;v@a", "ssh://a/b", "[]"} {
		if h, err := (&Resolver{File: "none"}).Jump(hop); err == nil {
			t.Errorf("%q: got %+v", hop, h)
		}
	}
}

// TestJumpOption: a hop from the command line is checked at once, as newer ssh
// does, and one in a file when it is used.
func TestJumpOption(t *testing.T) {
	for _, jumps := range []string{"-x", "a;b", "gw,a$b", "u;v@gw", "-u@gw,gw"} {
		if h, err := resolve(t, "", "foo", "ProxyJump="+jumps); err == nil || !strings.Contains(err.Error(), "invalid characters") {
			t.Errorf("%q: got %+v, %v", jumps, h, err)
		}
		if _, err := resolve(t, "ProxyJump "+jumps+"\n", "foo"); err != nil {
			t.Errorf("%q in a file: got %v", jumps, err)
		}
	}
}

func TestMatch(t *testing.T) {
	for _, c := range []struct {
		s, pattern string
		want       bool
	}{
		{"", "", true}, {"", "*", true}, {"", "?", false}, {"a", "", false}, {"abc", "a*c", true}, {"abc", "a*b", false},
		{"abcbc", "a*bc", true}, {"abc", "***", true}, {"abc", "???", true}, {"abc", "??", false}, {"abc", "*?*?*?*", true},
		{"abc", "*?*?*?*?*", false}, {"a*c", "a*c", true}, {"Abc", "abc", false}, {"abc", "[a]bc", false},
		{strings.Repeat("a", 1000), strings.Repeat("*a", 500) + "b", false}, // no backtracking without end
	} {
		if got := match(c.s, c.pattern); got != c.want {
			t.Errorf("match(%q, %q): got %v", c.s, c.pattern, got)
		}
	}
}

// FuzzParse: no bytes in a file or as a hop make the parser panic, hang or
// take memory out of proportion, and what it accepts can be resolved or not,
// but without harm.
func FuzzParse(f *testing.F) {
	corpus, err := os.ReadFile("testdata/corpus.txt")
	if err != nil {
		f.Fatal(err)
	}
	for section := range strings.SplitSeq(string(corpus), "\n== ") {
		f.Add([]byte(section))
	}
	for _, s := range []string{
		"Match host foo exec \"x %h\" user %u,!x localnetwork 192.0.2.0/24 tagged * final all\nInclude ${PATH}/%h a b\n",
		"CanonicalizeHostname always\nCanonicalDomains a b.c\nCanonicalizePermittedCNAMEs *.a:*.b\nMatch canonical host *.a\nUser %u\n",
		"Ciphers -*a*,!aes*\nHostKeyAlgorithms ^ssh-*,RSA\nIPQoS 0x10 ef\nRekeyLimit 1.5G 1h\nAddKeysToAgent confirm 1h\n",
		"LocalForward [::1]:80 /a/b\\:c\nRemoteForward 1080\nDynamicForward a:1\nProxyJump a,u@[b]:2\nProxyCommand x %h\n",
		"ControlPath ~/%C\nIdentityAgent $X\nForwardAgent ${PATH}\nRevokedHostKeys %z\nKnownHostsCommand x %H\nRefuseConnection no\n",
	} {
		f.Add([]byte(s))
	}
	f.Add([]byte("IgnoreUnknown *\nHost *\nMatch all\nInclude x\nUser \"a\\\"b\" # c\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		reads := 0
		r := &Resolver{File: "f", Home: "/home/me", outside: outside{
			glob: func(pattern string) []string { return []string{pattern} },
			read: func(name string, _ bool) (string, error) {
				reads++
				switch {
				case name == "f":
					return string(data), nil
				case reads > 20:
					return "", fs.ErrNotExist
				}
				return "Host foo*\nPort 1\nMatch final host f*\nUser u\nHost *\n", nil
			},
			run:      func(command string) (bool, error) { return len(command)%2 == 0, nil },
			networks: func() ([]string, error) { return []string{"192.0.2.1"}, nil },
			lookup: func(_, name string, _ bool) (string, error) {
				if len(name)%2 == 0 {
					return "", fs.ErrNotExist
				}
				return "www." + name, nil
			},
		}}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		h, err := r.Resolve("foo")
		runtime.ReadMemStats(&after)
		// The constant is for 232 file names, each of up to 32 KiB when expanded.
		if took := after.TotalAlloc - before.TotalAlloc; took > 64<<20+2000*uint64(len(data)) {
			t.Errorf("%d bytes took %d bytes of memory", len(data), took)
		}
		r.Hosts()
		if err != nil {
			return
		}
		if h.HostName == "" || h.Port < 1 || h.Port > 65535 || h.User == "" || !validHost(h.HostName) {
			t.Errorf("got %+v", h)
		}
		for _, hop := range h.ProxyJump {
			if _, err := parseHop(hop); err != nil {
				t.Errorf("hop %q: %v", hop, err)
			}
		}
		h.Dump(nil)
		h.Expand(string(data), map[byte]string{'H': "x"})
	})
}
