package tunnel

import (
	"net"
	"testing"

	"golang.org/x/crypto/ssh"
)

// A flood is a stream whose server sends without end, or takes what it is sent.
func flood(t testing.TB, sends bool) net.Conn {
	s := newServer(t)
	s.opening = func(nc ssh.NewChannel, host string) bool {
		ch, reqs, err := nc.Accept()
		if err != nil {
			return true
		}
		go ssh.DiscardRequests(reqs)
		move := ch.Read
		if sends {
			move = ch.Write
		}
		for data := make([]byte, 128<<10); err == nil; {
			_, err = move(data)
		}
		return true
	}
	return mustDial(t, newTunnel(t, s.host(), Options{}), "flood:1")
}

// readMiB reads as a data connection does.
func readMiB(t testing.TB, c net.Conn) {
	next := c.(interface{ ReadNext() ([]byte, error) }).ReadNext
	for n := 0; n < 1<<20; {
		data, err := next()
		if err != nil {
			t.Fatal(err)
		}
		n += len(data)
	}
}

func writeMiB(t testing.TB, c net.Conn, data []byte) {
	for n := 0; n < 1<<20; n += len(data) {
		if _, err := c.Write(data); err != nil {
			t.Fatal(err)
		}
	}
}

func BenchmarkRead(b *testing.B) {
	c := flood(b, true)
	b.SetBytes(1 << 20)
	b.ReportAllocs()
	for b.Loop() {
		readMiB(b, c)
	}
}

func BenchmarkWrite(b *testing.B) {
	c := flood(b, false)
	data := make([]byte, 128<<10)
	b.SetBytes(1 << 20)
	b.ReportAllocs()
	for b.Loop() {
		writeMiB(b, c, data)
	}
}
