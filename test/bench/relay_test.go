//go:build linux

package main

import (
	"io"
	"net"
	"testing"
	"time"
)

// TestRelay sends through a relay to an echo: it arrives whole, later, and the end with it.
func TestRelay(t *testing.T) {
	echo, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer echo.Close()
	go func() {
		for {
			c, err := echo.Accept()
			if err != nil {
				return
			}
			go func() {
				io.Copy(c, c)
				c.(*net.TCPConn).CloseWrite()
			}()
		}
	}()
	const delay = 20 * time.Millisecond
	r, err := startRelay(0, echo.Addr().(*net.TCPAddr).Port, delay)
	if err != nil {
		t.Fatal(err)
	}
	defer r.stop()
	c, err := net.Dial("tcp", r.ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	began := time.Now()
	const size = 3 << 20
	go func() {
		c.Write(make([]byte, size))
		c.(*net.TCPConn).CloseWrite()
	}()
	got, err := io.ReadAll(c)
	if len(got) != size || err != nil {
		t.Errorf("%d bytes came back, %v; want %d", len(got), err, size)
	}
	if took := time.Since(began); took < 4*delay { // the handshake's two, and one each way
		t.Errorf("it took %v, and cannot have taken less than %v", took, 4*delay)
	}
}
