package sshconf

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestCanonicalize(t *testing.T) {
	aliases := map[string]string{ // name to canonical name, as a resolver has it
		"web.corp.example.": "farm1.cdn.example.",
		"db.lab.example.":   "db.lab.example.",
		"a.b.corp.example.": "a.b.corp.example.",
		"anchored.":         "real.anchored.",
		"plain":             "canonical.example.",
		"bare.":             "-", // a resolver that tells no name
	}
	const domains = "CanonicalDomains corp.example Lab.Example.\n"
	for _, c := range []struct {
		name, config, host string
		want               string // HostName, or the error's text
		looked             []string
	}{
		{"off", domains, "web", "web", nil},
		{"first domain", "CanonicalizeHostname yes\n" + domains, "web", "web.corp.example", []string{"ip web.corp.example."}},
		{"second domain", "CanonicalizeHostname yes\n" + domains, "db", "db.lab.example",
			[]string{"ip db.corp.example.", "ip db.lab.example."}},
		{"case", "CanonicalizeHostname yes\n" + domains, "WEB", "web.corp.example", []string{"ip web.corp.example."}},
		{"family", "CanonicalizeHostname yes\nAddressFamily inet6\n" + domains, "web", "web.corp.example", []string{"ip6 web.corp.example."}},
		{"a dot", "CanonicalizeHostname yes\n" + domains, "a.b", "a.b.corp.example", []string{"ip a.b.corp.example."}},
		{"too many dots", "CanonicalizeHostname yes\nCanonicalizeMaxDots 0\n" + domains, "a.b", "a.b", nil},
		{"anchored", "CanonicalizeHostname yes\n" + domains, "anchored.", "anchored", []string{"ip anchored."}},
		{"anchored and unknown", "CanonicalizeHostname yes\n" + domains, "nope.", "nope.", []string{"ip nope."}},
		{"unknown", "CanonicalizeHostname yes\n" + domains, "nope", "nope",
			[]string{"ip nope.corp.example.", "ip nope.lab.example."}},
		{"no fallback", "CanonicalizeHostname yes\nCanonicalizeFallbackLocal no\n" + domains, "nope",
			`resolving "nope": "nope" is in none of CanonicalDomains, and CanonicalizeFallbackLocal is no`,
			[]string{"ip nope.corp.example.", "ip nope.lab.example."}},
		{"address", "CanonicalizeHostname yes\n" + domains, "192.0.2.1", "192.0.2.1", nil},
		{"hostname", "CanonicalizeHostname yes\nHostName web\n" + domains, "x", "web.corp.example", []string{"ip web.corp.example."}},
		{"proxy", "CanonicalizeHostname yes\nProxyCommand p\n" + domains, "web", "web", nil},
		{"jump", "CanonicalizeHostname yes\nProxyJump j\n" + domains, "web", "web", nil},
		{"proxy, always", "CanonicalizeHostname always\nProxyCommand p\n" + domains, "web", "web.corp.example",
			[]string{"ip web.corp.example."}},
		{"cname", "CanonicalizeHostname yes\nCanonicalizePermittedCNAMEs *.corp.example:*.CDN.example\n" + domains, "web",
			"farm1.cdn.example", []string{"ip web.corp.example. cname"}},
		{"cname of others", "CanonicalizeHostname yes\nCanonicalizePermittedCNAMEs *.corp.example:*.other.example x:*\n" + domains, "web",
			"web.corp.example", []string{"ip web.corp.example. cname"}},
		{"cname of an anchored one", "CanonicalizeHostname yes\nCanonicalizePermittedCNAMEs *:*\n", "anchored.",
			"real.anchored", []string{"ip anchored. cname"}},
		{"cname of a name in no domain", "CanonicalizeHostname yes\nCanonicalizePermittedCNAMEs *:*.example\n" + domains, "plain",
			"canonical.example", []string{"ip plain.corp.example. cname", "ip plain.lab.example. cname", "ip plain cname"}},
		{"cname that is not told", "CanonicalizeHostname yes\nCanonicalizePermittedCNAMEs *:*\n", "bare.", "bare", []string{"ip bare. cname"}},
		{"cname without canonicalisation", "CanonicalizePermittedCNAMEs *:*\n", "plain", "plain", []string{"ip plain cname"}},
		{"cname of nothing", "CanonicalizePermittedCNAMEs *:*\n", "nope", `resolving "nope": looking up "nope": no such host`,
			[]string{"ip nope cname"}},
		{"cname of nothing, by a proxy", "CanonicalizePermittedCNAMEs *:*\nProxyCommand p\n", "nope", "nope", nil},
	} {
		var looked []string
		r := &Resolver{File: filepath.Join(t.TempDir(), "config"), outside: outside{
			lookup: func(family, name string, cname bool) (string, error) {
				question := family + " " + name
				if cname {
					question += " cname"
				}
				looked = append(looked, question)
				if aliases[name] == "" {
					return "", fmt.Errorf("no such host")
				}
				return strings.TrimPrefix(aliases[name], "-"), nil
			},
		}}
		write(t, r.File, c.config)
		h, err := r.Resolve(c.host)
		got := fmt.Sprint(err)
		if err == nil {
			got = h.HostName
		}
		if got != c.want || !slices.Equal(looked, c.looked) {
			t.Errorf("%s: got %q, want %q; looked up %q, want %q", c.name, got, c.want, looked, c.looked)
		}
	}
}

// TestSecondPass: once a name is canonical, blocks for it count.
func TestSecondPass(t *testing.T) {
	r := &Resolver{File: filepath.Join(t.TempDir(), "config"), outside: outside{
		lookup: func(_, name string, _ bool) (string, error) { return name, nil },
	}}
	write(t, r.File, `CanonicalizeHostname yes
CanonicalDomains corp.example
Match canonical host *.corp.example
  User staff
Host web
  Port 1
Host web.corp.example
  Port 2
  BindAddress 192.0.2.1
  IdentityFile key-%h
Match final originalhost web
  CanonicalizeHostname no
  HostName other
`)
	h, err := r.Resolve("web")
	if err != nil {
		t.Fatal(err)
	}
	if h.HostName != "web.corp.example" || h.Alias != "web" || h.User != "staff" || h.Port != 1 || h.BindAddress != "192.0.2.1" ||
		!slices.Equal(h.IdentityFiles, []string{"key-web.corp.example"}) {
		t.Errorf("got %+v", h)
	}
}
