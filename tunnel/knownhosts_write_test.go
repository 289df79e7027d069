//go:build linux

package tunnel

import (
	"bytes"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/crypto/ssh"
)

const processFile = "PASVPORT_TEST_KNOWN_HOSTS"

// TestAddKnownHostProcess is another process, for the test below; by itself it
// does nothing.
func TestAddKnownHostProcess(t *testing.T) {
	file := os.Getenv(processFile)
	if file == "" {
		return
	}
	key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(os.Getenv(processFile + "_KEY")))
	if err != nil {
		t.Fatal(err)
	}
	for i := range 50 {
		if err := addKnownHost(file, fmt.Sprint("host", i), key, i%2 == 0); err != nil {
			t.Fatal(err)
		}
	}
}

// Several processes, goroutines and an ssh add lines at once: each line is there,
// and once.
func TestAddKnownHostAtOnce(t *testing.T) {
	s := startSSHD(t)
	file := writeFile(t, "known_hosts", "# no end of line")
	key := newSigner(t).PublicKey()
	_, port, _ := net.SplitHostPort(s.addr)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			cmd := exec.Command(os.Args[0], "-test.run=^TestAddKnownHostProcess$")
			cmd.Env = append(os.Environ(), processFile+"="+file, processFile+"_KEY="+string(ssh.MarshalAuthorizedKey(key)))
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
	wg.Go(func() {
		for i := 49; i >= 0; i-- { // the others come from the other end
			var together sync.WaitGroup
			begin := make(chan bool)
			for range 8 {
				together.Go(func() {
					<-begin
					if err := addKnownHost(file, fmt.Sprint("host", i), key, i%2 == 0); err != nil {
						t.Error(err)
					}
				})
			}
			close(begin)
			together.Wait()
		}
	})
	const aliases = 5
	wg.Go(func() {
		for i := range aliases {
			exec.Command(program(t, "ssh"), "-F", "none", "-p", port, "-o", "BatchMode=yes", "-o", "PreferredAuthentications=none", "-o", "UpdateHostKeys=no",
				"-o", "StrictHostKeyChecking=accept-new", "-o", "GlobalKnownHostsFile=none", "-o", "UserKnownHostsFile="+file,
				"-o", fmt.Sprint("HostKeyAlias=alias", i), "127.0.0.1").Run()
		}
	})
	wg.Wait()

	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	lines, bad := parseKnownHosts(data, file)
	if len(bad) > 0 || len(lines) != 50+aliases || !strings.HasPrefix(string(data), "# no end of line\n") {
		t.Errorf("%d lines, want %d; bad: %v", len(lines), 50+aliases, bad)
	}
	for i := range 50 {
		if n := len(lines.about(fmt.Sprint("host", i))); n != 1 {
			t.Errorf("host%d: %d lines", i, n)
		}
	}
	for i := range aliases {
		if n := len(lines.about(fmt.Sprint("alias", i))); n != 1 {
			t.Errorf("alias%d: %d lines", i, n)
		}
	}
}

// What stands in the place of the file once it is locked is what counts.
func TestAddKnownHostReplaced(t *testing.T) {
	file := writeFile(t, "known_hosts", "# old\n")
	holder, err := openLocked(file)
	if err != nil {
		t.Fatal(err)
	}
	key := newSigner(t).PublicKey()
	fi, err := holder.Stat()
	if err != nil {
		t.Fatal(err)
	}
	waits := fmt.Sprintf(":%d ", fi.Sys().(*syscall.Stat_t).Ino)
	done := make(chan error)
	go func() { done <- addKnownHost(file, "host", key, false) }()
	for waiting := false; !waiting; runtime.Gosched() {
		locks, err := os.ReadFile("/proc/locks")
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(locks)) {
			waiting = waiting || strings.Contains(line, "-> FLOCK") && strings.Contains(line, waits)
		}
	}
	if err := os.Rename(writeFile(t, "new", "# new\n"), file); err != nil { // as ssh-keygen -R does
		t.Error(err)
	}
	holder.Close()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if got, _ := os.ReadFile(file); string(got) != "# new\nhost "+string(ssh.MarshalAuthorizedKey(key)) {
		t.Errorf("got %q", got)
	}
}

// Somebody else may lock the file and keep the lock: ssh does not ask for it, and we
// write all the same in the end.
func TestAddKnownHostLocked(t *testing.T) {
	file := writeFile(t, "known_hosts", "")
	holder, err := openLocked(file)
	if err != nil {
		t.Fatal(err)
	}
	defer holder.Close()
	key := newSigner(t).PublicKey()
	if err := addKnownHost(file, "host", key, false); err != nil {
		t.Error(err)
	}
	if got, _ := os.ReadFile(file); string(got) != "host "+string(ssh.MarshalAuthorizedKey(key)) {
		t.Errorf("got %q", got)
	}
}

func TestAddKnownHostFiles(t *testing.T) {
	key := newSigner(t).PublicKey()
	line := "host " + string(ssh.MarshalAuthorizedKey(key))
	dir := t.TempDir()

	real, link := filepath.Join(dir, "real"), filepath.Join(dir, "link")
	if err := os.Symlink(real, link); err != nil {
		t.Fatal(err)
	}
	for range 2 { // it is not there at first, and has the line then
		if err := addKnownHost(link, "HOST", key, false); err != nil {
			t.Fatal(err)
		}
	}
	if got, _ := os.ReadFile(real); string(got) != line {
		t.Errorf("got %q", got)
	}
	if fi, err := os.Lstat(link); err != nil || fi.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link is %v, %v", fi.Mode(), err)
	}
	if fi, err := os.Stat(real); err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", fi.Mode(), err)
	}
	if err := addKnownHost(os.DevNull, "host", key, false); err != nil {
		t.Error(err)
	}
	for _, name := range []string{"a b", "a\nb", ""} {
		if err := addKnownHost(real, name, key, false); err == nil {
			t.Errorf("%q was added", name)
		}
	}
	if err := addKnownHost(dir, "host", key, false); err == nil {
		t.Error("a directory takes a line")
	}
}

// Where the line cannot be kept, that is told and the connection goes on.
func TestHostKeyNotKept(t *testing.T) {
	s := newServer(t)
	h := s.host()
	h.UserKnownHostsFiles, h.StrictHostKeyChecking = []string{t.TempDir()}, "accept-new"
	var log bytes.Buffer
	if err := newTunnel(t, h, Options{Logger: slog.New(slog.NewTextHandler(&log, nil))}).Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"known hosts not read", "host key accepted and not kept"} { // and went on both times
		if !strings.Contains(log.String(), want) {
			t.Errorf("nothing on %q in\n%s", want, log.String())
		}
	}
	h.UserKnownHostsFiles = nil // ssh takes no key then, and neither do we
	if e := wantAs[*HostKeyError](t, newTunnel(t, h, Options{}).Connect(t.Context())); e.Err == nil {
		t.Error(e)
	}
}

// The line is what ssh writes for the same host; TestTrustAgainstOpenSSH has more.
func TestAddKnownHostAgainstOpenSSH(t *testing.T) {
	s := startSSHD(t)
	_, port, _ := net.SplitHostPort(s.addr)
	for _, tt := range []struct{ host, alias, hash string }{
		{"127.0.0.1", "", "no"}, {"LocalHost", "", "no"}, {"127.0.0.1", "Some.Alias", "no"}, {"127.0.0.1", "", "yes"}, {"localhost", "Alias", "yes"},
	} {
		theirs := filepath.Join(t.TempDir(), "theirs")
		args := []string{"-F", "none", "-4", "-p", port, "-o", "BatchMode=yes", "-o", "PreferredAuthentications=none", "-o", "UpdateHostKeys=no",
			"-o", "StrictHostKeyChecking=accept-new", "-o", "GlobalKnownHostsFile=none", "-o", "UserKnownHostsFile=" + theirs, "-o", "HashKnownHosts=" + tt.hash}
		if tt.alias != "" {
			args = append(args, "-o", "HostKeyAlias="+tt.alias)
		}
		exec.Command(program(t, "ssh"), append(args, tt.host)...).Run()
		h := s.host()
		h.HostName, h.HostKeyAlias, h.AddressFamily = tt.host, tt.alias, "inet"
		h.HashKnownHosts, h.StrictHostKeyChecking = tt.hash == "yes", "accept-new"
		ours := filepath.Join(t.TempDir(), "ours")
		h.UserKnownHostsFiles = []string{ours}
		if err := newTunnel(t, h, Options{}).Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		want, _ := os.ReadFile(theirs)
		got, _ := os.ReadFile(ours)
		if tt.hash == "no" {
			if len(want) == 0 || !bytes.Equal(got, want) {
				t.Errorf("%+v: got %q, ssh writes %q", tt, got, want)
			}
			continue
		}
		g, w := strings.Split(string(got), "|"), strings.Split(string(want), "|") // the salts differ
		name := checkFor(t, h).name
		for _, text := range [][]byte{got, want} {
			if lines, _ := parseKnownHosts(text, ""); len(lines.about(name)) != 1 {
				t.Errorf("%+v: no line about %s in %q", tt, name, text)
			}
		}
		if len(g) != 4 || len(w) != 4 || len(g[2]) != len(w[2]) || !slices.Equal(strings.Fields(g[3])[1:], strings.Fields(w[3])[1:]) {
			t.Errorf("%+v: got %q, ssh writes %q", tt, got, want)
		}
	}
	for name, want := range map[string]string{ // as put together by ssh
		hostPort("host", 22): "host", hostPort("host", 2222): "[host]:2222", hostPort("::1", 22): "::1", hostPort("::1", 23): "[::1]:23", hostPort("host", 0): "host",
	} {
		if name != want {
			t.Errorf("got %s, want %s", name, want)
		}
	}
}
