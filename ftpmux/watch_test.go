package ftpmux

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestSharedSequence is about muxes of one process, whose sessions must not share a
// number.
func TestSharedSequence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ids := new(Sequence)
		for want := range int64(3) {
			m := &Mux{IDs: ids}
			client, server, _, done := stage(t, m)
			synctest.Wait()
			sessions := m.Sessions()
			if len(sessions) != 1 || sessions[0].ID != want+1 || sessions[0].Client != "127.0.0.1:40000" || len(sessions[0].Transfers) != 0 {
				t.Errorf("got %+v, want session %d alone", sessions, want+1)
			}
			if m.StopSession(want) || !m.StopSession(want+1) {
				t.Error("StopSession does not know which sessions there are")
			}
			<-done
			if got, _ := client.in.takeAll(); got != "421 stopped by pasvport's user\r\n" {
				t.Errorf("the client got %q", got)
			}
			if n := len(m.Sessions()); n != 0 || m.StopSession(want+1) || m.Totals() != (Totals{Sessions: 1}) {
				t.Errorf("%d sessions are left, totals %+v", n, m.Totals())
			}
			client.Close()
			server.Close()
		}
	})
}

// TestPrintable is about names that would draw on a terminal, or be two lines.
func TestPrintable(t *testing.T) {
	for text, want := range map[string]string{
		"report 1.txt":           "report 1.txt",
		" a  ":                   " a",
		"über/日本語.txt":           "über/日本語.txt",
		"a\tb\rc\u2028d":         "a b c d",
		"\x1b[2Jgone":            "\ufffd[2Jgone",
		"\xff\xffb":              "\ufffd\ufffdb",
		"gpj.\u202eexe":          "gpj.\ufffdexe",
		"\u0085\u009b31m":        " \ufffd31m",
		strings.Repeat("ü", 600): strings.Repeat("ü", 512) + "…",
		strings.Repeat("日", 400): strings.Repeat("日", 341) + "…",
	} {
		if got := printable(text); got != want {
			t.Errorf("printable(%q) = %q, want %q", text, got, want)
		}
	}
}

// checkEnds holds what was told of all transfers of a mux that serves nobody any more
// against its totals: each has ended, and once.
func checkEnds(t *testing.T, m *Mux, ends []TransferEnd) {
	t.Helper()
	if n := len(m.Sessions()); n != 0 {
		t.Errorf("%d sessions are left", n)
	}
	if begun := m.ids().transfers.Load(); begun != int64(len(ends)) {
		t.Errorf("%d transfers were asked for, and %d ended", begun, len(ends))
	}
	var want, got Totals
	got = m.Totals()
	ids := make(map[int64]bool)
	for _, e := range ends {
		ids[e.ID] = true
		switch {
		case e.Complete() && e.Upload:
			want.Uploads++
		case e.Complete():
			want.Downloads++
		case e.Began:
			want.Failed++
		}
		if e.Size != nil && *e.Size < e.Bytes {
			t.Errorf("%d bytes of %d were moved", e.Bytes, *e.Size)
		}
	}
	if len(ids) != len(ends) {
		t.Errorf("%d of %d ends are of the same transfer", len(ends)-len(ids), len(ends))
	}
	want.Sessions, want.BytesDown, want.BytesUp = got.Sessions, got.BytesDown, got.BytesUp
	if got != want {
		t.Errorf("totals %+v, want %+v", got, want)
	}
}

// TestWatching lets several goroutines look at sessions, and stop some, while they run.
// The race detector judges, and the totals.
func TestWatching(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const sessions, files, size = 12, 5, 100 << 10
		local, far := newMemNet(50001), newMemNet(60001)
		ln, err := far.listen("127.0.0.1:21")
		if err != nil {
			t.Fatal(err)
		}
		var mu sync.Mutex
		var ends []TransferEnd
		m := &Mux{Remote: far, Server: "127.0.0.1:21", Local: local, Ended: func(e TransferEnd) {
			mu.Lock()
			defer mu.Unlock()
			ends = append(ends, e)
		}}

		var servers, clients, watchers sync.WaitGroup
		for i := range uint16(sessions) {
			host := netip.MustParseAddr("127.0.0.1")
			client, there := memPipe(netip.AddrPortFrom(host, 40000+i), netip.AddrPortFrom(host, 2121))
			clients.Go(func() { m.ServeConn(t.Context(), there) })
			c, err := ln.Accept()
			if err != nil {
				t.Fatal(err)
			}
			servers.Go(func() { serveFiles(c, far, 41000+100*i, size) })
			clients.Go(func() { fetch(client, local, files) })
		}
		quit := make(chan struct{})
		for range 3 {
			watchers.Go(func() {
				var before Totals
				for {
					select {
					case <-quit:
						return
					case <-time.After(time.Millisecond):
					}
					for _, s := range m.Sessions() {
						for _, tr := range s.Transfers {
							if s.ID%4 == 0 && tr.Bytes > size/2 {
								m.StopSession(s.ID)
							}
						}
					}
					now := m.Totals()
					if now.BytesDown < before.BytesDown || now.Downloads < before.Downloads || now.Failed < before.Failed {
						t.Errorf("totals fall from %+v to %+v", before, now)
					}
					before = now
				}
			})
		}
		clients.Wait()
		servers.Wait()
		close(quit)
		watchers.Wait()
		checkEnds(t, m, ends)
		got := m.Totals()
		var moved int64
		for _, e := range ends {
			moved += e.Bytes
		}
		if got.Sessions != sessions || got.Failed != sessions/4 || got.Downloads != sessions*3/4*files || got.BytesDown < moved {
			t.Errorf("totals %+v, and %d bytes in all transfers", got, moved)
		}
	})
}

// serveFiles is an FTP server that has every file, of that size, and takes its time
// over it. Its data ports count up from port.
func serveFiles(c net.Conn, n *memNet, port uint16, size int) {
	defer c.Close()
	fmt.Fprint(c, "220 ready\r\n")
	var ln net.Listener
	for lines := bufio.NewScanner(c); lines.Scan(); {
		switch line := lines.Text(); {
		case line == "EPSV":
			port++
			ln, _ = n.listen(fmt.Sprintf("127.0.0.1:%d", port))
			fmt.Fprintf(c, "229 (|||%d|)\r\n", port)
		case strings.HasPrefix(line, "RETR "):
			fmt.Fprintf(c, "150 Opening for %s (%d bytes).\r\n", line[5:], size)
			data, _ := ln.Accept()
			ln.Close()
			for range 10 {
				<-time.After(time.Millisecond)
				data.Write(make([]byte, size/10))
			}
			data.Close()
			fmt.Fprint(c, "226 done\r\n")
		default:
			fmt.Fprint(c, "200 ok\r\n")
		}
	}
}

// fetch is an FTP client that downloads some files, or leaves at the first 4yz. It
// closes c.
func fetch(c net.Conn, n *memNet, files int) {
	defer c.Close()
	replies := bufio.NewReader(c)
	reply := func() string {
		line, _ := replies.ReadString('\n')
		return line
	}
	reply()
	fmt.Fprint(c, "TYPE I\r\n")
	reply()
	for i := range files {
		fmt.Fprint(c, "EPSV\r\n")
		port, err := parseEPSV(reply())
		if err != nil {
			return
		}
		data, err := n.dial(fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			return
		}
		fmt.Fprintf(c, "RETR file%d\r\n", i)
		reply()
		io.Copy(io.Discard, data)
		data.Close()
		if !strings.HasPrefix(reply(), "226") {
			return
		}
	}
}
