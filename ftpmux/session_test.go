package ftpmux

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// stage is a session between two ends in memory.
func stage(t testing.TB, m *Mux) (client, server *memConn, far *memNet, done <-chan struct{}) {
	far = newMemNet(60001)
	ln, err := far.listen("127.0.0.1:21")
	if err != nil {
		t.Fatal(err)
	}
	m.Remote, m.Server = far, "127.0.0.1:21"
	if m.Local == nil {
		m.Local = newMemNet(50001)
	}
	client, there := memPipe(netip.MustParseAddrPort("127.0.0.1:40000"), netip.MustParseAddrPort("127.0.0.1:2121"))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		m.ServeConn(context.Background(), there)
	}()
	c, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	return client, c.(*memConn), far, ended
}

func TestLongCommandIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server, _, done := stage(t, &Mux{})
		fmt.Fprint(server, "220 ready\r\n")
		fmt.Fprintf(client, "STOR %s\r\nNOOP\r\n", strings.Repeat("x", maxCommand))
		synctest.Wait()
		fmt.Fprint(server, "200 ok\r\n")
		synctest.Wait()
		got, _ := client.in.takeAll()
		want := "220 ready\r\n500 A command line is at most 8192 bytes long here\r\n200 ok\r\n"
		if got != want {
			t.Errorf("client got %q, want %q", got, want)
		}
		if got, _ := server.in.takeAll(); got != "NOOP\r\n" {
			t.Errorf("server got %.40q", got)
		}
		client.Close()
		server.Close()
		<-done
	})
}

func TestSlowClientStopsTheServer(t *testing.T) {
	// A client that reads nothing must not make the mux hoard replies.
	synctest.Test(t, func(t *testing.T) {
		client, server, _, done := stage(t, &Mux{})
		client.in.limit, server.out.limit = 1<<10, 1<<10
		fmt.Fprint(server, "220 ready\r\n")
		const lines = 10_000
		go func() {
			for range lines {
				if _, err := fmt.Fprint(server, "211-status\r\n"); err != nil {
					return
				}
			}
			fmt.Fprint(server, "211 end\r\n")
		}()
		synctest.Wait()
		server.out.mu.Lock()
		waiting := len(server.out.buf)
		server.out.mu.Unlock()
		if waiting < 1<<10 {
			t.Errorf("the mux went on reading a server whose client does not: %d bytes wait", waiting)
		}
		r := bufio.NewReader(client)
		for n := 0; ; n++ {
			line, err := r.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			if line == "211 end\r\n" {
				if n != lines+1 {
					t.Errorf("%d lines came, want %d", n, lines+1)
				}
				break
			}
		}
		client.Close()
		server.Close()
		<-done
	})
}

// doubtful is a connection whose end is an error of the tunnel's.
type doubtful struct {
	*memConn
	err error
}

func (d doubtful) Read(p []byte) (int, error) {
	n, err := d.memConn.Read(p)
	if err == io.EOF {
		err = d.err
	}
	return n, err
}

// TestKilledClientsEnds is about an upload whose client's control connection ends
// after its data does: how much later still tells that it was killed.
func TestKilledClientsEnds(t *testing.T) {
	for _, tt := range []struct {
		took, gap time.Duration
		killed    bool
	}{
		{0, 2 * time.Millisecond, true},
		{0, 4 * time.Millisecond, false},
		{time.Second, 19 * time.Millisecond, true},
		{time.Second, 21 * time.Millisecond, false},
		{time.Hour, 49 * time.Millisecond, true},
		{time.Hour, 51 * time.Millisecond, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			local := newMemNet(50001)
			client, server, far, done := stage(t, &Mux{Local: local})
			ln, err := far.listen("127.0.0.1:40021")
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprint(server, "220 ready\r\n")
			fmt.Fprint(client, "EPSV\r\n")
			synctest.Wait()
			fmt.Fprint(server, "229 (|||40021|)\r\n")
			synctest.Wait()
			data, err := local.dial("127.0.0.1:50001")
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprint(client, "STOR a\r\n")
			synctest.Wait()
			fmt.Fprint(server, "150 go\r\n")
			<-time.After(tt.took)
			data.Close()
			<-time.After(tt.gap)
			client.Close()
			synctest.Wait()
			if got, _ := server.in.takeAll(); strings.HasSuffix(got, "ABOR\r\n") != tt.killed {
				t.Errorf("an upload of %v, and %v between the ends: the server got %q; want ABOR: %v", tt.took, tt.gap, got, tt.killed)
			}
			server.Close()
			ln.Close()
			<-done
		})
	}
}

func TestLostListenerBreaksTheTransfer(t *testing.T) {
	// The server calls an upload complete and has not come for it; then the far
	// side's listener is lost. The client must hear of that, and of what follows.
	synctest.Test(t, func(t *testing.T) {
		local := newMemNet(50001)
		client, server, far, done := stage(t, &Mux{Local: local, Data: Active})
		fmt.Fprint(server, "220 ready\r\n")
		fmt.Fprint(client, "EPSV\r\n")
		synctest.Wait()
		fmt.Fprint(server, "200 ok\r\n")
		synctest.Wait()
		data, err := local.dial("127.0.0.1:50001")
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(client, "STOR a\r\n")
		synctest.Wait()
		client.in.takeAll()
		fmt.Fprint(server, "150 go\r\n226 done\r\n")
		synctest.Wait()
		far.listeners[netip.MustParseAddrPort("127.0.0.1:60001")].Close()
		fmt.Fprint(client, "NOOP\r\n")
		<-time.After(3 * replyTimeout)
		fmt.Fprint(server, "200 ok\r\n")
		synctest.Wait()
		want := "150 go\r\n426 The transfer did not complete: waiting for a data connection: use of closed network connection\r\n200 ok\r\n"
		if got, _ := client.in.takeAll(); got != want {
			t.Errorf("client got %q, want %q", got, want)
		}
		data.Close()
		client.Close()
		server.Close()
		<-done
	})
}

func TestNoWayToTheServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &Mux{Remote: newMemNet(60001), Server: "127.0.0.1:21"}
		client, there := memPipe(netip.MustParseAddrPort("127.0.0.1:40000"), netip.MustParseAddrPort("127.0.0.1:2121"))
		m.ServeConn(context.Background(), there)
		if got, end := client.in.takeAll(); got != "421 dial 127.0.0.1:21: connection refused\r\n" || end != io.EOF {
			t.Errorf("got %q, %v", got, end)
		}
	})
}

// hungry is a listener for which there is no descriptor left at first.
type hungry struct {
	*memListener
	failures int
}

func (h *hungry) Accept() (net.Conn, error) {
	if h.failures--; h.failures >= 0 {
		return nil, &net.OpError{Op: "accept", Err: syscall.EMFILE}
	}
	return h.memListener.Accept()
}

func TestServeOutlivesEMFILE(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		local := newMemNet(50001)
		ln, _ := local.listen("127.0.0.1:2121")
		m := &Mux{Remote: newMemNet(60001), Server: "127.0.0.1:21", Local: local}
		ctx, stop := context.WithCancel(context.Background())
		done := make(chan error)
		go func() { done <- m.Serve(ctx, &hungry{ln.(*memListener), 20}) }()
		client, err := local.DialContext(ctx, "tcp", "127.0.0.1:2121")
		if err != nil {
			t.Fatal(err)
		}
		<-time.After(20 * maxPause)
		if got, _ := client.(*memConn).in.takeAll(); !strings.HasPrefix(got, "421 ") {
			t.Errorf("got %q", got)
		}
		client.Close()
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestPasswordsAreNotLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		m := &Mux{Logger: slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))}
		client, server, _, done := stage(t, m)
		fmt.Fprint(server, "220 ready\r\n")
		fmt.Fprint(client, "USER me\r\npass hunter2\r\n\xff\xf4PASS hunter2\r\nACCT hunter2\r\n"+
			"XAUT 2 hunter2\r\nSITE PSWD old hunter2\r\nsite  chpass me hunter2\r\n\tSITE\tCPWD\thunter2\r\n"+
			"SITE ADDUSER me hunter2 *@*\r\nSITE CHMOD 644 file\r\n"+
			" PASS  hunter2 \r\nPASS\x00hunter2\r\nPASShunter2\r\nPassword hunter2\r\nPASS\r\n")
		synctest.Wait()
		fmt.Fprint(server, "331 go on\r\n500-'PASS hunter2':\r\n hunter2?\r\n500 command not understood\r\n")
		synctest.Wait()
		if got, _ := client.in.takeAll(); !strings.HasSuffix(got, "\r\n500-'PASS hunter2':\r\n hunter2?\r\n500 command not understood\r\n") {
			t.Errorf("the client got %q", got)
		}
		client.Close()
		server.Close()
		<-done
		if got, _ := server.in.takeAll(); strings.Count(got, "hunter2") != 12 {
			t.Errorf("the server got %q", got)
		}
		if strings.Contains(log.String(), "hunter2") || !strings.Contains(log.String(), "USER me") || !strings.Contains(log.String(), "SITE CHMOD 644 file") {
			t.Errorf("log:\n%s", log.String())
		}
	})
}

func FuzzReply(f *testing.F) {
	f.Add([]byte("220-a\r\n b\r\n220 c\r\n226 d\n"))
	f.Fuzz(func(t *testing.T, stream []byte) {
		replies := replyReader{r: bufio.NewReader(bytes.NewReader(stream))}
		var all []byte
		for {
			line, err := replies.next()
			all = append(all, line.raw...)
			if err != nil {
				break
			}
			if line.last && line.code == 0 {
				t.Fatalf("%q ends a reply without a code", line.raw)
			}
		}
		if !bytes.Equal(all, stream) {
			t.Fatalf("%q came out as %q", stream, all)
		}
	})
}

func FuzzCommand(f *testing.F) {
	f.Add([]byte("\xff\xf4\xff\xf2ABOR\r\nRETR a b\n"))
	f.Fuzz(func(t *testing.T, stream []byte) {
		r := bufio.NewReader(bytes.NewReader(stream))
		for {
			cmd, err := readCommand(r)
			if errors.Is(err, errTooLong) {
				continue
			}
			if err != nil {
				return
			}
			if strings.Contains(cmd.text, "\n") || len(cmd.text) > maxCommand {
				t.Fatalf("bad command %q", cmd.text)
			}
		}
	})
}
