package ftpmux

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestLongReplies is about replies of any length, which stream through line by
// line, and about those that have to be seen whole and so have a limit.
func TestLongReplies(t *testing.T) {
	const lines = 2000
	long := func(code int, first, last string) string {
		return fmt.Sprintf("%d-%s\r\n%s%d %s\r\n", code, first, strings.Repeat(" "+strings.Repeat("x", 98)+"\r\n", lines), code, last)
	}
	for _, tt := range []struct {
		name    string
		command string // the client's, after the greeting
		reply   string
		want    string // what the client gets at the end; "" for the reply as it is
	}{
		{"greeting", "", long(220, "Welcome", "ready"), ""},
		{"REIN", "REIN", long(220, "anew", "ready"), ""},
		{"ABOR", "ABOR", long(226, "nothing", "to abort"), ""},
		{"STAT", "STAT", long(211, "Status", "end"), ""},
		{"HELP", "HELP", long(214, "Help", "end"), ""},
		{"FEAT", "FEAT", long(211, "Features", "end"), "421 the server's reply to FEAT is over 64 KiB\r\n"},
		{"EPSV", "EPSV", long(229, "Entering", "(|||40021|)"), "421 the server's reply to EPSV is over 64 KiB\r\n"},
		{"the end of a download", "RETR a", long(226, "some", "statistics"), "421 the server's reply to RETR a is over 64 KiB\r\n"},
		{"the failure of a download", "RETR a", long(451, "some", "reasons"), ""},
		{"a line", "STAT", "211 " + strings.Repeat("x", maxReplyLine) + "\r\n", "421 the server sent a line over 1 MiB\r\n"},
		{"a long line", "STAT", "211 " + strings.Repeat("x", maxReplyLine-6) + "\r\n", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log bytes.Buffer
				local := newMemNet(50001)
				client, server, far, done := stage(t, &Mux{Local: local, Logger: slog.New(slog.NewTextHandler(&log, nil))})
				if tt.command != "" {
					fmt.Fprint(server, "220 ready\r\n")
				}
				if tt.command == "RETR a" {
					far.listen("127.0.0.1:40021")
					fmt.Fprint(client, "EPSV\r\n")
					synctest.Wait()
					fmt.Fprint(server, "229 (|||40021|)\r\n")
					synctest.Wait()
					local.DialContext(t.Context(), "tcp", "127.0.0.1:50001")
				}
				fmt.Fprintf(client, "%s\r\n", tt.command)
				synctest.Wait()
				if tt.command == "RETR a" {
					fmt.Fprint(server, "150 go\r\n")
					synctest.Wait()
				}
				client.in.takeAll()
				fmt.Fprint(server, tt.reply)
				synctest.Wait()
				got, _ := client.in.takeAll()
				want, warned := cmp.Or(tt.want, tt.reply), strings.Contains(log.String(), "level=WARN")
				if got != want || warned != strings.HasPrefix(want, "421") {
					t.Errorf("got %d bytes, %.200q, want %d, %.200q; log: %s", len(got), got, len(want), want, log.String())
				}
				client.Close()
				server.Close()
				<-done
			})
		})
	}
}

// TestCheckNamesOthers is about servers of other protocols, and such as say nothing.
func TestCheckNamesOthers(t *testing.T) {
	for _, tt := range []struct {
		greeting string
		ends     bool // the server closes behind it
		want     string
	}{
		{"220-Welcome\r\n220 ready\r\n", false, ""},
		{"120 wait\r\n220 ready\r\n", false, ""},
		{"421 Too many connections\r\n", true, ""},
		{"530 Not you\r\n", false, ""},
		{strings.Repeat("220-x\r\n", 100_000) + "220 ready\r\n", false, ""},
		{"SSH-2.0-OpenSSH_9.2p1\r\n", false, `127.0.0.1:21 does not speak FTP but SSH: it greets with "SSH-2.0-OpenSSH_9.2p1"`},
		{"HTTP/1.1 400 Bad Request\r\nServer: x\r\n\r\n", true, `127.0.0.1:21 does not speak FTP but HTTP: it greets with "HTTP/1.1 400 Bad Request  Server: x"`},
		{"\x15\x03\x03\x00\x02\x02\x28", false, `127.0.0.1:21 does not speak FTP but TLS: it greets with "("`},
		{"\x16\x03\x01", true, `127.0.0.1:21 does not speak FTP but TLS: it greets with ""`},
		{"\x5b\x00\x00\x00\x0a8.0.36\x00", false, `127.0.0.1:21 does not speak FTP but something else: it greets with "[    8.0.36"`},
		{"", false, "127.0.0.1:21 took the connection and said nothing, where an FTP server greets; HTTP, or TLS from the first byte, would wait like that"},
		{"", true, "127.0.0.1:21 ended the connection before a greeting: EOF"},
		{"220-Welcome\r\n", false, `the greeting of 127.0.0.1:21 has no end; it begins with "220-Welcome"`},
		{"220 Welcome", false, `the greeting of 127.0.0.1:21 has no end; it begins with "220 Welcome"`},
		{"220-Welcome\r\n", true, `the greeting of 127.0.0.1:21 has no end; it begins with "220-Welcome"`},
	} {
		// Mux.Check and a client's session have the same to say.
		synctest.Test(t, func(t *testing.T) {
			far := newMemNet(60001)
			ln, err := far.listen("127.0.0.1:21")
			if err != nil {
				t.Fatal(err)
			}
			m := &Mux{Remote: far, Server: "127.0.0.1:21"}
			serve := func() {
				c, err := ln.Accept()
				if err != nil {
					t.Error(err)
					return
				}
				io.WriteString(c, tt.greeting)
				if tt.ends {
					c.(*memConn).CloseWrite()
				}
				io.Copy(io.Discard, c)
				c.Close()
			}
			go serve()
			ctx, cancel := context.WithTimeout(t.Context(), greetingTimeout)
			defer cancel()
			got := ""
			if err := m.Check(ctx); err != nil {
				got = err.Error()
				if !errors.As(err, new(*NotFTPError)) {
					t.Errorf("%.40q: Check returned a %T", tt.greeting, err)
				}
			}
			if got != tt.want {
				t.Errorf("%.40q: Check says %q, want %q", tt.greeting, got, tt.want)
			}
			if tt.want == "" {
				return
			}
			go serve()
			client, there := memPipe(netip.MustParseAddrPort("127.0.0.1:40000"), netip.MustParseAddrPort("127.0.0.1:2121"))
			done := make(chan struct{})
			go func() {
				defer close(done)
				m.ServeConn(t.Context(), there)
			}()
			<-time.After(greetingTimeout + time.Second)
			client.Close()
			<-done
			lines, _ := client.in.takeAll()
			if !strings.HasSuffix(lines, "421 "+tt.want+"\r\n") {
				t.Errorf("%.40q: the client got %q, want %q", tt.greeting, lines, tt.want)
			}
		})
	}
}
