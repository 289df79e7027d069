//go:build linux

// Package test runs pasvport between real programs: OpenSSH's sshd, four FTP
// servers and seven FTP clients. It holds tests only.
//
// setup.sh installs what they need on Debian and Ubuntu; a missing program fails
// the test that wants it. The tests run as root, as the FTP servers ask for it,
// and change nothing outside temporary folders: accounts with passwords are seen
// by the sshd that wants them alone (see launcher). With
//
//	go test ./test -run TestMatrix -direct
//
// the clients go to the servers without pasvport, which tells a quirk of theirs
// from a fault of ours.
package test

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"
)

// limit bounds every wait, far above what a loaded machine takes. It only turns
// a hang into a failure; nothing is measured by it.
const limit = 3 * time.Minute

var direct = flag.Bool("direct", false, "let the clients of TestMatrix talk to the FTP servers without pasvport")

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == proxyWord {
		proxy(os.Args[2:])
		return
	}
	if len(os.Args) > 1 && os.Args[1] == keepWord {
		keep(os.Args[2:])
		return
	}
	flag.Parse()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "test.parallel" })
	if !given { // clients and servers wait for each other most of the time
		flag.Set("test.parallel", strconv.Itoa(3*runtime.NumCPU()))
	}
	if os.Geteuid() != 0 {
		fmt.Fprintln(os.Stderr, "vsftpd and Pure-FTPd can only be started by root: run `make test`, or `go test -exec 'sudo -E' ./test`")
		os.Exit(1)
	}
	os.Unsetenv("SSH_AUTH_SOCK") // keys of whoever runs the tests are none of their business
	os.Setenv("LC_ALL", "C.UTF-8")
	os.Setenv("GORACE", "atexit_sleep_ms=0") // else each pasvport sleeps for a second at its end
	code := m.Run()
	if built.dir != "" {
		os.RemoveAll(built.dir)
	}
	os.Exit(code)
}

var built struct {
	once sync.Once
	dir  string
	err  error
}

// buildFlags are for pasvport.
var buildFlags = []string{"-race"}

// pasvportPath builds pasvport once, and returns its path.
func pasvportPath(t *testing.T) string {
	t.Helper()
	built.once.Do(func() {
		if built.dir, built.err = os.MkdirTemp("", "pasvport-bin-"); built.err != nil {
			return
		}
		out, err := exec.Command("go", slices.Concat([]string{"build"}, buildFlags, []string{"-o", built.dir, "../cmd/pasvport"})...).CombinedOutput()
		if err != nil {
			built.err = fmt.Errorf("building pasvport: %w\n%s", err, out)
		}
	})
	if built.err != nil {
		t.Fatal(built.err)
	}
	return filepath.Join(built.dir, "pasvport")
}

// program returns the path of an installed program.
func program(t *testing.T, name string) string {
	t.Helper()
	for _, dir := range []string{"/usr/bin", "/usr/sbin"} { // Debian's python3, not another one on PATH
		if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return path
		}
	}
	t.Fatalf("%s is missing: run `test/setup.sh` from the top folder, which installs it", name)
	return ""
}

// unpacked returns the path of a program of the FTP servers that setup.sh unpacks.
func unpacked(t *testing.T, name string) string {
	t.Helper()
	cache := os.Getenv("PASVPORT_TEST_CACHE")
	if cache == "" {
		base, err := os.UserCacheDir()
		if err != nil {
			t.Fatal(err)
		}
		cache = filepath.Join(base, "pasvport-test")
	}
	path := filepath.Join(cache, "servers", name)
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("%v: run `test/setup.sh` from the top folder, which unpacks it", err)
	}
	return path
}
