//go:build linux && huge

package test

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
	"time"
)

func init() { buildFlags = nil } // the race detector takes memory of its own

// TestHuge carries 10 GiB each way: a sparse file of vsftpd's, and what a stub reads
// and throws away. All of it must arrive, and pasvport must not grow.
func TestHuge(t *testing.T) {
	const size = 10 << 30
	const most = 64 << 10 // KiB, a few times what buffers and the garbage collector take
	ssh := startSSHD(t)
	var got int64
	server := startVsftpd(t, "127.0.0.1")
	sink := startStub(t, func(s *stubSession, _ string) {
		data := s.open()
		s.reply("150 go")
		got = zeros(t, data)
		data.Close()
		s.reply("226 done")
	})
	p := startPasvport(t, ssh, "-L", "0:"+server.addr(), "-L", "0:"+sink.addr())
	makeDir(t, server.root, "folder")
	for _, n := range []int64{256 << 20, 2 << 30, size} {
		before := peak(t, p.cmd.Process.Pid)
		began := time.Now()
		file := filepath.Join(server.root, "folder", "sparse")
		serveFile(t, file, nil)
		if err := os.Truncate(file, n); err != nil {
			t.Fatal(err)
		}
		c := startRawClient(t, p.addrs[0], server.user, server.password, "folder", false)
		c.begin("RETR sparse")
		c.patient()
		if got := zeros(t, c.data); got != n {
			t.Errorf("a download of %d bytes, want %d", got, n)
		}
		c.want(226)

		c = startRawClient(t, p.addrs[1], sink.user, sink.password, "folder", false)
		c.begin("STOR odd")
		c.patient()
		for left, block := n, make([]byte, 1<<20); left > 0; left -= int64(len(block)) {
			c.send(block)
		}
		c.data.CloseWrite()
		c.want(226)
		if got != n {
			t.Errorf("an upload of %d bytes, want %d", got, n)
		}

		after := peak(t, p.cmd.Process.Pid)
		t.Logf("%d MiB each way in %v: pasvport's peak was %d KiB and is %d KiB", n>>20, time.Since(began).Round(time.Second), before, after)
		if after > most {
			t.Errorf("want at most %d KiB", most)
		}
	}
}

// patient takes the deadlines away, which are for what is done in seconds.
func (c *rawClient) patient() {
	c.control.SetDeadline(time.Time{})
	c.data.SetDeadline(time.Time{})
}

// zeros counts the bytes of r, which must all be 0, to its clean end.
func zeros(t *testing.T, r io.Reader) (n int64) {
	zero, block := make([]byte, 1<<20), make([]byte, 1<<20)
	for {
		k, err := r.Read(block)
		if !bytes.Equal(block[:k], zero[:k]) {
			t.Errorf("something else than 0 within %d bytes after %d", k, n)
			return n
		}
		n += int64(k)
		if err == io.EOF {
			return n
		} else if err != nil {
			t.Errorf("after %d bytes: %v", n, err)
			return n
		}
	}
}

// peak returns the most memory that a process has had, in KiB.
func peak(t *testing.T, pid int) int {
	t.Helper()
	status := readFile(t, "/proc/"+strconv.Itoa(pid)+"/status")
	m := regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindStringSubmatch(status)
	if m == nil {
		t.Fatalf("no peak in %q", status)
	}
	n, _ := strconv.Atoi(m[1])
	return n
}
