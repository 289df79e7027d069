// Package metrics shows the agent's tunnels to Prometheus.
//
// What can only grow is a counter and ends in _total; it counts from the opening of the
// tunnel, over all of its SSH connections. Closing and opening a tunnel begins its
// counters anew, which rate() and increase() know how to take. A tunnel that the agent
// has forgotten has no figures any more.
package metrics

import (
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/pasvport/pasvport/cmd/pasvport/internal/api"
)

// Handler answers scrapes; each asks for one status. It may be made more than once.
func Handler(status func() *api.Status) http.Handler {
	// What cannot be shown is left out, and does not spoil the rest.
	return promhttp.HandlerFor(registry(status), promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError})
}

func registry(status func() *api.Status) *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(
		collector(status),
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	return r
}

// Server answers scrapes with handler on a listener of Listen's, whoever of this
// machine's users asks, and however slowly.
func Server(handler http.Handler) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       5 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
	}
}

// Listen listens at addr, host:port, if that is this machine's own: the figures have
// the names of tunnels in them, and nobody is asked for a password.
func Listen(addr string) (net.Listener, error) {
	at, err := net.ResolveTCPAddr("tcp", addr)
	if err != nil {
		return nil, refused(addr, err.Error())
	}
	if !at.IP.IsLoopback() {
		return nil, refused(addr, "that is not an address of this machine alone")
	}
	ln, err := net.ListenTCP("tcp", at)
	if err != nil {
		return nil, fmt.Errorf("listening for scrapes of the metrics: %w", err)
	}
	return ln, nil
}

func refused(addr, why string) error {
	return &api.Error{
		Text:  fmt.Sprintf("metrics = %q: %s", addr, why),
		Hints: []string{`metrics = "127.0.0.1:9121" is one; the agent's socket has them too, at /v1/metrics`},
		Code:  2,
		Time:  time.Now(),
	}
}

// The labels.
var (
	byTunnel    = []string{"tunnel"}
	byDirection = []string{"tunnel", "direction"}
)

// A figure is one of a tunnel.
type figure struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	of   func(*api.Tunnel) float64            // for byTunnel
	each func(*api.Tunnel) (down, up float64) // for byDirection
}

func gauge(name, help string, of func(*api.Tunnel) float64) figure {
	return figure{desc: desc(name, help, byTunnel), kind: prometheus.GaugeValue, of: of}
}

func counter(name, help string, of func(*api.Tunnel) float64) figure {
	return figure{desc: desc(name, sinceOpen(help), byTunnel), kind: prometheus.CounterValue, of: of}
}

func gauges(name, help string, each func(*api.Tunnel) (down, up float64)) figure {
	return figure{desc: desc(name, help, byDirection), kind: prometheus.GaugeValue, each: each}
}

func counters(name, help string, each func(*api.Tunnel) (down, up float64)) figure {
	return figure{desc: desc(name, sinceOpen(help), byDirection), kind: prometheus.CounterValue, each: each}
}

func desc(name, help string, labels []string) *prometheus.Desc {
	return prometheus.NewDesc("pasvport_"+name, help, labels, nil)
}

func sinceOpen(help string) string { return help + ", since the tunnel was opened." }

// figures are those of each tunnel.
var figures = []figure{
	gauge("tunnel_up", "Whether the tunnel's SSH connection is there: 1 or 0.",
		func(t *api.Tunnel) float64 {
			if t.State == api.Up {
				return 1
			}
			return 0
		}),
	gauge("ssh_connections", "SSH connections of the tunnel that are there now.",
		func(t *api.Tunnel) float64 { return float64(t.Connections) }),
	counter("ssh_reconnections_total", "SSH connections after the first",
		func(t *api.Tunnel) float64 { return float64(t.Totals.Reconnections) }),
	gauge("sessions_in_progress", "FTP sessions that are there now.",
		func(t *api.Tunnel) float64 { return float64(len(t.Sessions)) }),
	counter("sessions_total", "FTP sessions, those that are there now included",
		func(t *api.Tunnel) float64 { return float64(t.Totals.Sessions) }),
	gauges("transfers_in_progress", "Files and listings under way.", underWay),
	counters("transfers_completed_total", "Files and listings that were transferred to their end",
		func(t *api.Tunnel) (down, up float64) { return float64(t.Totals.Downloads), float64(t.Totals.Uploads) }),
	counter("transfers_failed_total", "Files and listings that were begun and did not come to their end",
		func(t *api.Tunnel) float64 { return float64(t.Totals.Failed) }),
	counters("transfer_bytes_total", "Bytes of files and listings, those under way included",
		func(t *api.Tunnel) (down, up float64) { return float64(t.Totals.BytesDown), float64(t.Totals.BytesUp) }),
}

// underWay counts transfers.
func underWay(t *api.Tunnel) (down, up float64) {
	for _, s := range t.Sessions {
		for _, transfer := range s.Transfers {
			if transfer.Upload {
				up++
			} else {
				down++
			}
		}
	}
	return down, up
}

// agentInfo is there to be joined with.
var agentInfo = prometheus.NewDesc("pasvport_build_info", "The version of pasvport that the agent is; always 1.", []string{"version"}, nil)

// collector makes figures of a status.
type collector func() *api.Status

// Describe tells of all that Collect may send.
func (c collector) Describe(to chan<- *prometheus.Desc) {
	to <- agentInfo
	for _, f := range figures {
		to <- f.desc
	}
}

// Collect asks for one status.
func (c collector) Collect(to chan<- prometheus.Metric) {
	s := c()
	to <- prometheus.MustNewConstMetric(agentInfo, prometheus.GaugeValue, 1, label(s.Version))
	for i := range s.Tunnels {
		for _, f := range figures {
			f.collect(&s.Tunnels[i], to)
		}
	}
}

func (f *figure) collect(t *api.Tunnel, to chan<- prometheus.Metric) {
	if f.of != nil {
		to <- prometheus.MustNewConstMetric(f.desc, f.kind, f.of(t), label(t.Name))
		return
	}
	down, up := f.each(t)
	to <- prometheus.MustNewConstMetric(f.desc, f.kind, down, label(t.Name), "down")
	to <- prometheus.MustNewConstMetric(f.desc, f.kind, up, label(t.Name), "up")
}

// label is text as a label has to be, UTF-8. What is not is quoted as in Go.
func label(text string) string {
	if utf8.ValidString(text) {
		return text
	}
	return strconv.Quote(text)
}
