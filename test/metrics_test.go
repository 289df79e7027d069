//go:build linux

package test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

// TestMetrics scrapes an agent after a download and after a reload that moves them.
func TestMetrics(t *testing.T) {
	ssh, server, h := startSSHD(t), startVsftpd(t, elsewhere), newHome(t)
	report(t, server)
	config := func(port int) string {
		return fmt.Sprintf("[agent]\nmetrics = \"127.0.0.1:%d\"\n[tunnel.prod]\nhost = \"testhost\"\nssh_config = %q\nlisten = \"0:%s\"\n", port, ssh.config, server.addr())
	}
	port := freePort(t, "127.0.0.1")
	h.configure(config(port))
	addr := h.up("prod")
	h.get(server, addr, "report.txt")
	scraped := scrape(t, port)
	for _, line := range []string{
		`pasvport_transfer_bytes_total{direction="down",tunnel="prod"} 9`,
		`pasvport_tunnel_up{tunnel="prod"} 1`,
		`pasvport_ssh_connections{tunnel="prod"} 1`,
		`pasvport_sessions_total{tunnel="prod"} 1`,
	} {
		if !strings.Contains(scraped, line+"\n") {
			t.Errorf("no %s in\n%s", line, scraped)
		}
	}
	next := freePort(t, "127.0.0.1")
	h.configure(config(next))
	mustRun(t, h.command("reload"))
	if !strings.Contains(scrape(t, next), `pasvport_transfer_bytes_total{direction="down",tunnel="prod"} 9`) {
		t.Error("the reload has touched the tunnel")
	}
	if _, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/metrics", port)); err == nil {
		t.Error("the old port is still open")
	}
}

func scrape(t *testing.T, port int) string {
	t.Helper()
	reply, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/metrics", port))
	if err != nil {
		t.Fatal(err)
	}
	defer reply.Body.Close()
	text, err := io.ReadAll(reply.Body)
	if err != nil || reply.StatusCode != http.StatusOK {
		t.Fatalf("%s, %v: %s", reply.Status, err, text)
	}
	return string(text)
}
