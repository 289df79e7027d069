//go:build linux && profile

package test

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/pasvport/pasvport/ftpmux"
	"github.com/pasvport/pasvport/sshconf"
	"github.com/pasvport/pasvport/tunnel"
)

// TestProfile moves 2 GiB each way through a mux and a tunnel in this process, so that
// -cpuprofile shows where their time goes.
func TestProfile(t *testing.T) {
	ssh := startSSHD(t)
	server := startVsftpd(t, elsewhere)
	makeDir(t, server.root, "profile")
	const size, times = 256 << 20, 8
	file := filepath.Join(server.root, "profile", "large")
	serveFile(t, file, nil)
	if err := os.Truncate(file, size); err != nil {
		t.Fatal(err)
	}
	host, err := (&sshconf.Resolver{File: ssh.config}).Resolve("testhost")
	if err != nil {
		t.Fatal(err)
	}
	tun := tunnel.New(host, tunnel.Options{})
	defer tun.Close()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error)
	go func() {
		served <- (&ftpmux.Mux{Remote: tun, Server: server.addr(), Prefetch: true}).Serve(ctx, ln)
	}()
	url := "ftp://" + ln.Addr().String() + "/profile/"
	for name, args := range map[string][]string{
		"download": {"-o", "/dev/null", url + "large"},
		"upload":   {"-T", file, url + "copy"},
	} {
		t.Run(name, func(t *testing.T) {
			before := cpuTime(t)
			for range times {
				mustRun(t, exec.Command(program(t, "curl"), append([]string{"-sS"}, args...)...))
			}
			t.Logf("%.2f s of CPU per GiB", (cpuTime(t)-before)/(size*times)*(1<<30))
		})
	}
	cancel()
	if err := <-served; err != nil {
		t.Error(err)
	}
}

// cpuTime is what this process has used so far, in seconds.
func cpuTime(t *testing.T) float64 {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
}
