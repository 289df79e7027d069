//go:build linux

package test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestOtherUser has another user's process ask the agent. Its folder keeps that out;
// and where somebody has opened folder and socket to all, the agent does.
func TestOtherUser(t *testing.T) {
	h := newHome(t)
	ask := func(request string, as ...string) result {
		t.Helper()
		method, path, _ := strings.Cut(request, " ")
		curl := []string{program(t, "curl"), "-sS", "-X", method, "--unix-socket", h.socket(), "-H", "Pasvport-API: 1", "http://agent" + path}
		words := slices.Concat(as, curl)
		return run(t, exec.Command(words[0], words[1:]...))
	}
	nobody := []string{program(t, "setpriv"), "--reuid=nobody", "--regid=nogroup", "--clear-groups"}
	requests := []string{"GET /v1/status", "GET /v1/metrics", "POST /v1/stop"}

	agent := startProcess(t, h.command("agent", "run"))
	eventually(t, "the agent runs", func() bool { return h.pid() != 0 })
	const refused = 7 // curl's word for no connection
	for dir := h.dir; dir != os.TempDir(); dir = filepath.Dir(dir) {
		h.open(dir, 0o755)
	}
	h.open(h.path("run"), 0o755)
	for _, request := range requests {
		if r := ask(request, nobody...); r.code != refused {
			t.Errorf("nobody asks for %s: %v, want the folder to keep it out", request, r)
		}
	}
	h.open(filepath.Dir(h.socket()), 0o755)
	for _, request := range requests {
		if r := ask(request, nobody...); r.code != refused {
			t.Errorf("nobody asks for %s: %v, want the socket to keep it out", request, r)
		}
	}
	if log := agent.stderr.String(); strings.Contains(log, "turned away") {
		t.Errorf("the agent was reached:\n%s", log)
	}
	h.open(h.socket(), 0o666)
	for _, request := range requests {
		if r := ask(request, nobody...); r.code == 0 || r.stdout != "" {
			t.Errorf("nobody asks for %s: %v, want the agent to turn it away", request, r)
		}
	}
	agent.waitFor(t, agent.stderr, strings.Repeat(`turned away" reason="process \d+ is of user \d+"(?s:.*)`, len(requests)))
	if r := ask("GET /v1/status"); r.code != 0 || !strings.Contains(r.stdout, fmt.Sprintf(`"pid":%d,`, h.pid())) {
		t.Errorf("its own user asks: %v", r)
	}
}

// open gives what is in the home another mode.
func (h *home) open(path string, mode os.FileMode) {
	h.Helper()
	if err := os.Chmod(path, mode); err != nil {
		h.Fatal(err)
	}
}
