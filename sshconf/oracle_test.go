package sshconf

import (
	"bytes"
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
	unescape := strings.NewReplacer(`\r`, "\r", `\f`, "\f", `\xef\xbb\xbf`, "\xef\xbb\xbf")
	var questions []question
	for section := range strings.SplitSeq(text, "\n== ") {
		name, body, _ := strings.Cut(section, "\n")
		dir := t.TempDir()
		path := filepath.Join(dir, "config")
		files := map[string]string{path: ""}
		var asked []question
		for s := range strings.Lines(strings.TrimSuffix(body, "\n")) {
			if args, ok := strings.CutPrefix(s, "$ "); ok {
				asked = append(asked, question{name: name, config: filepath.Join(dir, "config"), args: strings.Fields(args)})
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
	for i := range 300 {
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

var settings = []string{
	"Port 2022", "Port 23", "User alice", "User bob", "HostName %h.example.org", "HostName 192.0.2.7",
	"IdentityFile ~/.ssh/id_%h", "IdentityFile /keys/a", "IdentityFile none", "IdentitiesOnly yes", "IdentitiesOnly no",
	"UserKnownHostsFile ~/.ssh/kh/%n-%p-%r", "UserKnownHostsFile /dev/null", "UserKnownHostsFile none",
	"GlobalKnownHostsFile /etc/kh", "StrictHostKeyChecking accept-new", "StrictHostKeyChecking no",
	"StrictHostKeyChecking ask", "ProxyJump gw", "ProxyJump u@gw:22,web", "ProxyJump none", "ProxyCommand nc",
	"ProxyCommand none", "ServerAliveInterval 30", "ServerAliveInterval 1m30s", "ServerAliveInterval none",
	"ServerAliveCountMax 5", "ConnectTimeout 10", "ConnectTimeout none", "ConnectTimeout 2m", "AddressFamily inet",
	"AddressFamily inet6", "ForwardAgent no", "Compression yes", "LogLevel ERROR", "HostKeyAlias KEY",
	"HashKnownHosts yes", "HashKnownHosts no",
}

// generate writes some 20 lines of configuration, one in 50 of them wrong.
func generate(rng *rand.Rand, include string) string {
	var b strings.Builder
	for range 5 + rng.Intn(25) {
		s := pick(rng, settings...)
		keyword, value, _ := strings.Cut(s, " ")
		switch n := rng.Intn(50); {
		case n < 8:
			b.WriteString("Host")
			for range 1 + rng.Intn(3) {
				b.WriteString(" " + pick(rng, "", "", "", "!") + pick(rng, "*", "web", "db?", "db*", "*.example.com", "gw*", "x", `"we"b`, "?e*"))
			}
			s = ""
		case n < 10:
			s = pick(rng, "# "+s, "", "   ", "Match all", "Match !all")
		case n < 12 && include != "":
			s = "Include " + include
		case n < 14:
			s = strings.ToUpper(keyword) + "=" + value
		case n < 16:
			s = keyword + " = " + value + " \t"
		case n < 20 && !strings.HasPrefix(keyword, "Proxy"):
			s = keyword + pick(rng, ` "`+value+`"`, ` '`+value+`'`, ` "`+value+`" # rest`, "\t"+value+"\r")
		case n == 20 && !strings.HasPrefix(keyword, "Proxy") && !ignored[strings.ToLower(keyword)]:
			s = pick(rng, keyword, s[1:], s+` "`, keyword+` ""`, s+" x")
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
			compare(t, hop, config, h, want)
		}
	}
}

// TestKeywordNames asks ssh whether it knows what we read over.
func TestKeywordNames(t *testing.T) {
	var b strings.Builder
	for name := range ignored {
		fmt.Fprintf(&b, "%s \"\n", name) // the open quote ends it when the name is known
	}
	for name := range keywords {
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

// ask puts all questions to ssh and to us, several at a time.
func ask(t *testing.T, questions []question) {
	t.Helper()
	var wg sync.WaitGroup
	room := make(chan struct{}, max(2, runtime.GOMAXPROCS(0)))
	for _, q := range questions {
		wg.Go(func() {
			room <- struct{}{}
			defer func() { <-room }()
			answer(t, q)
		})
	}
	wg.Wait()
	t.Logf("%d questions", len(questions))
}

func answer(t *testing.T, q question) {
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
	case err == nil:
		compare(t, what, q.config, h, want)
	}
}

// sshG runs ssh -G, and returns what it prints by keyword or else what it
// says as it fails.
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
	values := make(map[string][]string)
	for s := range strings.Lines(string(out)) {
		keyword, value, _ := strings.Cut(strings.TrimSuffix(s, "\n"), " ")
		values[keyword] = append(values[keyword], value)
	}
	return values, ""
}

func yesOrNo(b bool) string { return map[bool]string{true: "yes", false: "no"}[b] }

// compare holds h against what ssh -G printed.
func compare(t *testing.T, what, config string, h *Host, want map[string][]string) {
	t.Helper()
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ keyword, got string }{
		{"hostname", h.HostName},
		{"port", strconv.Itoa(h.Port)},
		{"user", h.User},
		{"addressfamily", h.AddressFamily},
		{"identitiesonly", yesOrNo(h.IdentitiesOnly)},
		{"batchmode", yesOrNo(h.BatchMode)},
		{"hashknownhosts", yesOrNo(h.HashKnownHosts)},
		{"hostkeyalias", h.HostKeyAlias},
		{"userknownhostsfile", oneLine(h.UserKnownHostsFiles)},
		{"globalknownhostsfile", oneLine(h.GlobalKnownHostsFiles)},
		{"stricthostkeychecking", h.StrictHostKeyChecking},
		{"proxyjump", jumpList(t, h.ProxyJump)},
		{"proxycommand", h.ProxyCommand},
		{"serveraliveinterval", seconds(max(h.ServerAliveInterval, 0))},
		{"serveralivecountmax", strconv.Itoa(h.ServerAliveCountMax)},
		{"connecttimeout", seconds(h.ConnectTimeout)},
	} {
		want := strings.Join(want[c.keyword], "\n")
		switch c.keyword {
		case "stricthostkeychecking":
			want = strings.NewReplacer("true", "yes", "false", "no").Replace(want)
		case "globalknownhostsfile": // printed before ~ is replaced
			want = strings.ReplaceAll(want, "~/", me.HomeDir+"/")
		case "hostkeyalias": // made small when it is used
			want = strings.ToLower(want)
		case "connecttimeout":
			want = strings.Replace(want, "none", "0", 1)
		}
		if c.got != want {
			text, _ := os.ReadFile(config)
			t.Errorf("%s: %s: got %q, ssh says %q\n%s", what, c.keyword, c.got, want, text)
		}
	}

	// ssh -G prints IdentityFile before it is expanded. That the same rules
	// apply as to UserKnownHostsFile, whose expansion it does print, is checked
	// in TestTokens.
	var identities []string
	for _, s := range want["identityfile"] {
		if s == "none" || s == "NONE" || s == "~/.ssh/id_xmss" || s == "~/.ssh/id_dsa" {
			continue
		}
		s = strings.NewReplacer("~/", me.HomeDir+"/", "%h", h.HostName, "%r", h.User).Replace(s)
		identities = append(identities, s)
	}
	if !slices.Equal(h.IdentityFiles, identities) {
		t.Errorf("%s: identityfile: got %q, ssh says %q", what, h.IdentityFiles, identities)
	}
}

// oneLine, jumpList and seconds write values as ssh -G does.
func oneLine(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, " ")
}

func jumpList(t *testing.T, hops []string) string {
	if len(hops) == 0 {
		return ""
	}
	i := len(hops) - 1 // ssh has taken apart the last one only
	last, err := parseHop(hops[i])
	if err != nil {
		t.Error(err)
	}
	s := last.host
	if strings.Contains(s, ":") || strings.Trim(s, "0123456789.") == "" {
		s = "[" + s + "]"
	}
	if last.user != "" {
		s = last.user + "@" + s
	}
	if last.port > 0 {
		s += ":" + strconv.Itoa(last.port)
	}
	return strings.Join(append(hops[:i:i], s), ",")
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
