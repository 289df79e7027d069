package sdnotify

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// asService is set for the test's program when it runs as a service.
const asService = "PASVPORT_TEST_SERVICE"

func TestMain(m *testing.M) {
	if os.Getenv(asService) != "" {
		os.Exit(service())
	}
	os.Exit(m.Run())
}

// service prints what Listeners finds, each socket's name and address, and which
// file descriptors children would get because of it.
func service() int {
	before := inheritable()
	passed, _ := strconv.Atoi(os.Getenv("LISTEN_FDS"))
	for fd := 3; fd < 3+passed; fd++ {
		delete(before, fd)
	}
	sockets, err := Listeners()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer sockets.Close()
	if sockets.Agent != nil {
		fmt.Println("agent", sockets.Agent.Addr())
	}
	for name, listeners := range sockets.Tunnels {
		for _, l := range listeners {
			fmt.Println(name, l.Addr())
		}
	}
	for fd := range inheritable() {
		if !before[fd] {
			fmt.Println("inherited", fd)
		}
	}
	return 0
}

// inheritable are this process's file descriptors that children get.
func inheritable() map[int]bool {
	all := make(map[int]bool)
	for fd := range 1024 {
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil && flags&unix.FD_CLOEXEC == 0 {
			all[fd] = true
		}
	}
	return all
}

// activate runs service with files as systemd passes them, under names.
func activate(t *testing.T, names string, files ...*os.File) (stdout, stderr string, err error) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	// The process's own id is known to the shell that becomes it.
	cmd := exec.Command("sh", "-c", `LISTEN_PID=$$ exec "$0"`, self)
	cmd.Env = append(os.Environ(), asService+"=yes", fmt.Sprint("LISTEN_FDS=", len(files)), "LISTEN_FDNAMES="+names)
	cmd.ExtraFiles = files
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	err = cmd.Run()
	return out.String(), errs.String(), err
}

// socketFile is the file of a net.Listener or net.Conn.
func socketFile[S interface{ File() (*os.File, error) }](t *testing.T, s S, err error) *os.File {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	f, err := s.File()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func tcpFile(t *testing.T) (f *os.File, address string) {
	t.Helper()
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return socketFile(t, l, nil), l.Addr().String()
}

func unixFile(t *testing.T) (f *os.File, path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "agent.sock")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return socketFile(t, l, nil), path
}

func TestListeners(t *testing.T) {
	agent, path := unixFile(t)
	first, firstAddr := tcpFile(t)
	second, secondAddr := tcpFile(t)
	stdout, stderr, err := activate(t, "prod:agent:prod", first, agent, second)
	want := fmt.Sprintf("agent %s\nprod %s\nprod %s\n", path, firstAddr, secondAddr)
	if stdout != want || stderr != "" || err != nil {
		t.Errorf("got %q, %q, %v\nwant %q", stdout, stderr, err, want)
	}
	if _, err := os.Stat(path); err != nil {
		t.Errorf("the service took the manager's socket away: %v", err)
	}
}

func TestMisfits(t *testing.T) {
	agent, _ := unixFile(t)
	other, _ := unixFile(t)
	port, _ := tcpFile(t)
	pipe, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer pipe.Close()
	defer w.Close()
	udp, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	datagrams := socketFile(t, udp, err)
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pair[1])
	connected := os.NewFile(uintptr(pair[0]), "pair")
	defer connected.Close()

	for _, test := range []struct {
		names string
		files []*os.File
		want  []string
	}{
		{"prod", []*os.File{pipe}, []string{`descriptor 3, named "prod", is no socket`, "ListenStream="}},
		{"prod", []*os.File{datagrams}, []string{`named "prod", is no stream socket`, "ListenStream="}},
		{"agent", []*os.File{connected}, []string{`named "agent", does not listen`, "Accept=no"}},
		{"agent", []*os.File{port}, []string{`named "agent", is a TCP socket`, "ListenStream=%t/pasvport/agent.sock"}},
		{"prod:agent:agent", []*os.File{port, agent, other}, []string{`descriptor 5, named "agent", is the second`, "one ListenStream="}},
		{"prod", []*os.File{agent}, []string{`named "prod", is a Unix socket`, "ListenStream=127.0.0.1:PORT", "FileDescriptorName=agent"}},
	} {
		stdout, stderr, err := activate(t, test.names, test.files...)
		exit, ok := errors.AsType[*exec.ExitError](err)
		if !ok || exit.ExitCode() != 1 || stdout != "" {
			t.Errorf("%s: got %q, %v, want an error alone", test.names, stdout, err)
		}
		for _, want := range append(test.want, "in its .socket unit") {
			if !strings.Contains(stderr, want) {
				t.Errorf("%s: got %q, want %q in it", test.names, stderr, want)
			}
		}
	}
}

// TestTooMany has a number that no memory is enough for.
func TestTooMany(t *testing.T) {
	t.Setenv("LISTEN_PID", strconv.Itoa(os.Getpid()))
	t.Setenv("LISTEN_FDS", "99999999999")
	if _, err := Listeners(); err == nil || !strings.Contains(err.Error(), "LISTEN_FDS=99999999999 is more than") {
		t.Errorf("got %v, want an error about LISTEN_FDS", err)
	}
}
