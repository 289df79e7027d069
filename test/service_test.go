//go:build linux

package test

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A manager is what systemd is for a service: it has the notify socket.
type manager struct {
	*testing.T
	conn *net.UnixConn
}

func startManager(t *testing.T, h *home) *manager {
	t.Helper()
	path := h.path("notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	h.env = append(h.env, "NOTIFY_SOCKET="+path)
	return &manager{t, conn}
}

// hear waits for a message with this text in it.
func (m *manager) hear(text string) {
	m.Helper()
	m.conn.SetReadDeadline(time.Now().Add(limit))
	message := make([]byte, 4096)
	for {
		n, err := m.conn.Read(message)
		if err != nil {
			m.Fatalf("no %q: %v", text, err)
		}
		if strings.Contains(string(message[:n]), text) {
			return
		}
	}
}

// configure writes the home's config.toml.
func (h *home) configure(text string) {
	h.Helper()
	path := h.path("config/pasvport/config.toml")
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		h.Fatal(err)
	}
	writeFile(h.T, path, []byte(text))
}

// TestUnderSystemd does what systemd does: it passes the sockets, and is told how the
// agent is.
func TestUnderSystemd(t *testing.T) {
	ssh, server, h := startSSHD(t), startVsftpd(t, elsewhere), newHome(t)
	report(t, server)
	m := startManager(t, h)
	h.configure(`[tunnel.prod]
host = "testhost"
ssh_config = "` + ssh.config + `"
server = "` + server.addr() + `"
`)
	if err := os.Mkdir(filepath.Dir(h.socket()), 0o700); err != nil {
		t.Fatal(err)
	}
	control, err := net.Listen("unix", h.socket())
	if err != nil {
		t.Fatal(err)
	}
	defer control.Close()
	data, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer data.Close()
	first, err := control.(*net.UnixListener).File()
	if err != nil {
		t.Fatal(err)
	}
	second, err := data.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}

	cmd := exec.Command("sh", "-c", `LISTEN_PID=$$ exec "$@"`, "sh", pasvportPath(t), "agent", "run")
	cmd.Env = append(h.env, "LISTEN_FDS=2", "LISTEN_FDNAMES=agent:prod", "WATCHDOG_USEC=200000")
	cmd.ExtraFiles = []*os.File{first, second}
	agent := startProcess(t, cmd)
	m.hear("READY=1")
	m.hear("STATUS=1 of 1 tunnels up")
	m.hear("WATCHDOG=1")
	m.hear("WATCHDOG=1")
	if pid := h.pid(); pid != agent.cmd.Process.Pid {
		t.Errorf("the agent behind the socket is %d, want %d", pid, agent.cmd.Process.Pid)
	}
	if up := h.tunnel("prod", "up"); up.Listens[0].Address != data.Addr().String() {
		t.Errorf("prod listens at %s, and was passed %s", up.Listens[0].Address, data.Addr())
	}
	if got := h.get(server, data.Addr().String(), "report.txt"); got != "all of it" {
		t.Errorf("got %q", got)
	}

	// The sockets outlive the tunnel.
	mustRun(t, h.command("restart", "prod"))
	h.get(server, data.Addr().String(), "report.txt")

	h.configure("[tunnel.prod]\nlisen = 1\n")
	agent.cmd.Process.Signal(syscall.SIGHUP)
	m.hear("RELOADING=1")
	m.hear("READY=1")
	h.tunnel("prod", "up")

	agent.cmd.Process.Signal(syscall.SIGTERM)
	m.hear("STOPPING=1")
	if code := agent.wait(t); code != 0 {
		t.Errorf("the agent ended with %d", code)
	}
	if _, err := os.Stat(h.socket()); err != nil {
		t.Errorf("the manager's socket is gone: %v", err)
	}
}

// TestOneAgent has a second one step back.
func TestOneAgent(t *testing.T) {
	h := newHome(t)
	first := startProcess(t, h.command("agent", "run"))
	first.waitFor(t, first.stderr, "agent ready")
	if r := run(t, h.command("agent", "run")); r.code != 1 || !strings.Contains(r.stderr, "running already") {
		t.Errorf("the second one: %v", r)
	}
	mustRun(t, h.command("agent", "stop"))
	if code := first.wait(t); code != 0 {
		t.Errorf("the agent ended with %d", code)
	}
}
