//go:build linux

package test

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/pasvport/pasvport/test/picture"
)

var takePicture = flag.Bool("picture", false, "let TestTop write examples/top.svg, the README's picture")

// TestTop drives top on a real terminal while a file is downloaded.
func TestTop(t *testing.T) {
	ssh, server, h := startSSHD(t), startPureFTPd(t, elsewhere), newHome(t)
	sized(t, filepath.Join(server.root, "database.dump"), 400<<20)
	writeFile(t, ssh.config, []byte(strings.Replace(readFile(t, ssh.config), "Host testhost", "Host prod", 1)))
	up := []string{"-F", ssh.config, "-L", "0:" + server.addr(), "prod"}
	addr := h.up(up...)
	curl := startProcess(t, slowly(h.curl(server, addr, "database.dump"), 4<<20))

	top := startTerminal(t, h.command("top"), 110, 30)
	top.shows(`prod +up .* ↓ [0-9.]+ [KM]iB/s`)
	top.shows(`127\.0\.0\.1:\d+ +` + server.user)
	first := top.percent("database.dump")
	eventually(t, "the bar moves", func() bool { return top.percent("database.dump") > first })

	top.resize(80, 24)
	top.shows(`(?m)^pasvport top .{60,67}$`) // drawn for the new size
	top.fits(80, 24)
	if *takePicture {
		top.picture(h, server, addr)
		top.resize(80, 24)
	}

	top.press("Down", "x")
	top.shows("stop session 1 of .*" + server.user + ".*y/n")
	top.press("y")
	top.shows("session 1 of .* is stopped")
	if code := curl.wait(t); code == 0 {
		t.Error("curl has all of a file whose session was stopped")
	}

	mustRun(t, h.command("agent", "stop"))
	top.shows("the agent does not answer")
	h.up(up...)
	top.shows(`prod +up `)
	top.press("q")
	if code := top.ended(); code != 0 {
		t.Errorf("top ended with %d", code)
	}
}

// percent waits for the progress of the file, as it is on the screen.
func (s *terminal) percent(name string) int {
	s.Helper()
	found := s.shows(`↓ ` + name + ` .*[█░]+ +(\d+)%`)
	n, err := strconv.Atoi(found[1])
	if err != nil {
		s.Fatal(err)
	}
	return n
}

// fits fails unless what is drawn is for a screen of this size: tmux would wrap, or
// scroll away, what is not.
func (s *terminal) fits(columns, rows int) {
	s.Helper()
	lines := strings.Split(strings.TrimSuffix(s.screen(), "\n"), "\n")
	if len(lines) != rows || !strings.HasPrefix(lines[0], "pasvport top") || !strings.HasPrefix(lines[rows-1], "q quit") {
		s.Errorf("the screen is not that of %dx%d:\n%s", columns, rows, strings.Join(lines, "\n"))
	}
	if _, err := picture.SVG(s.captured(), columns, rows); err != nil {
		s.Error(err)
	}
}

// picture has more to see, and writes it.
func (s *terminal) picture(h *home, server *ftpServer, addr string) {
	s.Helper()
	path := filepath.Join(s.TempDir(), "photos.tar")
	sized(s.T, path, 400<<20)
	folder := filepath.Join(server.root, "incoming")
	if err := os.Mkdir(folder, 0o777); err != nil {
		s.Fatal(err)
	}
	if err := os.Chmod(folder, 0o777); err != nil {
		s.Fatal(err)
	}
	upload := slowly(h.curl(server, addr, "incoming/"), 1<<20)
	upload.Args = append(upload.Args, "-T", path)
	startProcess(s.T, upload)
	const columns, rows = 90, 9
	s.resize(columns, rows)
	eventually(s.T, "a good part is through", func() bool { return s.percent("database.dump") > 60 })
	svg, err := picture.SVG(s.captured(), columns, rows)
	if err != nil {
		s.Fatal(err)
	}
	if err := os.WriteFile("../examples/top.svg", svg, 0o644); err != nil {
		s.Fatal(err)
	}
}

// slowly has curl move so many bytes a second.
func slowly(curl *exec.Cmd, rate int) *exec.Cmd {
	curl.Args = append(curl.Args, "--limit-rate", fmt.Sprint(rate), "-o", "/dev/null")
	return curl
}

// sized makes a file of size bytes that takes no room on the disk.
func sized(t *testing.T, path string, size int64) {
	t.Helper()
	writeFile(t, path, nil)
	if err := os.Truncate(path, size); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
}
