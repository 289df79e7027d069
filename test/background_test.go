//go:build linux

package test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// agentStatus is what the tests read of status --json, and tunnelStatus of a tunnel in it.
type (
	agentStatus struct {
		PID     int            `json:"pid"`
		Tunnels []tunnelStatus `json:"tunnels"`
	}
	tunnelStatus struct {
		Name        string `json:"name"`
		State       string `json:"state"`
		Connections int    `json:"connections"`
		Mend        string `json:"mend"`
		Error       *struct {
			Text string `json:"text"`
		} `json:"error"`
		Listens []struct {
			Address string `json:"address"`
		} `json:"listens"`
		Sessions []struct {
			ID int64 `json:"id"`
		} `json:"sessions"`
		Totals struct {
			Reconnections int64 `json:"reconnections"`
		} `json:"totals"`
	}
)

// A home is where a user's agent lives: folders of its own, so that agents of tests
// do not meet.
type home struct {
	*testing.T
	dir string
	env []string
}

// newHome makes the folders. At the end of the test the agent there is stopped.
func newHome(t *testing.T) *home {
	t.Helper()
	h := &home{T: t, dir: t.TempDir()}
	h.env = append(os.Environ(),
		"HOME="+h.dir,
		"XDG_RUNTIME_DIR="+h.path("run"),
		"XDG_STATE_HOME="+h.path("state"),
		"XDG_CONFIG_HOME="+h.path("config"),
	)
	for _, name := range []string{"run", "state", "config"} {
		if err := os.Mkdir(h.path(name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		pid := h.pid()
		r := run(t, h.command("agent", "stop"))
		if pid != 0 {
			eventually(t, "the agent ends", func() bool { return syscall.Kill(pid, 0) != nil })
		}
		log, _ := os.ReadFile(h.log())
		if strings.Contains(string(log), "DATA RACE") || strings.Contains(string(log), "panic:") {
			t.Error("the agent's log tells of a race or a panic")
		}
		if t.Failed() {
			t.Logf("agent stop: %v\nthe agent's log:\n%s", r, tail(string(log)))
		}
	})
	return h
}

func (h *home) path(name string) string { return filepath.Join(h.dir, name) }
func (h *home) log() string             { return h.path("state/pasvport/agent.log") }
func (h *home) socket() string          { return h.path("run/pasvport/agent.sock") }

// command is a pasvport of this home's.
func (h *home) command(args ...string) *exec.Cmd {
	h.Helper()
	cmd := exec.Command(pasvportPath(h.T), args...)
	cmd.Env = h.env
	return cmd
}

// up opens a tunnel and returns where it listens.
func (h *home) up(args ...string) (addr string) {
	h.Helper()
	out := mustRun(h.T, h.command(append([]string{"up"}, args...)...))
	if _, err := fmt.Sscanf(out, "pasvport: ftp://%s is ", &addr); err != nil {
		h.Fatalf("up printed %q", out)
	}
	return addr
}

// status is what the agent knows; nil where none runs.
func (h *home) status() *agentStatus {
	h.Helper()
	r := run(h.T, h.command("status", "--json"))
	if r.stdout == "" {
		return nil
	}
	s := new(agentStatus)
	if err := json.Unmarshal([]byte(r.stdout), s); err != nil {
		h.Fatalf("%v: %v", err, r)
	}
	return s
}

// pid is the agent's; 0 where none runs.
func (h *home) pid() int {
	h.Helper()
	if s := h.status(); s != nil {
		return s.PID
	}
	return 0
}

// tunnel waits for one in that state.
func (h *home) tunnel(name, state string) (t tunnelStatus) {
	h.Helper()
	eventually(h.T, fmt.Sprintf("%s is %s", name, state), func() bool {
		s := h.status()
		if s == nil {
			return false
		}
		for _, t = range s.Tunnels {
			if t.Name == name && t.State == state {
				return true
			}
		}
		return false
	})
	return t
}

// get downloads a file of the server's through the tunnel at addr.
func (h *home) get(server *ftpServer, addr, name string) string {
	h.Helper()
	return mustRun(h.T, h.curl(server, addr, name))
}

func (h *home) curl(server *ftpServer, addr, name string) *exec.Cmd {
	h.Helper()
	return exec.Command(program(h.T, "curl"), "-sS", "-u", server.user+":"+server.password, "ftp://"+addr+"/"+name)
}

// report puts report.txt at the server's top.
func report(t *testing.T, server *ftpServer) {
	t.Helper()
	path := filepath.Join(server.root, "report.txt")
	writeFile(t, path, []byte("all of it"))
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestUp goes from one command to a file on disk, and back to nothing.
func TestUp(t *testing.T) {
	ssh, server, h := startSSHD(t), startVsftpd(t, elsewhere), newHome(t)
	addr := h.up("-F", ssh.config, "-L", "0:"+server.addr(), "testhost")
	report(t, server)
	if got := h.get(server, addr, "report.txt"); got != "all of it" {
		t.Errorf("got %q", got)
	}
	if r := run(t, h.command("status")); r.code != 0 || !strings.Contains(r.stdout, addr) {
		t.Errorf("status: %v", r)
	}
	for path, mode := range map[string]os.FileMode{filepath.Dir(h.socket()): 0o700, h.socket(): 0o600, h.log(): 0o600} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: %v, %v; want %v", path, info.Mode().Perm(), err, mode)
		}
	}
	if strings.Contains(readFile(t, h.log()), server.password) {
		t.Error("the FTP password is in the log")
	}
	mustRun(t, h.command("down", "testhost"))
	if _, err := net.Dial("tcp", addr); err == nil {
		t.Error("the port is open after down")
	}
	eventually(t, "sshd is left", func() bool { return len(ssh.sessions()) == 0 })
}

// TestAgentHoldsNoFilesOfOthers looks that a lock of the script's which had the agent
// started does not stay with it.
func TestAgentHoldsNoFilesOfOthers(t *testing.T) {
	ssh, server, h := startSSHD(t), startVsftpd(t, elsewhere), newHome(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	cmd := h.command("up", "-F", ssh.config, "-L", "0:"+server.addr(), "testhost")
	cmd.ExtraFiles = []*os.File{w}
	mustRun(t, cmd)
	w.Close()
	r.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := r.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("reading from the pipe: %v, want its end", err)
	}
}

// TestUpTwiceAtOnce starts one agent by many commands.
func TestUpTwiceAtOnce(t *testing.T) {
	ssh, server, h := startSSHD(t), startVsftpd(t, elsewhere), newHome(t)
	var group sync.WaitGroup
	pids := make([]int, 6)
	for i := range pids {
		group.Go(func() {
			name := fmt.Sprintf("anna%d@testhost", i/2) // two of each
			r := run(t, h.command("up", "-F", ssh.config, "-l", currentUser(t), "-L", "0:"+server.addr(), name))
			if r.code != 0 {
				t.Errorf("%v", r)
			}
			pids[i] = h.pid()
		})
	}
	group.Wait()
	for _, pid := range pids {
		if pid == 0 || pid != pids[0] {
			t.Fatalf("the agents are %v", pids)
		}
	}
	if n := len(h.status().Tunnels); n != 3 {
		t.Errorf("%d tunnels, want 3", n)
	}
	if n := strings.Count(readFile(t, h.log()), "agent ready"); n != 1 {
		t.Errorf("%d agents were ready", n)
	}
}

// TestAgentKilled has up work again after a crash, on the same port, and nothing of
// the old agent's is left.
func TestAgentKilled(t *testing.T) {
	ssh, server, h := startSSHD(t), startVsftpd(t, elsewhere), newHome(t)
	listen := fmt.Sprintf("%d:%s", freePort(t, "127.0.0.1"), server.addr())
	up := []string{"-F", ssh.config, "-L", listen, "testhost"}
	h.up(up...)
	pid := h.pid()
	syscall.Kill(pid, syscall.SIGKILL)
	eventually(t, "the agent is gone", func() bool { return syscall.Kill(pid, 0) != nil })
	if _, err := os.Stat(h.socket()); err != nil {
		t.Errorf("the test wants a stale socket: %v", err)
	}
	r := run(t, h.command("status"))
	if r.code != 1 || !strings.Contains(r.stderr, "no agent is running") {
		t.Errorf("status: %v", r)
	}
	eventually(t, "sshd is left", func() bool { return len(ssh.sessions()) == 0 })
	h.up(up...)
	if next := h.pid(); next == 0 || next == pid {
		t.Errorf("the agent is %d after %d", next, pid)
	}
	mustRun(t, h.command("agent", "stop"))
	left, err := os.ReadDir(filepath.Dir(h.socket()))
	for _, entry := range left {
		if entry.Name() != "agent.lock" {
			t.Errorf("%s is left", entry.Name())
		}
	}
	if err != nil {
		t.Error(err)
	}
}

// TestReconnect loses sshd, and FTP clients wait for the next one.
func TestReconnect(t *testing.T) {
	ssh, server, h := startSSHD(t), startVsftpd(t, elsewhere), newHome(t)
	addr := h.up("-F", ssh.config, "-L", "0:"+server.addr(), "testhost")
	report(t, server)
	ssh.kill()
	h.tunnel("testhost", "reconnecting")
	curl := startProcess(t, h.curl(server, addr, "report.txt"))
	ssh.start(t)
	if code := curl.wait(t); code != 0 || curl.stdout.String() != "all of it" {
		t.Errorf("curl ended with %d and %q", code, curl.stdout)
	}
	up := h.tunnel("testhost", "up")
	if up.Totals.Reconnections != 1 || up.Connections != 1 {
		t.Errorf("%d reconnections, %d connections; want 1, 1", up.Totals.Reconnections, up.Connections)
	}
	ssh.kill()
	h.tunnel("testhost", "reconnecting")
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	said := make([]byte, 512)
	n, _ := conn.Read(said)
	if !strings.HasPrefix(string(said[:n]), "421 ") || !strings.Contains(string(said[:n]), "refused") {
		t.Errorf("a client was told %q", said[:n])
	}
}

// TestNeedsLogin has the agent rest when nobody is there to log in, and up mend it.
func TestNeedsLogin(t *testing.T) {
	ssh, server, h := startSSHD(t), startVsftpd(t, elsewhere), newHome(t)
	addr := h.up("-F", ssh.config, "-L", "0:"+server.addr(), "testhost")
	keys := readFile(t, ssh.path("authorized_keys"))
	writeFile(t, ssh.path("authorized_keys"), nil)
	loseSSH(t, ssh)
	resting := h.tunnel("testhost", "needs login")
	if resting.Mend != "pasvport up testhost" || resting.Error == nil {
		t.Errorf("got %+v", resting)
	}
	r := run(t, h.command("status"))
	if r.code != 1 || !strings.Contains(r.stdout, "pasvport up testhost") {
		t.Errorf("status: %v", r)
	}
	if r := run(t, h.curl(server, addr, "")); r.code == 0 {
		t.Errorf("curl: %v", r)
	}
	if r := run(t, h.command("up", "testhost")); r.code != 255 {
		t.Errorf("up: %v", r)
	}
	writeFile(t, ssh.path("authorized_keys"), []byte(keys))
	if again := h.up("testhost"); again != addr {
		t.Errorf("it listens at %s, and did at %s", again, addr)
	}
	h.get(server, addr, "")
}

// TestReload changes one tunnel and leaves the session of another alone.
func TestReload(t *testing.T) {
	ssh, server, h := startSSHD(t), startVsftpd(t, elsewhere), newHome(t)
	file := func(changed string) string {
		return fmt.Sprintf(`[tunnel.same]
host = "testhost"
ssh_config = %[1]q
listen = "0:%[2]s"
[tunnel.other]
host = "testhost"
ssh_config = %[1]q
listen = "0:%[2]s"
%[3]s
`, ssh.config, server.addr(), changed)
	}
	h.configure(file(""))
	same, other := login(t, server, h.up("same")), login(t, server, h.up("other"))
	h.configure(file(`data = "passive"`))
	mustRun(t, h.command("reload"))
	expect(t, other, "", 421)
	expect(t, same, "PWD", 257)

	h.configure(file(`data = "passiv"`))
	r := run(t, h.command("reload"))
	if r.code != 2 || !strings.Contains(r.stderr, `config.toml:9:`) || !strings.Contains(r.stderr, "passiv") {
		t.Errorf("reload of a broken file: %v", r)
	}
	expect(t, same, "PWD", 257)
	other = login(t, server, h.up("other"))
	expect(t, other, "PWD", 257)
}
