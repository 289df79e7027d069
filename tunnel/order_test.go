package tunnel

import (
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/pasvport/pasvport/sshconf"
)

var willAttempt = regexp.MustCompile(`Will attempt key: (.*)`)

// planned are the keys that ssh would offer: file, unless only the agent knows the key; fingerprint; agent.
func planned(t *testing.T, addr string, options []string) []string {
	t.Helper()
	host, port, _ := strings.Cut(addr, ":")
	args := []string{"-v", "-F", "none", "-p", port, "-l", "anna", "-o", "BatchMode=yes",
		"-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"}
	for _, o := range options {
		args = append(args, "-o", o)
	}
	out, _ := exec.Command(program(t, "ssh"), append(args, host, "true")...).CombinedOutput()
	if !strings.Contains(string(out), "Permission denied") {
		t.Fatalf("ssh: %s", out)
	}
	var list []string
	for _, m := range willAttempt.FindAllStringSubmatch(string(out), -1) {
		line := strings.TrimSpace(m[1])
		name, _, _ := strings.Cut(line, " ")
		if strings.HasSuffix(line, " agent") && !strings.Contains(line, " explicit") {
			name = "" // it is the comment
		}
		print := regexp.MustCompile(`SHA256:\S+`).FindString(line)
		cert := strings.Contains(line, "-CERT ")
		list = append(list, fmt.Sprintln(filepath.Base(name), cert, print, strings.HasSuffix(line, " agent")))
	}
	return list
}

func TestOrderIsSSHs(t *testing.T) {
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	ca := keygen(t, dir, "ca", "ed25519")
	keygen(t, dir, "a", "ed25519")
	keygen(t, dir, "b", "ecdsa")
	keygen(t, dir, "c", "rsa", "-b", "2048")
	certify(t, ca, file("a"))
	rename(t, file("a-cert.pub"), file("other-cert.pub"))
	keygen(t, dir, "d", "ed25519")
	certify(t, ca, file("d"))
	keygen(t, dir, "pem", "ecdsa", "-m", "PEM")
	os.Remove(file("pem.pub"))
	keygen(t, dir, "half", "ed25519")
	rename(t, file("half"), file("away"))
	keygen(t, dir, "locked", "ed25519", "-a", "1", "-N", "secret")
	keygen(t, dir, "lockedpem", "ecdsa", "-m", "PEM", "-N", "secret")
	os.Remove(file("lockedpem.pub"))
	keygen(t, dir, "host", "ed25519")
	certify(t, ca, file("host"), "-h")
	keygen(t, dir, "expired", "ed25519")
	certify(t, ca, file("expired"), "-V", "20200101:20200102")
	data, err := os.ReadFile(file("a"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file("copy"), data, 0o600); err != nil {
		t.Fatal(err)
	}
	me, err := user.Current() // ssh's home is the password database's
	if err != nil {
		t.Fatal(err)
	}
	home := filepath.Join(me.HomeDir, ".ssh")
	defaults := []string{filepath.Join(home, "id_rsa"), filepath.Join(home, "id_ed25519")}

	_, stranger := newKey(t, "")
	s := newServer(t, takes(stranger))
	for _, tt := range []struct {
		name         string
		agent        string // files, with spaces
		ids, certs   string
		only         bool
		accepted     string
		size         int
		less         []string // of ssh's list: first words of the lines that are left out here
		defaultFiles bool
	}{
		{name: "files alone", ids: "c a b"},
		{name: "agent alone", agent: "b a", defaultFiles: true},
		{name: "named and other keys of the agent", agent: "b a", ids: "c a"},
		{name: "agent's order", agent: "c b a", ids: "a b c"},
		{name: "IdentitiesOnly", agent: "c b a d", ids: "a b", only: true},
		{name: "IdentitiesOnly, nothing of it in the agent", agent: "a b", ids: "c", only: true},
		{name: "public half alone", agent: "a away", ids: "half.pub", only: true},
		{name: "private half gone", agent: "a away", ids: "half c"},
		{name: "public half, not in the agent", agent: "a", ids: "half.pub b", less: []string{"half.pub"}},
		{name: "missing file", agent: "b", ids: "missing a", less: []string{"missing"}},
		{name: "certificate beside", ids: "b d a"},
		{name: "certificate beside, and in the agent", agent: "a d", ids: "b d"},
		{name: "CertificateFile", ids: "b a", certs: "other-cert.pub"},
		{name: "CertificateFile without .pub", ids: "b a", certs: "other"},
		{name: "CertificateFile instead of the one beside", ids: "d a", certs: "other-cert.pub"},
		{name: "CertificateFile, key in the agent", agent: "b a", certs: "other-cert.pub", ids: "b a"},
		{name: "CertificateFile, key in the agent alone", agent: "b a", certs: "other-cert.pub", ids: "b"},
		{name: "old format without .pub", agent: "b pem", ids: "pem a"},
		{name: "old format without .pub, IdentitiesOnly", agent: "b pem", ids: "pem a", only: true},
		{name: "locked keys in their turn", ids: "lockedpem locked a"},
		{name: "the same key twice", agent: "a", ids: "copy a"},
		{name: "PubkeyAcceptedAlgorithms", agent: "b c a", ids: "c d", accepted: "ssh-ed25519,ecdsa-*"},
		{name: "PubkeyAcceptedAlgorithms, less", agent: "b c a", ids: "c d", accepted: "-rsa-sha2-*,ssh-ed25519"},
		{name: "certificates only", ids: "c d", accepted: "*-cert-v01@openssh.com"},
		{name: "RequiredRSASize", agent: "c a", ids: "c b", size: 3072, less: []string{"c"}},
		{name: "certificate of a host", ids: "host a"},
		{name: "certificate of a host, named", ids: "a", certs: "host-cert.pub"},
		{name: "expired certificate", ids: "expired a", less: []string{"expired true"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var agent []string
			for _, f := range strings.Fields(tt.agent) {
				agent = append(agent, file(f))
			}
			h := s.host()
			var options []string
			for _, f := range strings.Fields(tt.ids) {
				h.IdentityFiles = append(h.IdentityFiles, file(f))
				options = append(options, "IdentityFile="+file(f))
			}
			for _, f := range strings.Fields(tt.certs) {
				h.CertificateFiles = append(h.CertificateFiles, file(f))
				options = append(options, "CertificateFile="+file(f))
			}
			if h.IdentitiesOnly = tt.only; tt.only {
				options = append(options, "IdentitiesOnly=yes")
			}
			if tt.accepted != "" {
				options = append(options, "PubkeyAcceptedAlgorithms="+tt.accepted)

			}
			if tt.size > 0 {
				h.RequiredRSASize = tt.size
				options = append(options, fmt.Sprint("RequiredRSASize=", tt.size))
			}
			if tt.defaultFiles {
				h.IdentityFiles, h.DefaultIdentities = defaults, true
			}
			startSSHAgent(t, agent...)
			var want []string
			for _, line := range planned(t, s.addr, options) {
				_, err := os.Stat(filepath.Join(home, strings.Fields(line)[0]))
				left := tt.defaultFiles && strings.HasPrefix(line, "id_") && err != nil
				for _, less := range tt.less {
					left = left || strings.HasPrefix(line, less+" ")
				}
				if !left {
					want = append(want, line)
				}
			}
			lim := newLimit(t.Context(), 0)
			defer lim.stop()
			h.PubkeyAcceptedAlgorithms = sshconf.Algorithms(tt.accepted)
			a := newAuth(newTunnel(t, h, Options{Prompter: &script{}}), lim, h, nil)
			defer a.close()
			var got []string
			for _, id := range a.ids {
				name, print := ".", ""
				switch {
				case id.file != nil:
					name = filepath.Base(id.file.path)
				case id.agent == nil:
					name = filepath.Base(strings.TrimPrefix(id.label, "certificate "))
				}
				if id.pub != nil {
					print = fingerprint(id.pub)
				}
				got = append(got, fmt.Sprintln(name, id.certificate() != nil, print, id.agent != nil))
			}
			if !slices.Equal(got, want) {
				t.Errorf("got  %q\nwant %q", got, want)
			}
		})
	}
}
