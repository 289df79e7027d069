//go:build linux

package test

import (
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// An sshd is an OpenSSH server on a loopback address, with a client's
// configuration in which it is called "testhost".
type sshd struct {
	*process
	dir      string // of keys and configuration
	port     int
	config   string   // path of the ssh_config
	launcher []string // what starts it; nothing for most
}

// startSSHD starts an sshd for the current user, whose shell finds an empty home:
// what stands in ~/.bashrc is not part of the tests. Lines of options go to the
// head of its configuration, where they win over the rest.
func startSSHD(t *testing.T, options ...string) *sshd {
	t.Helper()
	s := newSSHD(t)
	s.start(t, options...)
	return s
}

// newSSHD prepares a server, which is still to be started.
func newSSHD(t *testing.T) *sshd {
	t.Helper()
	s := &sshd{dir: t.TempDir()}
	s.config = filepath.Join(s.dir, "ssh_config")
	keygen(t, s.path("host_key"), "")
	keygen(t, s.path("id"), "")
	copyFile(t, s.path("id.pub"), s.path("authorized_keys"))
	if err := os.MkdirAll("/run/sshd", 0o755); err != nil { // sshd's, when root
		t.Fatal(err)
	}
	return s
}

// start starts the server at s.port, or at a free port when there is none yet.
func (s *sshd) start(t *testing.T, options ...string) {
	t.Helper()
	if s.port == 0 {
		s.port = freePort(t, "127.0.0.1")
		s.writeConfig(t)
	}
	me := currentUser(t)
	options = append([]string{"MaxStartups 1000"}, options...) // of which the last one wins
	config := strings.Join(options, "\n") + fmt.Sprintf(`
Port %d
ListenAddress 127.0.0.1
HostKey %s
AuthorizedKeysFile %s
PidFile none
UsePAM %s
StrictModes no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin yes
LogLevel VERBOSE
Subsystem sftp internal-sftp
SetEnv HOME=%s
`, s.port, s.path("host_key"), s.path("authorized_keys"), yesNo(locked(me)), s.dir)
	writeFile(t, s.path("sshd_config"), []byte(config))
	command := append(slices.Clone(s.launcher), program(t, "sshd"), "-D", "-e", "-f", s.path("sshd_config"))
	s.process = startProcess(t, exec.Command(command[0], command[1:]...))
	s.waitFor(t, s.stderr, `Server listening on 127\.0\.0\.1`)
}

// writeConfig writes the client's side: the configuration and known_hosts.
func (s *sshd) writeConfig(t *testing.T) {
	t.Helper()
	key, err := os.ReadFile(s.path("host_key.pub"))
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, s.path("known_hosts"), fmt.Appendf(nil, "[127.0.0.1]:%d %s", s.port, key))
	writeFile(t, s.config, fmt.Appendf(nil, `Host testhost
  HostName 127.0.0.1
  Port %d
  User %s
  IdentityFile %s
  IdentitiesOnly yes
  IdentityAgent none
  UserKnownHostsFile %s
  GlobalKnownHostsFile /dev/null
`, s.port, currentUser(t), s.path("id"), s.path("known_hosts")))
}

func (s *sshd) path(name string) string { return filepath.Join(s.dir, name) }

// sessions returns the process ids of the server's SSH connections.
func (s *sshd) sessions() []int { return children(s.cmd.Process.Pid) }

// locked tells whether an account has no password at all in the way for which
// sshd lets nobody in unless PAM decides.
func locked(name string) bool {
	shadow, _ := os.ReadFile("/etc/shadow")
	return strings.Contains("\n"+string(shadow), "\n"+name+":!")
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func currentUser(t *testing.T) string {
	t.Helper()
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	return me.Username
}

// keygen makes a new key pair in path and path.pub.
func keygen(t *testing.T, path, passphrase string) {
	t.Helper()
	mustRun(t, keygenCmd(t, "-q", "-t", "ed25519", "-N", passphrase, "-C", "test", "-f", path))
}

func keygenCmd(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	return exec.Command(program(t, "ssh-keygen"), args...)
}
