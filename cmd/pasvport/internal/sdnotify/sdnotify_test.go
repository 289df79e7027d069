//go:build linux

package sdnotify

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A manager is systemd's end of NOTIFY_SOCKET.
type manager struct {
	t *testing.T
	*net.UnixConn
}

// startManager listens at address and has the environment say so.
func startManager(t *testing.T, address string) *manager {
	t.Helper()
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: address, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	t.Setenv("NOTIFY_SOCKET", address)
	return &manager{t, c}
}

// next waits for a message.
func (m *manager) next() string {
	m.t.Helper()
	m.SetReadDeadline(time.Now().Add(10 * time.Second))
	buf := make([]byte, 4096)
	n, err := m.Read(buf)
	if err != nil {
		m.t.Fatalf("no message: %v", err)
	}
	return string(buf[:n])
}

// none looks that no message is waiting. What was sent is there by then.
func (m *manager) none() {
	m.t.Helper()
	m.SetReadDeadline(time.Unix(1, 0))
	buf := make([]byte, 4096)
	if n, err := m.Read(buf); err == nil {
		m.t.Errorf("got %q, want no message", buf[:n])
	}
}

func fromEnvironment(t *testing.T) *Notifier {
	t.Helper()
	n, err := FromEnvironment()
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestMessages(t *testing.T) {
	addresses := map[string]string{
		"path":     filepath.Join(t.TempDir(), "notify"),
		"abstract": "@pasvport-test-" + strconv.Itoa(os.Getpid()),
	}
	for name, address := range addresses {
		t.Run(name, func(t *testing.T) {
			m := startManager(t, address)
			n := fromEnvironment(t)
			for _, test := range []struct {
				send func() error
				want string // a regular expression for the whole message
			}{
				{func() error { return n.Ready("2 tunnels are up") }, "READY=1\nSTATUS=2 tunnels are up\n"},
				{func() error { return n.Status("1 of 2 is up") }, "STATUS=1 of 2 is up\n"},
				{n.Reloading, "RELOADING=1\nMONOTONIC_USEC=[1-9][0-9]*\n"},
				{n.Stopping, "STOPPING=1\n"},
			} {
				if err := test.send(); err != nil {
					t.Fatal(err)
				}
				if got := m.next(); !regexp.MustCompile(`\A(?:` + test.want + `)\z`).MatchString(got) {
					t.Errorf("got %q, want %q", got, test.want)
				}
			}
			m.none()
		})
	}
}

// TestEnvironmentIsTaken looks that children do not inherit what is for this process.
func TestEnvironmentIsTaken(t *testing.T) {
	startManager(t, filepath.Join(t.TempDir(), "notify"))
	t.Setenv("WATCHDOG_USEC", "1000000")
	t.Setenv("WATCHDOG_PID", strconv.Itoa(os.Getpid()))
	t.Setenv("LISTEN_PID", "1")
	t.Setenv("LISTEN_FDS", "1")
	t.Setenv("LISTEN_FDNAMES", "agent")
	fromEnvironment(t)
	s, err := Listeners()
	if err != nil || s.Agent != nil || len(s.Tunnels) > 0 {
		t.Errorf("got %v, %v for another process's sockets", s, err)
	}
	for _, name := range []string{"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"} {
		if value, ok := os.LookupEnv(name); ok {
			t.Errorf("%s=%s is still there", name, value)
		}
	}
}

func TestNobodyListens(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	n := fromEnvironment(t)
	for _, n := range []*Notifier{n, {}} {
		for name, send := range map[string]func() error{
			"Ready":     func() error { return n.Ready("well") },
			"Status":    func() error { return n.Status("well") },
			"Reloading": n.Reloading,
			"Stopping":  n.Stopping,
		} {
			if err := send(); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}

	gone := filepath.Join(t.TempDir(), "gone")
	t.Setenv("NOTIFY_SOCKET", gone)
	err := fromEnvironment(t).Ready("well")
	if err == nil || !strings.Contains(err.Error(), "READY=1") || !strings.Contains(err.Error(), gone) {
		t.Errorf("got %v, want an error that names READY=1 and %s", err, gone)
	}
}

// TestWatchdog looks that there is a message for each time that the service was
// healthy, and none for the others.
func TestWatchdog(t *testing.T) {
	m := startManager(t, filepath.Join(t.TempDir(), "notify"))
	t.Setenv("WATCHDOG_USEC", "20000")
	t.Setenv("WATCHDOG_PID", strconv.Itoa(os.Getpid()))
	n := fromEnvironment(t)
	if n.watchdog != 20*time.Millisecond {
		t.Errorf("the manager waits for %v, want 20ms", n.watchdog)
	}
	ctx, stop := context.WithCancel(t.Context())
	answers := make(chan bool)
	asked := make(chan struct{})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		n.Watchdog(ctx, func() bool {
			asked <- struct{}{}
			return <-answers
		})
	}()
	for _, healthy := range []bool{true, true, false, true} {
		<-asked
		m.none() // while it hangs
		answers <- healthy
		if healthy {
			if got := m.next(); got != "WATCHDOG=1\n" {
				t.Errorf("got %q, want WATCHDOG=1", got)
			}
		}
	}
	<-asked
	stop()
	answers <- false
	<-ended
	m.none()
}

func TestWatchdogOfOthers(t *testing.T) {
	for name, env := range map[string]struct{ usec, pid, socket string }{
		"none":            {"", "", "/run/notify"},
		"another process": {"20000", "1", "/run/notify"},
		"no manager":      {"20000", strconv.Itoa(os.Getpid()), ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("NOTIFY_SOCKET", env.socket)
			t.Setenv("WATCHDOG_USEC", env.usec)
			t.Setenv("WATCHDOG_PID", env.pid)
			fromEnvironment(t).Watchdog(t.Context(), func() bool {
				t.Error("asked whether it is healthy")
				return false
			})
		})
	}

	t.Setenv("WATCHDOG_USEC", "soon")
	n, err := FromEnvironment()
	if n == nil || err == nil || !strings.Contains(err.Error(), "WATCHDOG_USEC") {
		t.Errorf("got %v, %v, want an error that names WATCHDOG_USEC, and a Notifier", n, err)
	}
}
