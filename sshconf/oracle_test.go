package sshconf

import (
	"bytes"
	"cmp"
	"fmt"
	"math/rand"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// question is one configuration and what is asked of it.
type question struct {
	name   string
	config string
	args   []string // -o options, then the destination
}

// TestCorpus asks ssh -G and Resolve the same questions about configurations
// written by hand.
func TestCorpus(t *testing.T) {
	data, err := os.ReadFile("testdata/corpus.txt")
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(data), "\n== ")
	unescape := strings.NewReplacer(`\r`, "\r", `\f`, "\f", `\xef\xbb\xbf`, "\xef\xbb\xbf", `\x80`, "\x80", `\xff`, "\xff")
	var questions []question
	for section := range strings.SplitSeq(text, "\n== ") {
		name, body, _ := strings.Cut(section, "\n")
		dir := t.TempDir()
		path := filepath.Join(dir, "config")
		files := map[string]string{path: ""}
		var asked []question
		for s := range strings.Lines(strings.TrimSuffix(body, "\n")) {
			if args, ok := strings.CutPrefix(s, "$ "); ok {
				asked = append(asked, question{name: name, config: filepath.Join(dir, "config"), args: strings.Fields(unescape.Replace(args))})
			} else if inner, ok := strings.CutPrefix(s, "-- "); ok {
				path = filepath.Join(dir, strings.TrimSuffix(strings.TrimSpace(inner), " --"))
			} else {
				files[path] += unescape.Replace(strings.ReplaceAll(s, "$DIR", dir))
			}
		}
		for path, content := range files {
			write(t, path, content)
		}
		questions = append(questions, asked...)
	}
	ask(t, questions)
}

// TestGenerated does so with configurations that are put together at random.
func TestGenerated(t *testing.T) {
	rng := rand.New(rand.NewSource(1))
	dir := t.TempDir()
	var questions []question
	for i := range 2000 {
		path := filepath.Join(dir, strconv.Itoa(i))
		inner := path + ".inc"
		write(t, inner, generate(rng, ""))
		write(t, path, generate(rng, inner))
		args := []string{pick(rng, "web", "Web", "db1", "u@db2", "gw.example.com", "ssh://v@web:2222")}
		if rng.Intn(3) == 0 {
			args = append([]string{"-o", strings.ReplaceAll(pick(rng, settings...), " ", "=")}, args...)
		}
		questions = append(questions, question{name: strconv.Itoa(i), config: path, args: args})
	}
	ask(t, questions)
}

var settings = strings.Split(strings.TrimSpace(`
Port 2022
Port 23
User alice
User bob
HostName %h.example.org
HostName 192.0.2.7
HostName WWW.example.com
IdentityFile ~/.ssh/id_%h
IdentityFile /keys/a
IdentityFile none
IdentitiesOnly yes
IdentitiesOnly no
IdentityAgent ~/agent-%r
IdentityAgent none
CertificateFile /keys/%h
CertificateFile ~/.ssh/c
UserKnownHostsFile ~/.ssh/kh/%n-%p-%r
UserKnownHostsFile /dev/null
UserKnownHostsFile none
UserKnownHostsFile ~/.ssh/known_hosts
GlobalKnownHostsFile /etc/kh
KnownHostsCommand /bin/kh-%H-%%
RevokedHostKeys /etc/revoked
RevokedHostKeys none
StrictHostKeyChecking accept-new
StrictHostKeyChecking no
StrictHostKeyChecking ask
UpdateHostKeys no
VerifyHostKeyDNS ask
VerifyHostKeyDNS no
ProxyJump gw
ProxyJump u@gw:22,web
ProxyJump none
ProxyCommand nc
ProxyCommand nc-%h-%p
ProxyCommand none
ProxyUseFdpass no
ControlMaster auto
ControlPath ~/.ssh/%C
ControlPath none
ControlPersist 10m
ServerAliveInterval 30
ServerAliveInterval 1m30s
ServerAliveInterval none
ServerAliveCountMax 5
ConnectTimeout 10
ConnectTimeout none
ConnectTimeout 2m
ConnectionAttempts 3
TCPKeepAlive no
IPQoS af21
IPQoS 0x20
RekeyLimit 1G
RekeyLimit default
AddressFamily inet
AddressFamily inet6
BindAddress 127.0.0.1
BindInterface lo
ForwardAgent no
ForwardAgent yes
Compression yes
LogLevel ERROR
HostKeyAlias KEY
HostKeyAlias %h
HashKnownHosts yes
HashKnownHosts no
BatchMode yes
AddKeysToAgent 1h
AddKeysToAgent ask
PreferredAuthentications publickey,password
PubkeyAuthentication no
PasswordAuthentication no
ChallengeResponseAuthentication no
KbdInteractiveAuthentication yes
NumberOfPasswordPrompts 1
RequiredRSASize 2048
NoHostAuthenticationForLocalhost yes
Ciphers +aes256-cbc,3des-cbc
Ciphers -aes*,!aes128-ctr
Ciphers aes256-ctr
MACs ^hmac-sha2-512
MACs -umac*
KexAlgorithms +diffie-hellman-group14-sha1
KexAlgorithms -*nistp*
HostKeyAlgorithms ssh-ed25519,rsa-*
HostKeyAlgorithms ^ssh-rsa
PubkeyAcceptedKeyTypes +ssh-rsa
PubkeyAcceptedAlgorithms -rsa-*
CASignatureAlgorithms ^ssh-ed25519
CanonicalizeHostname yes
CanonicalizeHostname always
CanonicalizeHostname no
CanonicalizeMaxDots 2
CanonicalizeFallbackLocal yes
CanonicalDomains none
LocalForward 8080 web:80
DynamicForward 1080
GatewayPorts yes
RemoteCommand true
SessionType none
RequestTTY no
GSSAPIAuthentication yes
PKCS11Provider none
Tunnel no
`), "\n")

// conditions are those of Match lines.
var conditions = strings.Split(strings.TrimSpace(`
host web
host *.example.com,!gw*
host=web
host *.example.org
host 192.0.2.*
originalhost web,db1
originalhost W*
originalhost gw.example.com
user alice
user u,v
user "bob,root"
localuser *
localuser nobody
final
canonical
exec true
exec "test %h = web"
exec "test %n%r = db2u"
exec false
`), "\n")

// generate writes some 20 lines of configuration, one in 300 of them wrong.
func generate(rng *rand.Rand, include string) string {
	var b strings.Builder
	for range 5 + rng.Intn(25) {
		s := pick(rng, settings...)
		keyword, value, _ := strings.Cut(s, " ")
		whole := strings.Contains(keyword, "Proxy") || strings.HasSuffix(keyword, "Command") // taken as it stands
		switch n := rng.Intn(100); {
		case n < 14:
			b.WriteString("Host")
			for range 1 + rng.Intn(3) {
				b.WriteString(" " + pick(rng, "", "", "", "!") + pick(rng, "*", "web", "db?", "db*", "*.example.com", "gw*", "x", `"we"b`, "?e*"))
			}
			s = ""
		case n < 22:
			b.WriteString("Match")
			for range rng.Intn(2) {
				b.WriteString(" " + pick(rng, "", "", "!") + pick(rng, conditions...))
			}
			s = " " + pick(rng, "", "", "!") + pick(rng, conditions...) + pick(rng, "", "", " # x")
			if !strings.Contains(s, "#") && rng.Intn(4) == 0 {
				s = pick(rng, " all", s+" all") // right where one condition is before it
			}

		case n < 25:
			s = pick(rng, "# "+s, "", "   ", "Match all", "Match !all", "Match final all")
		case n < 28 && include != "":
			s = "Include " + include
		case n < 32:
			s = strings.ToUpper(keyword) + "=" + value
		case n < 36:
			s = keyword + " = " + value + " \t"
		case n < 44 && !whole:
			s = keyword + pick(rng, ` "`+value+`"`, ` '`+value+`'`, ` "`+value+`" # rest`, "\t"+value+"\r")
		case n == 44 && rng.Intn(3) == 0 && !whole && !strings.HasSuffix(keyword, "Forward"):
			s = pick(rng, keyword, s[1:], s+` "`, keyword+` ""`, s+" x", "Match", "Match nope x", "Match host")
		}
		b.WriteString(pick(rng, "", "  ", "\t") + s + "\n")
	}
	return b.String()
}

func pick(rng *rand.Rand, from ...string) string { return from[rng.Intn(len(from))] }

// TestJumpOracle compares Jump with how ssh asks for a hop.
func TestJumpOracle(t *testing.T) {
	config := filepath.Join(t.TempDir(), "config")
	write(t, config, "Host gw\nHostName gw.example.com\nPort 2022\nUser jump\nProxyJump outer\n")
	ssh := newOracle(t)
	for hop, args := range map[string][]string{
		"gw":            {"gw"},
		"u@gw":          {"-l", "u", "gw"},
		"gw:23":         {"-p", "23", "gw"},
		"u@gw:23":       {"-l", "u", "-p", "23", "gw"},
		"ssh://u@gw:23": {"-l", "u", "-p", "23", "gw"},
		"[::1]:23":      {"-p", "23", "::1"},
		"[gw]":          {"gw"},
		"GW":            {"GW"},
		"a;b":           {"a;b"},
		"u;v@gw":        {"-l", "u;v", "gw"},
		`"gw"`:          {`"gw"`},
	} {
		want, wantErr := sshG(t, config, args)
		r := Resolver{File: config, Options: []string{"Port=99"}} // not for hops
		h, err := r.Jump(hop)
		if (err != nil) != (wantErr != "") {
			t.Errorf("%s: got error %v, ssh says %q", hop, err, wantErr)
		} else if err == nil {
			ssh.compare(t, hop, config, h, want)
		}
	}
}

// TestKeywordNames asks ssh whether it knows what we read over.
func TestKeywordNames(t *testing.T) {
	var b strings.Builder
	for name := range ignored {
		fmt.Fprintf(&b, "%s \"\n", name) // the open quote ends it when the name is known
	}
	for name := range byName {
		fmt.Fprintf(&b, "%s \"\n", name)
	}
	b.WriteString("nosuchkeyword \"\n")
	config := filepath.Join(t.TempDir(), "config")
	write(t, config, b.String())
	_, said := sshG(t, config, []string{"foo"})
	// Newer than the oldest ssh at hand, or not in every vendor's.
	may := []string{"channeltimeout", "obscurekeystroketiming", "refuseconnection", "tag", "versionaddendum",
		"warnweakcrypto", "rsaminsize", "usekeychain", "setuptimeout", "protocolkeepalives"}
	unknown := false
	for s := range strings.Lines(said) {
		_, name, ok := strings.Cut(strings.TrimSpace(s), "Bad configuration option: ")
		unknown = unknown || name == "nosuchkeyword"
		if ok && name != "nosuchkeyword" && !slices.Contains(may, name) && !strings.HasPrefix(name, "gssapi") {
			t.Errorf("ssh does not know %q", name)
		}
	}
	if !unknown {
		t.Errorf("ssh takes nosuchkeyword: %s", said)
	}
}

// tally counts what was compared.
type tally struct {
	questions, refused, options atomic.Int64
	differences                 [len(differences)]atomic.Int64
}

// ask puts all questions to ssh and to us, several at a time.
func ask(t *testing.T, questions []question) {
	t.Helper()
	ssh := newOracle(t)
	configs := make(map[string]bool)
	var wg sync.WaitGroup
	room := make(chan struct{}, max(2, runtime.GOMAXPROCS(0)))
	for _, q := range questions {
		configs[q.config] = true
		wg.Go(func() {
			room <- struct{}{}
			defer func() { <-room }()
			ssh.answer(t, q)
		})
	}
	wg.Wait()
	n := &ssh.tally
	t.Logf("%d configurations, %d questions (%d refused by both), %d options compared",
		len(configs), n.questions.Load(), n.refused.Load(), n.options.Load())
	for i, d := range differences {
		t.Logf("%d listed differences in %s: %s", n.differences[i].Load(), d.keyword, d.why)
	}
}

// oracle is the installed ssh.
type oracle struct {
	tally
	own   map[string][]string // its algorithms by keyword
	known map[string][]string // all that it has
}

func newOracle(t *testing.T) *oracle {
	t.Helper()
	o := &oracle{own: make(map[string][]string), known: make(map[string][]string)}
	out, said := sshG(t, "none", []string{"foo"})
	if out == nil {
		t.Fatal(said)
	}
	for keyword, query := range map[string]string{
		"ciphers": "cipher", "macs": "mac", "kexalgorithms": "kex", "hostkeyalgorithms": "key-sig",
		"pubkeyacceptedalgorithms": "key-sig", "casignaturealgorithms": "sig",
	} {
		o.own[keyword] = strings.Split(out[keyword][0], ",")
		all, err := exec.Command("ssh", "-Q", query).Output()
		if err != nil {
			t.Fatal(err)
		}
		o.known[keyword] = strings.Fields(string(all))
	}
	return o
}

func (o *oracle) answer(t *testing.T, q question) {
	o.questions.Add(1)
	want, wantErr := sshG(t, q.config, q.args)
	r := Resolver{File: q.config}
	for i := 0; i+1 < len(q.args); i += 2 {
		r.Options = append(r.Options, q.args[i+1])
	}
	h, err := r.Resolve(q.args[len(q.args)-1])
	what := fmt.Sprintf("%s: %s", q.name, strings.Join(q.args, " "))
	switch {
	case (err != nil) != (wantErr != ""):
		config, _ := os.ReadFile(q.config)
		t.Errorf("%s: got error %v, ssh says %q\n%s", what, err, wantErr, config)
	case err != nil:
		o.refused.Add(1)
	default:
		o.compare(t, what, q.config, h, want)
	}
}

// sshG runs ssh -G, and returns what it prints by keyword or else what it says
// as it fails. The key "" holds the keywords in their order.
func sshG(t *testing.T, config string, args []string) (map[string][]string, string) {
	ssh, err := exec.LookPath("ssh")
	if err != nil {
		t.Error("ssh is missing: apt-get install openssh-client")
		return nil, ""
	}
	args = append([]string{"-G", "-F", config}, args...)
	dest := len(args) - 1
	args = append(args[:dest:dest], "--", args[dest])
	cmd := exec.Command(ssh, args...)
	cmd.Env = append(os.Environ(), "RES_OPTIONS=timeout:1 attempts:1") // ssh looks some names up
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, err.Error() + "\n" + stderr.String()
	}
	return byKeyword(strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")), ""
}

func byKeyword(lines []string) map[string][]string {
	values := make(map[string][]string)
	for _, s := range lines {
		keyword, value, _ := strings.Cut(s, " ")
		keyword = strings.ToLower(keyword) // of canonicalizePermittedcnames
		if values[keyword] == nil {
			values[""] = append(values[""], keyword)
		}
		values[keyword] = append(values[keyword], value)
	}
	return values
}

// unprinted are what ssh -G prints and Dump does not: what a tunnel has no use for.
var unprinted = names(`
	EscapeChar HostbasedAcceptedAlgorithms LogVerbose PermitRemoteOpen
	SendEnv SetEnv StreamLocalBindMask SyslogFacility TunnelDevice
	GSSAPIAuthentication GSSAPIDelegateCredentials GSSAPIKeyExchange GSSAPIKexAlgorithms
	GSSAPITrustDNS GSSAPIRenewalForcesRekey GSSAPIClientIdentity GSSAPIServerIdentity
`)

type difference struct {
	keyword, why string
	meant        func(got, want []string, h *Host) bool
}

// differences are those between Dump and ssh -G that are meant to be. What one
// of the two refuses and the other takes is in TestStricter and TestMoreLenient.
// One more cannot be asked for everywhere: Go finds "localhost." with its dot in
// the hosts file and the C library does not, so that CanonicalizeHostname makes
// "localhost" of it here.
var differences = [...]difference{
	{
		"serveraliveinterval", "when nothing is said, a tunnel's own default is in force; ssh's is 0, or 300 in Debian's with BatchMode",
		func(got, want []string, h *Host) bool {
			own := strconv.Itoa(int(ServerAliveDefault / time.Second))
			return h.ServerAliveInterval < 0 && got[0] == own && (want[0] == "0" || h.BatchMode && want[0] == "300") ||
				got[0] == "0" && h.BatchMode && want[0] == "300" // "none" is 0 here
		},
	},
	{
		"identityfile", "XMSS and DSA keys are gone",
		func(got, want []string, h *Host) bool {
			return h.DefaultIdentities && slices.Equal(slices.Concat(got, []string{"~/.ssh/id_xmss", "~/.ssh/id_dsa"}), want)
		},
	},
	{
		"controlpath", "%C tells of the jump host as well since 9.6",
		func(got, want []string, h *Host) bool {
			old := strings.ReplaceAll(strings.Join(got, "\n"), h.tokens['C'], h.tokens.connection(""))
			return len(h.ProxyJump) > 0 && old == strings.Join(want, "\n")
		},
	},
	{
		"dynamicforward", "ssh lists a LocalForward to a socket here as well",
		func(got, want []string, h *Host) bool {
			return len(got) < len(want) && strings.Contains(strings.Join(h.shown["localforward"], ""), "/")
		},
	},
}

// compare holds h against what ssh -G printed.
func (o *oracle) compare(t *testing.T, what, config string, h *Host, want map[string][]string) {
	t.Helper()
	lists := make(map[string][]string)
	for keyword, said := range map[string]Algorithms{
		"ciphers": h.Ciphers, "macs": h.MACs, "kexalgorithms": h.KexAlgorithms, "hostkeyalgorithms": h.HostKeyAlgorithms,
		"pubkeyacceptedalgorithms": h.PubkeyAcceptedAlgorithms, "casignaturealgorithms": h.CASignatureAlgorithms,
	} {
		lists[keyword] = said.Of(o.own[keyword], o.known[keyword])
	}
	got := byKeyword(h.Dump(lists))
	order := slices.DeleteFunc(slices.Clone(want[""]), func(s string) bool { return unprinted[s] })
	both := slices.DeleteFunc(slices.Clone(order), func(s string) bool { return got[s] == nil })
	if !slices.Equal(got[""], both) {
		t.Errorf("%s: got the keywords %q, ssh has %q", what, got[""], order)
	}
	for _, keyword := range order {
		o.options.Add(1)
		if slices.Equal(got[keyword], want[keyword]) {
			continue
		}
		i := slices.IndexFunc(differences[:], func(d difference) bool {
			return d.keyword == keyword && d.meant(got[keyword], want[keyword], h)
		})
		if i >= 0 {
			o.tally.differences[i].Add(1)
			continue
		}
		config, _ := os.ReadFile(config)
		t.Errorf("%s: %s: got %q, ssh says %q\n%s", what, keyword, got[keyword], want[keyword], config)
	}
	compareHost(t, what, h, want)
}

// compareHost holds the fields of h against what ssh -G printed.
func compareHost(t *testing.T, what string, h *Host, want map[string][]string) {
	t.Helper()
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	yes := func(b bool) string { return map[bool]string{true: "yes", false: "no"}[b] }
	for _, c := range []struct{ keyword, got string }{
		{"hostname", h.HostName},
		{"port", strconv.Itoa(h.Port)},
		{"user", h.User},
		{"addressfamily", h.AddressFamily},
		{"bindaddress", h.BindAddress},
		{"bindinterface", h.BindInterface},
		{"connecttimeout", seconds(h.ConnectTimeout)},
		{"connectionattempts", strconv.Itoa(h.ConnectionAttempts)},
		{"tcpkeepalive", yes(h.TCPKeepAlive)},
		{"proxyusefdpass", yes(h.ProxyUseFdpass)},
		{"controlmaster", h.ControlMaster},
		{"identitiesonly", yes(h.IdentitiesOnly)},
		{"preferredauthentications", strings.Join(h.PreferredAuthentications, ",")},
		{"passwordauthentication", yes(h.PasswordAuthentication)},
		{"kbdinteractiveauthentication", yes(h.KbdInteractiveAuthentication)},
		{"numberofpasswordprompts", strconv.Itoa(h.NumberOfPasswordPrompts)},
		{"batchmode", yes(h.BatchMode)},
		{"hashknownhosts", yes(h.HashKnownHosts)},
		{"hostkeyalias", h.HostKeyAlias},
		{"userknownhostsfile", cmp.Or(strings.Join(h.UserKnownHostsFiles, " "), "none")},
		{"globalknownhostsfile", cmp.Or(strings.Join(h.GlobalKnownHostsFiles, " "), "none")},
		{"knownhostscommand", h.KnownHostsCommand},
		{"stricthostkeychecking", h.StrictHostKeyChecking},
		{"nohostauthenticationforlocalhost", yes(h.NoHostAuthenticationForLocalhost)},
		{"verifyhostkeydns", h.VerifyHostKeyDNS},
		{"requiredrsasize", strconv.Itoa(h.RequiredRSASize)},
		{"serveralivecountmax", strconv.Itoa(h.ServerAliveCountMax)},
	} {
		want := strings.Join(want[c.keyword], "\n")
		switch c.keyword {
		case "stricthostkeychecking", "controlmaster", "verifyhostkeydns":
			want = yesOrNo(want)
		case "globalknownhostsfile": // printed before ~ is replaced
			want = strings.ReplaceAll(want, "~/", me.HomeDir+"/")
		case "connecttimeout":
			want = strings.Replace(want, "none", "0", 1)
		}
		if c.got != want {
			t.Errorf("%s: the field for %s: got %q, ssh says %q", what, c.keyword, c.got, want)
		}
	}
	if pubkey := want["pubkeyauthentication"][0] != "false"; h.PubkeyAuthentication != pubkey {
		t.Errorf("%s: PubkeyAuthentication: got %v", what, h.PubkeyAuthentication)
	}
	if limit, _, _ := strings.Cut(want["rekeylimit"][0], " "); strconv.FormatUint(h.RekeyLimit, 10) != limit {
		t.Errorf("%s: RekeyLimit: got %d, ssh says %s", what, h.RekeyLimit, limit)
	}
	if qos, _, err := parseQoS(strings.Fields(want["ipqos"][0])[1]); err != nil || h.IPQoS != qos {
		t.Errorf("%s: IPQoS: got %d, ssh says %s", what, h.IPQoS, want["ipqos"])
	}
	if agent := strings.Join(want["identityagent"], ""); !strings.HasPrefix(agent, "$") && agent != "SSH_AUTH_SOCK" &&
		!isNone(agent) && h.IdentityAgent != agent {
		t.Errorf("%s: IdentityAgent: got %q, ssh says %q", what, h.IdentityAgent, agent)
	}

	// ssh -G prints these before they are expanded. That the same rules apply as
	// to UserKnownHostsFile, whose expansion it does print, is checked in TestTokens.
	for _, c := range []struct {
		keyword string
		got     []string
	}{{"identityfile", h.IdentityFiles}, {"certificatefile", h.CertificateFiles}} {
		var files []string
		for _, s := range want[c.keyword] {
			if !isNone(s) && s != "~/.ssh/id_xmss" && s != "~/.ssh/id_dsa" {
				files = append(files, strings.NewReplacer("~/", me.HomeDir+"/", "%h", h.HostName, "%r", h.User).Replace(s))
			}
		}
		if !slices.Equal(c.got, files) {
			t.Errorf("%s: the field for %s: got %q, ssh says %q", what, c.keyword, c.got, files)
		}
	}
}

func seconds(d time.Duration) string { return strconv.Itoa(int(d / time.Second)) }

// write makes a file and the directories above it.
func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}
