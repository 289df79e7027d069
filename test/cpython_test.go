//go:build linux

package test

import (
	"encoding/json"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"testing"
)

// notThroughTunnels are those of CPython's tests of ftplib, or classes of them,
// that cannot pass behind any tunnel that does its job.
var notThroughTunnels = []struct{ test, why string }{
	{"TestFTPClass.test_makepasv_issue43285_security_disabled",
		"it wants to see the false address in the server's reply to PASV, in whose place pasvport puts its own"},
	{"TestTLS_FTPClassMixin", "it sends AUTH before each test; TLS inside the tunnel is refused"},
	{"TestTLS_FTPClass", "it sends AUTH in each test; TLS inside the tunnel is refused"},
}

// cpythonTests is how many there are besides, in Python 3.9 to 3.13. Later ones
// have more.
const cpythonTests = 48

// TestCPython runs CPython's own tests of ftplib, whose server is told what to
// answer by the tests, and answers as no real one does: it blocks its only thread
// after PASV, is silent after an EPSV on IPv4, and connects back at PORT itself.
func TestCPython(t *testing.T) {
	ssh := startSSHD(t)
	port4, port6 := freePort(t, "127.0.0.1"), freePort(t, "::1")
	args := []string{"-u", "-W", "ignore", "testdata/cpython.py", fmt.Sprint(port4), fmt.Sprint(port6)}
	for _, x := range notThroughTunnels {
		args = append(args, x.test)
	}
	cmd := exec.Command(program(t, "python3"), args...)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	tests := startProcess(t, cmd)
	tests.waitFor(t, tests.stdout, "ready\n")
	tunnels := startPasvport(t, ssh, "-v", "-L", fmt.Sprintf("0:127.0.0.1:%d", port4), "-L", fmt.Sprintf("[::1]:0:[::1]:%d", port6))
	io.WriteString(stdin, strings.Join(tunnels.addrs, " ")+"\n")
	if code := tests.wait(t); code != 0 {
		t.Errorf("the tests ended with %d", code)
	}

	var came struct{ Sessions, Data int }
	ran, excluded := 0, make(map[string]int)
	_, lines, _ := strings.Cut(tests.stdout.String(), "ready\n")
	for line := range strings.Lines(lines) {
		var r struct {
			Test, Excluded, Trouble string
			Sessions, Data          int
		}
		switch err := json.Unmarshal([]byte(line), &r); {
		case err != nil:
			t.Fatalf("%q: %v", line, err)
		case r.Test == "":
			came.Sessions, came.Data = r.Sessions, r.Data
		case r.Excluded != "":
			excluded[r.Excluded]++
			t.Logf("left out: %s: %s", r.Test, whyExcluded(r.Excluded))
		default:
			ran++
			t.Run(r.Test, func(t *testing.T) {
				if r.Trouble != "" {
					t.Error(r.Trouble)
				}
			})
		}
	}
	for _, x := range notThroughTunnels {
		if excluded[x.test] == 0 {
			t.Errorf("there is no %s to be left out any more", x.test)
		}
	}
	if ran < cpythonTests {
		t.Errorf("%d tests ran, want %d at least", ran, cpythonTests)
	}
	tunnels.stop(t) // so that all of its log is here
	log := tunnels.stderr.String()
	if n := strings.Count(log, "session begins"); n != came.Sessions || n == 0 {
		t.Errorf("the servers had %d sessions, and pasvport %d", came.Sessions, n)
	}
	if n := strings.Count(log, "rewrote"); n != came.Data || n == 0 {
		t.Errorf("the servers had %d data connections, and pasvport rewrote %d addresses", came.Data, n)
	}
	t.Logf("%d tests in %d sessions with %d data connections", ran, came.Sessions, came.Data)
}

// whyExcluded is the reason of an entry in notThroughTunnels.
func whyExcluded(test string) string {
	for _, x := range notThroughTunnels {
		if x.test == test {
			return x.why
		}
	}
	return "?"
}
