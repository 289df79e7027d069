//go:build linux

package test

import (
	"path/filepath"
	"regexp"
	"syscall"
	"testing"
)

// TestExec runs commands inside of a tunnel.
func TestExec(t *testing.T) {
	ssh := startSSHD(t)
	server := startPyftpdlib(t, elsewhere)
	serveFile(t, filepath.Join(server.root, "file"), []byte("content\n"))
	login := server.user + ":" + server.password
	for _, test := range []struct {
		name    string
		command []string
		code    int
		stdout  string // a pattern
	}{
		{"curl", []string{"curl", "-sS", "-u", login, "{}/file"}, 0, `^content\n$`},
		{"curl-active", []string{"curl", "-sS", "-P", "-", "-u", login, "{}/file"}, 0, `^content\n$`},
		{"fails", []string{"curl", "-sS", "-u", login, "{}/nothing"}, 78, `^$`},
		{"code", []string{"sh", "-c", "exit 7"}, 7, `^$`},
		{"signal", []string{"sh", "-c", "kill -TERM $$"}, 128 + int(syscall.SIGTERM), `^$`},
		{"environment", []string{"sh", "-c", "echo {} $PASVPORT_URL $PASVPORT_HOST $PASVPORT_PORT"}, 0,
			`^(ftp://127\.0\.0\.1:\d+) ftp://127\.0\.0\.1:\d+ 127\.0\.0\.1 \d+\n$`},
		{"by-environment", []string{"sh", "-c", `curl -sS -u ` + login + ` "ftp://$PASVPORT_HOST:$PASVPORT_PORT/file"`}, 0, `^content\n$`},
		{"missing", []string{"no-such-program"}, 127, `^$`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			args := append([]string{"exec", "-L", "0:" + server.addr(), "testhost", "--"}, test.command...)
			r := run(t, pasvportCmd(t, ssh, args...))
			if r.code != test.code || !regexp.MustCompile(test.stdout).MatchString(r.stdout) {
				t.Errorf("want exit code %d and %q, got %v", test.code, test.stdout, r)
			}
		})
	}
}
