package tunnel

import (
	"bytes"
	"io"
	"net"
	"strings"
	"testing"
	"testing/iotest"
)

// A readConn reads from a reader.
type readConn struct {
	net.Conn
	io.Reader
}

func (c readConn) Read(p []byte) (int, error) { return c.Reader.Read(p) }

func TestGreeting(t *testing.T) {
	long := strings.Repeat("x", 3000)
	for _, tt := range []struct{ in, out, err string }{
		{"SSH-2.0-x\r\nrest", "SSH-2.0-x\r\nrest", ""},
		{"hello\r\n\r\nSSH-2.0-x\r\n", "SSH-2.0-x\r\n", ""},
		{long + "SSH-\nSSH-2.0-x\n", "SSH-2.0-x\n", ""}, // a line too long for the library
		{"Exceeded MaxStartups\r\n", "", "the server says: Exceeded MaxStartups (see MaxStartups and PerSourceMaxStartups in sshd_config)"},
		{"Not allowed at this time\r\n", "", "the server says: Not allowed at this time (see PerSourcePenalties in sshd_config)"},
		{"go \x1b[31maway\nnow", "", "the server says: go [31maway now; the server closed the connection"},
		{"", "", "the server says nothing: the server closed the connection"},
		{"SS", "", "the server says: SS; the server closed the connection"},
		{"220 ProFTPD ready\r\nmore", "", "no SSH server but one of FTP or SMTP: it says: 220 ProFTPD ready"},
		{"220 no end of line", "", "no SSH server but one of FTP or SMTP: it says: 220 no end of line"},
		{"HTTP/1.1 400 Bad Request\r\n", "", "no SSH server but one of HTTP: it says: HTTP/1.1 400 Bad Request"},
		{"\x15\x03\x01\x00\x02\x02F", "", "no SSH server but one of TLS"},
		{strings.Repeat(long+"\n", 30), "", "the server says: " + long[:200] + "…; no SSH version line in 64 KiB"},
	} {
		for _, cut := range []func(io.Reader) io.Reader{func(r io.Reader) io.Reader { return r }, iotest.OneByteReader} {
			g := newGreeting(readConn{Reader: cut(strings.NewReader(tt.in))})
			got, err := io.ReadAll(g)
			if err == nil {
				err = errPeerClosed
			}
			text := ""
			if !g.done {
				text = g.error(err).Error()
			}
			if string(got) != tt.out || text != tt.err {
				t.Errorf("%.40q: got %q, %q, want %q, %q", tt.in, got, text, tt.out, tt.err)
			}
		}
	}
}

func FuzzGreeting(f *testing.F) {
	for _, s := range []string{"SSH-2.0-x\r\n", "a\nSSH-2.0-x\nb", "220 x\r\n", "\x15\x03\x01", strings.Repeat("SSH", 400) + "\nSSH-"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		var outs [2]string
		for i, r := range []io.Reader{bytes.NewReader(in), iotest.OneByteReader(bytes.NewReader(in))} {
			g := newGreeting(readConn{Reader: r})
			out, err := io.ReadAll(g)
			if g.done != bytes.HasPrefix(out, []byte("SSH-")) || len(g.said) > saidKept {
				t.Fatalf("done %v, %d bytes kept, read %.20q", g.done, len(g.said), out)
			}
			if g.done && (err != nil || !bytes.HasSuffix(in, out)) {
				t.Fatalf("%v, or not the end of the input: %q", err, out)
			}
			text := g.error(errPeerClosed).Error()
			if clean(text) != text || len(text) > 2000 {
				t.Fatalf("not fit for one line: %q", text)
			}
			outs[i] = string(out) + text
		}
		if outs[0] != outs[1] {
			t.Fatalf("depends on how it is cut: %q, %q", outs[0], outs[1])
		}
	})
}
