//go:build linux

package test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// A verdict is what becomes of a login.
type verdict string

const (
	in       verdict = "in"
	refused  verdict = "refused"
	same     verdict = ""          // of ssh: as pasvport's
	notAsked verdict = "not asked" // of ssh: it cannot do that, or does another thing
)

// A loginRow is one way to log in, or to be refused.
type loginRow struct {
	name string
	// setup starts the servers and writes the user's configuration, in which
	// the server is called "testhost".
	setup func(l *lab)
	want  verdict
	// ssh is what the real ssh makes of the very same configuration.
	ssh verdict
	// answers are typed on a terminal, in order; nil: there is no terminal.
	answers []answer
	// says is a pattern for what pasvport prints. The lab's paths stand in it as $DIR.
	says string
	// never is a pattern for what pasvport must not print.
	never string
	// after looks at what is left, when both programs have run.
	after func(l *lab)
}

// An answer is what is typed when a text is on the screen.
type answer struct{ prompt, text string }

// typed is for a program that asks everything in the given order.
func typed(promptsAndTexts ...string) []answer {
	answers := []answer{} // not nil: there is a terminal even for no answers
	for pair := range slices.Chunk(promptsAndTexts, 2) {
		answers = append(answers, answer{pair[0], pair[1]})
	}
	return answers
}

// A lab is all that one row has of its own: servers, keys and configuration.
type lab struct {
	*testing.T
	dir   string
	keys  *keyRing // shared by all rows
	ftp   *ftpServer
	ssh   *sshd
	hops  []*sshd  // on the way to ssh
	env   []string // for both programs
	flags []string // pasvport's
	curl  []string // further flags of the FTP client

	theirs, ours verdict // of ssh and pasvport, once they are known

	shell    *process // runs in a master, and waits for a line from keyboard
	keyboard *os.File

	config []string // blocks of the ssh_config
	// kept are files to be as they were when each program starts
	kept map[string]string
	// left are the files of kept as each program left them
	left map[string]map[string]string
}

func (l *lab) path(name string) string { return filepath.Join(l.dir, name) }

// keep writes a file that each of the programs finds alike.
func (l *lab) keep(name, text string) string {
	l.Helper()
	path := l.path(name)
	if filepath.IsAbs(name) {
		path = name
	}
	writeFile(l.T, path, []byte(text))
	l.kept[path] = text
	return path
}

// serve starts testhost's sshd, which lets a user in with the given public keys.
func (l *lab) serve(publicKeys []string, options ...string) {
	l.Helper()
	l.ssh = startSSHD(l.T, options...)
	l.authorize(l.ssh, publicKeys...)
}

// authorize lets owners of the public keys in these files in, and nobody else.
func (l *lab) authorize(s *sshd, publicKeys ...string) {
	l.Helper()
	var lines strings.Builder
	for _, path := range publicKeys {
		lines.WriteString(readFile(l.T, path))
	}
	writeFile(l.T, s.path("authorized_keys"), []byte(lines.String()))
}

// host adds a block for a server to the configuration. What the lines leave
// open is such that nothing is taken from the person who runs the tests.
func (l *lab) host(alias string, s *sshd, lines ...string) {
	l.Helper()
	for _, line := range []string{
		"HostName 127.0.0.1", fmt.Sprintf("Port %d", s.port), "User " + currentUser(l.T),
		"IdentityFile none", "IdentitiesOnly yes", "IdentityAgent none",
		"UserKnownHostsFile " + s.path("known_hosts"), "GlobalKnownHostsFile /dev/null",
	} {
		keyword, _, _ := strings.Cut(line, " ")
		if !slices.ContainsFunc(lines, func(s string) bool { return strings.HasPrefix(s, keyword+" ") }) {
			lines = append(lines, line)
		}
	}
	l.config = append(l.config, "Host "+alias+"\n  "+strings.Join(lines, "\n  ")+"\n")
}

// testhost is host for the one server of most rows.
func (l *lab) testhost(lines ...string) {
	l.Helper()
	l.host("testhost", l.ssh, lines...)
}

// knows writes known_hosts of the server anew, with $HOST and $KEY in it for the
// server's name there and its key.
func (l *lab) knows(s *sshd, text string) {
	l.Helper()
	key := strings.Join(strings.Fields(readFile(l.T, s.path("host_key.pub")))[:2], " ")
	l.keep(s.path("known_hosts"), strings.NewReplacer("$HOST", fmt.Sprintf("[127.0.0.1]:%d", s.port), "$KEY", key).Replace(text))
}

// command is a program with the lab's environment.
func (l *lab) command(path string, args ...string) *exec.Cmd {
	cmd := exec.Command(path, args...)
	cmd.Env = append(os.Environ(), l.env...)
	return cmd
}

// attempt has a program log in, and tells what became of it and what it printed.
func (l *lab) attempt(who string, cmd *exec.Cmd, answers []answer) (verdict, string) {
	l.Helper()
	for path, text := range l.kept {
		writeFile(l.T, path, []byte(text))
	}
	var code int
	var text string
	if answers == nil {
		r := run(l.T, cmd)
		code, text = r.code, r.stdout+r.stderr
	} else {
		s := onTerminal(l.T, cmd)
		pattern := "(?s)"
		for _, a := range answers {
			pattern += a.prompt
			s.see(l.T, pattern)
			s.enter(l.T, a.text)
			pattern += ".*?"
		}
		code = s.wait(l.T)
		<-s.shown
		text = s.stdout.String()
	}
	left := make(map[string]string)
	for path := range l.kept {
		left[path] = readFile(l.T, path)
	}
	l.left[who] = left
	switch code {
	case 0:
		return in, text
	case 255:
		return refused, text
	}
	l.Errorf("%s ended with %d:\n%s", who, code, tail(text))
	return verdict(fmt.Sprint("exit code ", code)), text
}

// TestLogin logs in to sshd in every way, once by ssh and once by pasvport, and
// then fetches a file from an FTP server behind it.
func TestLogin(t *testing.T) {
	t.Parallel()
	ftp := startPyftpd(t, elsewhere)
	content := noise(300_000)
	serveFile(t, filepath.Join(ftp.root, "file.bin"), content)
	keys := newKeyRing(t)

	rows := slices.Concat(keyRows(), agentRows(), certificateRows(), promptRows(), trustRows(), wayRows())
	verdicts := make([]string, len(rows))
	t.Run("row", func(t *testing.T) {
		for i, row := range rows {
			t.Run(strings.ReplaceAll(row.name, " ", "-"), func(t *testing.T) {
				t.Parallel()
				l := &lab{T: t, dir: t.TempDir(), keys: keys, ftp: ftp, kept: make(map[string]string), left: make(map[string]map[string]string)}
				defer func() { verdicts[i] = fmt.Sprintf("%-55s %-9s %s", row.name, l.theirs, l.ours) }()
				row.run(l, content)
			})
		}
	})
	t.Logf("what became of %d logins:\n%-55s %-9s %s\n%s", len(rows), "", "ssh", "pasvport", strings.Join(verdicts, "\n"))
}

// run has ssh and pasvport log in.
func (row loginRow) run(l *lab, content []byte) {
	row.setup(l)
	config := l.path("ssh_config")
	writeFile(l.T, config, []byte(strings.Join(l.config, "")))

	l.theirs = notAsked
	if row.ssh != notAsked {
		var text string
		l.theirs, text = l.attempt("ssh", l.command(program(l.T, "ssh"), "-F", config, "testhost", "true"), row.answers)
		want := row.ssh
		if want == same {
			want = row.want
		}
		if l.theirs != want {
			l.Errorf("ssh: %s, want %s; it printed:\n%s", l.theirs, want, tail(text))
		}
	}

	local := l.path("file.bin")
	args := slices.Concat([]string{"-F", config, "exec"}, l.flags, []string{"-L", "0:" + l.ftp.addr(), "testhost", "--"},
		[]string{"curl", "-sS"}, l.curl, []string{"-u", l.ftp.user + ":" + l.ftp.password, "-o", local, "{}/file.bin"})
	var text string
	l.ours, text = l.attempt("pasvport", l.command(pasvportPath(l.T), args...), row.answers)
	switch {
	case l.ours != row.want:
		l.Errorf("pasvport: %s, want %s; it printed:\n%s", l.ours, row.want, tail(text))
	case l.ours == in:
		checkFile(l.T, local, content)
	default:
		checkGone(l.T, local)
	}
	text = strings.ReplaceAll(text, "\r\n", "\n")
	dirs := strings.NewReplacer("$DIR", regexp.QuoteMeta(l.dir), "$SSHD", regexp.QuoteMeta(l.ssh.dir))
	if row.says != "" && !regexp.MustCompile(dirs.Replace(row.says)).MatchString(text) {
		l.Errorf("pasvport does not say %q:\n%s", row.says, tail(text))
	}
	if row.never != "" && regexp.MustCompile(dirs.Replace(row.never)).MatchString(text) {
		l.Errorf("pasvport says %q:\n%s", row.never, tail(text))
	}
	if strings.Contains(text, "DATA RACE") {
		l.Errorf("the race detector has found something:\n%s", text)
	}
	if row.after != nil && !l.Failed() {
		row.after(l)
	}
}
