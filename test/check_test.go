//go:build linux

package test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// checkSteps are those of `pasvport check`, for a server that has a name.
var checkSteps = []string{"dns", "tcp", "hostkey", "auth", "forwarding", "banner", "login", "passive", "active"}

// TestCheck walks the way to FTP servers that can be reached and that cannot, and
// looks which step is said to fail, and what mend is named.
func TestCheck(t *testing.T) {
	t.Parallel()
	ftp := startPyftpd(t, "127.0.0.1")
	keys := newKeyRing(t)
	free := strconv.Itoa(freePort(t, "127.0.0.1"))
	known := filepath.Join(t.TempDir(), "known_hosts")
	for _, test := range []struct {
		name     string
		sshd     string // its option; $ADDR is the FTP server
		args     []string
		password string // "": the right one
		fails    string // the first failing step; "": all is well
		code     int
		mend     string // a part of the error or of its hints
	}{
		{name: "all is well"},
		{name: "unknown name", args: []string{"-o", "HostName=nosuch.invalid"}, fails: "dns", code: 255, mend: "name"},
		{name: "closed port", args: []string{"-p", free}, fails: "tcp", code: 255, mend: "-p PORT"},
		{name: "changed host key", args: []string{"-o", "UserKnownHostsFile=" + known}, fails: "hostkey", code: 255, mend: "ssh-keygen -R"},
		{name: "unknown host key", args: []string{"-o", "UserKnownHostsFile=/dev/null"}, fails: "hostkey", code: 255, mend: "fingerprint"},
		{name: "wrong key", args: []string{"-o", "IdentityFile=" + keys.path("wrong-1")}, fails: "auth", code: 255, mend: "publickey"},
		{name: "no forwarding", sshd: "AllowTcpForwarding no", fails: "forwarding", code: 1, mend: "AllowTcpForwarding"},
		{name: "other destinations", sshd: "PermitOpen 192.0.2.1:21", fails: "forwarding", code: 1, mend: "PermitOpen"},
		{name: "nobody listens", args: []string{"-L", "0:127.0.0.1:" + free}, fails: "banner", code: 1, mend: "-L"},
		{name: "no FTP", args: []string{"-L", "0:127.0.0.1:$SSHPORT"}, fails: "banner", code: 1, mend: "-L"},
		{name: "wrong FTP password", password: "mistyped", fails: "login", code: 1, mend: "--ftp-user"},
		{name: "control port only", sshd: "PermitOpen $ADDR", fails: "passive", code: 1, mend: "PermitOpen"},
		{name: "no remote forwarding", sshd: "AllowTcpForwarding local"}, // active is converted
		{name: "MaxSessions 0", sshd: "MaxSessions 0"},
	} {
		t.Run(strings.ReplaceAll(test.name, " ", "-"), func(t *testing.T) {
			t.Parallel()
			ssh := startSSHD(t, strings.ReplaceAll(test.sshd, "$ADDR", ftp.addr()))
			key := strings.Join(strings.Fields(readFile(t, keys.public("wrong-1")))[:2], " ")
			if slices.Contains(test.args, "UserKnownHostsFile="+known) {
				writeFile(t, known, fmt.Appendf(nil, "[127.0.0.1]:%d %s\n[localhost]:%[1]d %[2]s\n", ssh.port, key))
			}
			if test.name == "wrong key" { // the first IdentityFile does not keep the configuration's away
				copyFile(t, keys.public("wrong-2"), ssh.path("authorized_keys"))
			}
			// a name that has to be looked up, and its key
			text := strings.Replace(readFile(t, ssh.config), "HostName 127.0.0.1", "HostName localhost\n  AddressFamily inet", 1)
			writeFile(t, ssh.config, []byte(text))
			trusted := readFile(t, ssh.path("known_hosts"))
			writeFile(t, ssh.path("known_hosts"), []byte(trusted+strings.ReplaceAll(trusted, "[127.0.0.1]", "[localhost]")))

			password := ftp.password
			if test.password != "" {
				password = test.password
			}
			check := func(more ...string) result {
				args := []string{"check", "--ftp-user", ftp.user}
				for _, arg := range test.args {
					args = append(args, strings.ReplaceAll(arg, "$SSHPORT", strconv.Itoa(ssh.port)))
				}
				if !slices.Contains(args, "-L") {
					args = append(args, "-L", "0:"+ftp.addr())
				}
				cmd := pasvportCmd(t, ssh, slices.Concat(args, more, []string{"testhost"})...)
				cmd.Env = append(os.Environ(), "PASVPORT_FTP_PASSWORD="+password)
				r := run(t, cmd)
				if r.code != test.code {
					t.Errorf("exit code %d, want %d", r.code, test.code)
				}
				if strings.Contains(r.stdout+r.stderr, password) {
					t.Error("the FTP password is shown")
				}
				return r
			}

			forPeople, forPrograms := check(), check("--json")
			var report struct {
				OK    bool
				Steps []struct {
					Name, Status, Error string
					Hints               []string
				}
			}
			if err := json.Unmarshal([]byte(forPrograms.stdout), &report); err != nil {
				t.Fatalf("%v: %v", err, forPrograms)
			}
			at := slices.Index(checkSteps, test.fails) // -1 for none
			var got, want []string
			for _, s := range report.Steps {
				got = append(got, s.Name+" "+s.Status)
				if s.Status == "failed" && !strings.Contains(s.Error+strings.Join(s.Hints, " "), test.mend) {
					t.Errorf("%s says %q, want a word of %q", s.Name, append(s.Hints, s.Error), test.mend)
				}
			}
			for i, name := range checkSteps {
				switch {
				case at < 0 || i < at:
					want = append(want, name+" ok")
				case i == at:
					want = append(want, name+" failed")
				default:
					want = append(want, name+" skipped")
				}
			}
			if !slices.Equal(got, want) || report.OK != (test.fails == "") {
				t.Errorf("ok: %v, steps %q, want %q", report.OK, got, want)
			}
			if all := forPeople.stdout + forPeople.stderr; !strings.Contains(all, test.mend) {
				t.Errorf("people are not told of %q", test.mend)
			}
			if t.Failed() {
				t.Log(forPeople, forPrograms)
			}
		})
	}
}

// TestCheckOnTheWay finds the failing hop of a jump.
func TestCheckOnTheWay(t *testing.T) {
	t.Parallel()
	ftp := startPyftpd(t, elsewhere)
	hop, ssh := startSSHD(t), startSSHD(t)
	config := ssh.config
	writeFile(t, config, []byte(readFile(t, config)+"  ProxyJump hop\n"+strings.Replace(readFile(t, hop.config), "testhost", "hop", 1)))
	check := func() result {
		return run(t, pasvportCmd(t, ssh, "check", "-L", "0:"+ftp.addr(), "testhost")) // anonymous
	}
	if r := check(); r.code != 0 {
		t.Errorf("want exit code 0, got %v", r)
	}
	copyFile(t, ssh.path("id.pub"), hop.path("authorized_keys"))
	if r := check(); r.code != 255 || !strings.Contains(r.stdout, "hop") || !strings.Contains(r.stdout+r.stderr, "logging in to hop") {
		t.Errorf("want exit code 255 and a word of hop, got %v", r)
	}
}

// TestHosts lists a configuration of the size that people have.
func TestHosts(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var config strings.Builder
	config.WriteString("Include " + filepath.Join(dir, "more") + "\n")
	want := []string{"included"}
	for i := range 30 {
		name := fmt.Sprintf("host%02d", i)
		want = append(want, name)
		fmt.Fprintf(&config, "Host %s\n  HostName %s.example.com\n  Port %d\n", name, name, 2200+i)
		if i%3 == 1 {
			config.WriteString("  ProxyJump host00\n")
		}
	}
	config.WriteString("Host *.example.org !bad?\n  User nobody\nHost *\n  User somebody\n")
	path := filepath.Join(dir, "config")
	writeFile(t, path, []byte(config.String()))
	writeFile(t, filepath.Join(dir, "more"), []byte("Host included\n  HostName included.example.com\n"))

	command := func(args ...string) result {
		return run(t, (&lab{T: t}).command(pasvportPath(t), append([]string{"-F", path}, args...)...))
	}
	r := command("hosts", "--json")
	var list struct {
		Hosts []struct {
			Name, User, HostName string
			Port                 int
			Jump                 []string
		}
	}
	if err := json.Unmarshal([]byte(r.stdout), &list); err != nil || r.code != 0 {
		t.Fatalf("%v: %v", err, r)
	}
	var got []string
	for _, h := range list.Hosts {
		got = append(got, h.Name)
		if h.HostName != h.Name+".example.com" || h.User != "somebody" {
			t.Errorf("%s leads to %s@%s", h.Name, h.User, h.HostName)
		}
		if i, err := strconv.Atoi(strings.TrimPrefix(h.Name, "host")); err == nil && (h.Port != 2200+i || (len(h.Jump) > 0) != (i%3 == 1)) {
			t.Errorf("%s leads to port %d through %q", h.Name, h.Port, h.Jump)
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("hosts are %q, want %q", got, want)
	}
	if r := command("hosts"); r.code != 0 || !strings.Contains(r.stdout, "host07") || !strings.Contains(r.stdout, "host07.example.com") {
		t.Errorf("for people: %v", r)
	}
	if r := command("__complete", "host2"); !strings.Contains(r.stdout, "host20") || strings.Contains(r.stdout, "host19") {
		t.Errorf("completion offers %v", r)
	}
}
