//go:build linux

package test

import (
	"context"
	"fmt"
	"net"
	"net/textproto"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pasvport/pasvport/ftpmux"
	"github.com/pasvport/pasvport/sshconf"
	"github.com/pasvport/pasvport/tunnel"
)

// farAway is an address of a network namespace that is its own and can be cut off:
// the loopback interface has it as long as it has the route.
const farAway = "127.5.5.5"

// keepWord as first argument makes the test binary keep a tunnel.
const keepWord = "keep"

// keep keeps a tunnel to testhost of a configuration, at farAway, and prints its states.
func keep(args []string) {
	host, err := (&sshconf.Resolver{File: args[0]}).Resolve("testhost")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	host.HostKeyAlias = fmt.Sprintf("[%s]:%d", host.HostName, host.Port)
	host.HostName = farAway
	tun := tunnel.New(host, tunnel.Options{Changed: func(s tunnel.State) {
		fmt.Printf("%s %d %v\n", s.Phase, s.Retry.UnixMilli(), s.Err)
	}})
	fmt.Fprintln(os.Stderr, tun.Keep(context.Background()))
}

// A stateLine is a line that keep prints.
type stateLine struct {
	phase tunnel.Phase
	retry time.Time
}

// states reads what keep has printed so far.
func states(p *process) (list []stateLine) {
	for line := range strings.Lines(p.stdout.String()) {
		word := strings.Fields(line)
		if len(word) < 2 || !strings.HasSuffix(line, "\n") {
			continue
		}
		ms, _ := strconv.ParseInt(word[1], 10, 64)
		list = append(list, stateLine{tunnel.Phase(word[0]), time.UnixMilli(ms)})
	}
	return list
}

// A route that appears has a tunnel tried at once that was to be tried much later: the
// time of the next attempt is brought forward, and then the attempt made.
func TestRouteWakes(t *testing.T) {
	t.Parallel()
	s := newSSHD(t)
	s.launcher = []string{program(t, "unshare"), "--net", "sh", "-c", `ip link set lo up && exec "$@"`, "sh"}
	s.start(t, "ListenAddress "+farAway)
	inside := func(command ...string) *exec.Cmd {
		return exec.Command(program(t, "nsenter"), append([]string{"--net", "--target", strconv.Itoa(s.cmd.Process.Pid)}, command...)...)
	}
	route := func(verb string) {
		t.Helper()
		mustRun(t, inside(program(t, "ip"), "route", verb, "local", "127.0.0.0/8", "dev", "lo", "table", "local"))
	}
	route("del")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := startProcess(t, inside(self, keepWord, s.config))
	var before int // states, the last of which has a long time to wait
	eventually(t, "the next attempt is far off", func() bool {
		list := states(p)
		before = len(list)
		return before > 0 && list[before-1].phase == tunnel.Waiting && time.Until(list[before-1].retry) > 7*time.Second
	})
	route("add")
	eventually(t, "the tunnel is up", func() bool {
		list := states(p)
		return list[len(list)-1].phase == tunnel.Up
	})
	after := states(p)[before-1:]
	if !(after[1].phase == tunnel.Waiting && after[1].retry.Before(after[0].retry) && after[2].phase == tunnel.Connecting) {
		t.Errorf("the states were %+v, want waiting, waiting less, connecting", after)
	}
}

// keepServing serves an FTP server over a tunnel that is kept up.
func keepServing(t *testing.T, ssh *sshd, server *ftpServer, patience time.Duration) (tun *tunnel.Tunnel, addr string) {
	t.Helper()
	host, err := (&sshconf.Resolver{File: ssh.config}).Resolve("testhost")
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	tun = tunnel.New(host, tunnel.Options{Patience: patience})
	mux := &ftpmux.Mux{Remote: tun, Server: server.addr()}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 2)
	go func() { ended <- tun.Keep(ctx) }()
	go func() { ended <- mux.Serve(ctx, ln) }()
	t.Cleanup(func() {
		stop()
		for range cap(ended) {
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
		tun.Close()
	})
	return tun, ln.Addr().String()
}

// An FTP client that connects while the tunnel is down waits for it, and learns why
// it waited in vain.
func TestClientsWaitForTheTunnel(t *testing.T) {
	t.Parallel()
	ssh := startSSHD(t)
	server := startPyftpdlib(t, "127.0.0.1")
	content := noise(7000)
	serveFile(t, filepath.Join(server.root, "there.bin"), content)
	hasty, hastyAddr := keepServing(t, ssh, server, time.Second)
	patient, patientAddr := keepServing(t, ssh, server, limit)
	connect := func(addr string) *textproto.Conn {
		t.Helper()
		conn, err := textproto.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		return conn
	}
	for _, addr := range []string{hastyAddr, patientAddr} {
		expect(t, connect(addr), "", 220)
	}

	ssh.kill()
	eventually(t, "an attempt has failed", func() bool {
		s := hasty.State()
		return s.Phase == tunnel.Waiting && strings.Contains(s.Err.Error(), "refused")
	})
	if reason := expect(t, connect(hastyAddr), "", 421); !strings.Contains(reason, "connection refused") {
		t.Errorf("the reason is missing: %s", reason)
	}
	if s := patient.State(); s.Live != 0 {
		t.Fatalf("%+v", s)
	}
	waiting := connect(patientAddr)
	ssh.start(t)
	expect(t, waiting, "", 220)

	eventually(t, "the tunnel is up", func() bool { return hasty.State().Phase == tunnel.Up })
	c := newCell(t, server, hastyAddr, "again", false)
	c.must(c.command("curl", "-sS", "-u", c.user+":"+c.password, "-O", "ftp://"+hastyAddr+"/there.bin"))
	c.checkLocal("there.bin", content)
}
