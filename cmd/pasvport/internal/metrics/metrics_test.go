package metrics

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/pasvport/pasvport/cmd/pasvport/internal/api"
)

func busy() *api.Status {
	return &api.Status{Version: "v1.2.3", Tunnels: []api.Tunnel{
		{
			Name: "prod", State: api.Up, Connections: 2,
			Totals: api.Totals{Sessions: 3, Downloads: 4, Uploads: 5, Failed: 6, BytesDown: 7, BytesUp: 1 << 40, Reconnections: 9},
			Sessions: []api.Session{
				{Transfers: []api.Transfer{{Upload: true}, {}}},
				{Transfers: []api.Transfer{{}}},
				{},
			},
		},
		{Name: "test", State: api.Reconnecting},
	}}
}

// ours is what a scrape of s has of the agent itself.
func ours(t *testing.T, s *api.Status) string {
	t.Helper()
	lines := strings.SplitAfter(scrape(t, Handler(func() *api.Status { return s })), "\n")
	var text strings.Builder
	for _, line := range lines {
		if strings.HasPrefix(line, "pasvport_") {
			text.WriteString(line)
		}
	}
	return text.String()
}

func scrape(t *testing.T, h http.Handler) string {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/v1/metrics", nil))
	if w.Code != http.StatusOK || !strings.HasPrefix(w.Header().Get("Content-Type"), "text/plain; version=0.0.4") {
		t.Fatalf("%d, %v: %s", w.Code, w.Header(), w.Body)
	}
	return w.Body.String()
}

func TestFigures(t *testing.T) {
	const want = `pasvport_build_info{version="v1.2.3"} 1
pasvport_sessions_in_progress{tunnel="prod"} 3
pasvport_sessions_in_progress{tunnel="test"} 0
pasvport_sessions_total{tunnel="prod"} 3
pasvport_sessions_total{tunnel="test"} 0
pasvport_ssh_connections{tunnel="prod"} 2
pasvport_ssh_connections{tunnel="test"} 0
pasvport_ssh_reconnections_total{tunnel="prod"} 9
pasvport_ssh_reconnections_total{tunnel="test"} 0
pasvport_transfer_bytes_total{direction="down",tunnel="prod"} 7
pasvport_transfer_bytes_total{direction="down",tunnel="test"} 0
pasvport_transfer_bytes_total{direction="up",tunnel="prod"} 1.099511627776e+12
pasvport_transfer_bytes_total{direction="up",tunnel="test"} 0
pasvport_transfers_completed_total{direction="down",tunnel="prod"} 4
pasvport_transfers_completed_total{direction="down",tunnel="test"} 0
pasvport_transfers_completed_total{direction="up",tunnel="prod"} 5
pasvport_transfers_completed_total{direction="up",tunnel="test"} 0
pasvport_transfers_failed_total{tunnel="prod"} 6
pasvport_transfers_failed_total{tunnel="test"} 0
pasvport_transfers_in_progress{direction="down",tunnel="prod"} 2
pasvport_transfers_in_progress{direction="down",tunnel="test"} 0
pasvport_transfers_in_progress{direction="up",tunnel="prod"} 1
pasvport_transfers_in_progress{direction="up",tunnel="test"} 0
pasvport_tunnel_up{tunnel="prod"} 1
pasvport_tunnel_up{tunnel="test"} 0
`
	if got := ours(t, busy()); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

// TestNames has the linter of Prometheus' own look at names, types and help.
func TestNames(t *testing.T) {
	problems, err := testutil.GatherAndLint(registry(busy))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	// OpenMetrics takes _total off a counter's name, which must not be another's then.
	names := make(map[string]bool)
	for _, f := range figures {
		_, name, _ := strings.Cut(f.desc.String(), `"`)
		name, _, _ = strings.Cut(name, `"`)
		if name = strings.TrimSuffix(name, "_total"); names[name] {
			t.Errorf("%s is there twice", name)
		}
		names[name] = true
		if (f.of == nil) == (f.each == nil) {
			t.Errorf("%s has one value or two", name)
		}
		if counts := f.kind == prometheus.CounterValue; counts != strings.Contains(f.desc.String(), "since the tunnel was opened") {
			t.Errorf("%s does not tell what it counts from", name)
		}
	}
}

// TestMadeTwice has the handler of the socket beside that of the address.
func TestMadeTwice(t *testing.T) {
	asked := 0
	status := func() *api.Status {
		asked++
		return busy()
	}
	for _, h := range []http.Handler{Handler(status), Handler(status)} {
		for _, want := range []string{"go_goroutines ", "process_start_time_seconds ", "# TYPE pasvport_transfer_bytes_total counter"} {
			if text := scrape(t, h); !strings.Contains(text, want) {
				t.Errorf("no %q in:\n%s", want, text)
			}
		}
	}
	if asked != 2*3 {
		t.Errorf("%d statuses for 6 scrapes", asked)
	}
}

// TestHostileNames has names that a text format could stumble over.
func TestHostileNames(t *testing.T) {
	names := map[string]string{ // and how they are shown
		"a\"b":                     `a\"b`,
		"a\nb 1":                   `a\nb 1`,
		`a\`:                       `a\\`,
		"ü{x=\"y\"}":               `ü{x=\"y\"}`,
		"":                         "",
		"a\x00\x1b[m":              "a\x00\x1b[m",
		"a\xff":                    `\"a\\xff\"`,
		"a\xfe":                    `\"a\\xfe\"`,
		strings.Repeat("x", 1<<16): strings.Repeat("x", 1<<16),
	}
	s := &api.Status{Version: "v\xff"}
	for name := range names {
		s.Tunnels = append(s.Tunnels, api.Tunnel{Name: name, State: api.Up})
	}
	text := ours(t, s)
	for name, shown := range names {
		if want := fmt.Sprintf("\npasvport_tunnel_up{tunnel=\"%s\"} 1\n", shown); !strings.Contains(text, want) {
			t.Errorf("%q is not there as %q", name, shown)
		}
	}
	for line := range strings.Lines(text) {
		if !strings.Contains(line, "} ") {
			t.Errorf("a line %q", line)
		}
	}
}

// TestSameNames has two tunnels that are shown by one name; the others are not the
// worse for it.
func TestSameNames(t *testing.T) {
	s := &api.Status{Tunnels: []api.Tunnel{{Name: "a\xff"}, {Name: `"a\xff"`}, {Name: "b"}}}
	text := ours(t, s)
	for _, want := range []string{`pasvport_tunnel_up{tunnel="b"} 0`, `pasvport_tunnel_up{tunnel="\"a\\xff\""} 0`} {
		if strings.Count(text, want) != 1 {
			t.Errorf("not once %s in:\n%s", want, text)
		}
	}
}

func TestListen(t *testing.T) {
	for _, addr := range []string{"127.0.0.1:0", "[::1]:0", "localhost:0", "127.9.9.9:0"} {
		ln, err := Listen(addr)
		if err != nil {
			t.Errorf("%s: %v", addr, err)
			continue
		}
		if ip := ln.Addr().(*net.TCPAddr).IP; !ip.IsLoopback() {
			t.Errorf("%s listens at %v", addr, ip)
		}
		ln.Close()
	}
	for _, addr := range []string{":9121", "0.0.0.0:0", "[::]:0", "192.0.2.1:0", "[fe80::1]:0", "9121", "", "127.0.0.1", "127.0.0.1:x", "127.0.0.1:99999", "[::ffff:0.0.0.0]:0"} {
		ln, err := Listen(addr)
		if err == nil {
			t.Errorf("%q: listens at %v", addr, ln.Addr())
			ln.Close()
		} else if e, ok := err.(*api.Error); !ok || e.Code != 2 || len(e.Hints) == 0 {
			t.Errorf("%q: %v", addr, err)
		}
	}
	ln, err := Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if _, err := Listen(ln.Addr().String()); err == nil || !strings.Contains(err.Error(), "listening for scrapes") {
		t.Errorf("on a busy port: %v", err)
	}
}

// TestServer scrapes over a connection, and has time limits against those who hold one.
func TestServer(t *testing.T) {
	ln, err := Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := Server(Handler(busy))
	if server.ReadHeaderTimeout <= 0 || server.WriteTimeout <= 0 || server.IdleTimeout <= 0 {
		t.Error("a server without limits")
	}
	served := make(chan error)
	go func() { served <- server.Serve(ln) }()
	defer func() {
		server.Close()
		<-served
	}()
	r, err := http.Get("http://" + ln.Addr().String() + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err != nil || !strings.Contains(string(text), `pasvport_tunnel_up{tunnel="prod"} 1`) {
		t.Errorf("%v, %s", err, text)
	}
}
