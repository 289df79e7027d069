package api

import (
	"bytes"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var discard = slog.New(slog.DiscardHandler)

// stale is a socket that a killed agent has left.
func stale(t *testing.T) string {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "stale")
	ln, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	ln.(*net.UnixListener).SetUnlinkOnClose(false)
	ln.Close()
	if _, err := os.Lstat(socket); err != nil {
		t.Fatal(err)
	}
	return socket
}

func TestLock(t *testing.T) {
	dir := t.TempDir()
	unlock, err := Lock(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Lock(dir); !errors.Is(err, ErrRunning) {
		t.Errorf("a second agent: %v, want ErrRunning", err)
	}
	if other, err := Lock(t.TempDir()); err != nil {
		t.Errorf("in another folder: %v", err)
	} else {
		other()
	}
	unlock()
	again, err := Lock(dir)
	if err != nil {
		t.Fatalf("once it is gone: %v", err)
	}
	again()
	if _, err := Lock(filepath.Join(dir, "none")); err == nil || errors.Is(err, ErrRunning) {
		t.Errorf("without a folder: %v", err)
	}
}

func TestStale(t *testing.T) {
	socket := stale(t)
	ln, err := ListenAt(socket, discard)
	if err != nil {
		t.Fatal(err)
	}
	serveOn(t, ln, Handler(&fake{}))
	if err := New(socket).Ping(); err != nil {
		t.Error(err)
	}
	ln.Close()
	if _, err := os.Lstat(socket); err == nil {
		t.Error("the socket is left behind")
	}
}

func TestListenRefused(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "full", "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ socket, says, hint string }{
		{filepath.Join(dir, strings.Repeat("x", maxPath)), "has a name of", "XDG_RUNTIME_DIR names a folder with a shorter name"},
		{filepath.Join(dir, "none", "agent.sock"), "none", ""},
		{filepath.Join(dir, "full"), "removing the socket of an agent that is gone", ""},
	} {
		ln, err := ListenAt(tt.socket, discard)
		if err == nil {
			ln.Close()
			t.Errorf("%s is listened on", tt.socket)
			continue
		}
		e, _ := errors.AsType[*Error](err)
		if !strings.Contains(err.Error(), tt.says) || tt.hint != "" && (e == nil || e.Hints[0] != tt.hint) {
			t.Errorf("%s: %v", tt.socket, err)
		}
	}
}

// TestGuard turns one caller away and takes the next.
func TestGuard(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "agent.sock")
	ln, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	calls := 0
	g := &guarded{ln, slog.New(slog.NewTextHandler(&log, nil)), func(c net.Conn) error {
		if calls++; calls == 1 {
			return errors.New("process 7 is of user 65534")
		}
		return ownUser(c)
	}}
	defer g.Close()
	var conns [2]net.Conn
	for n := range conns {
		if conns[n], err = net.Dial("unix", socket); err != nil {
			t.Fatal(err)
		}
		defer conns[n].Close()
	}
	c, err := g.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if n, err := conns[0].Read(make([]byte, 1)); err == nil {
		t.Errorf("%d bytes for who was turned away", n)
	}
	if _, err := c.Write([]byte("x")); err != nil {
		t.Error(err)
	}
	if n, err := conns[1].Read(make([]byte, 1)); n != 1 {
		t.Errorf("who is of this user gets %v", err)
	}
	if calls != 2 || !strings.Contains(log.String(), `reason="process 7 is of user 65534"`) {
		t.Errorf("%d callers; the log has %q", calls, log.String())
	}
}
