package ftpmux

import (
	"bytes"
	"io"
	"net"
	"testing"
)

// An exchangeStage has a session in which the server answers every command with one line.
type exchangeStage struct {
	client net.Conn
	reply  []byte
}

func newExchangeStage(t testing.TB) *exchangeStage {
	client, server, _, done := stage(t, &Mux{Prefetch: true})
	s := &exchangeStage{client: client, reply: []byte("200 NOOP is fine\r\n")}
	go func() {
		buf := make([]byte, 100)
		for {
			if _, err := server.Read(buf); err != nil {
				return
			}
			server.Write(s.reply)
		}
	}()
	t.Cleanup(func() {
		client.Close()
		server.Close()
		<-done
	})
	server.Write(s.reply) // in place of a greeting
	s.read(t)
	return s
}

func (s *exchangeStage) read(t testing.TB) {
	buf := make([]byte, len(s.reply))
	if _, err := io.ReadFull(s.client, buf); err != nil || !bytes.Equal(buf, s.reply) {
		t.Fatalf("%q, %v", buf, err)
	}
}

func (s *exchangeStage) exchange(t testing.TB) {
	if _, err := io.WriteString(s.client, "NOOP\r\n"); err != nil {
		t.Fatal(err)
	}
	s.read(t)
}

func BenchmarkCommand(b *testing.B) {
	s := newExchangeStage(b)
	b.ReportAllocs()
	for b.Loop() {
		s.exchange(b)
	}
}

// pumpMiB copies so many MiB as a data connection does.
func pumpMiB(t testing.TB, n int) {
	var f flow
	src := io.LimitReader(zeros{}, int64(n)<<20)
	if readErr, writeErr := f.pump(io.Discard, src); readErr != nil || writeErr != nil || f.moved.Load() != int64(n)<<20 {
		t.Fatal(f.moved.Load(), readErr, writeErr)
	}
}

// zeros have no end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

func BenchmarkPump(b *testing.B) {
	b.SetBytes(1 << 20)
	b.ReportAllocs()
	for b.Loop() {
		pumpMiB(b, 1)
	}
}
