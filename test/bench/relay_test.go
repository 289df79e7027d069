//go:build linux

package main

import (
	"bytes"
	"crypto/rand"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

const testDelay = 50 * time.Millisecond // each way

// dialRelay connects to serve through a relay.
func dialRelay(t *testing.T, serve func(c *net.TCPConn)) *net.TCPConn {
	t.Helper()
	server, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	go func() {
		for {
			c, err := server.Accept()
			if err != nil {
				return
			}
			go serve(c.(*net.TCPConn))
		}
	}()
	r, err := startRelay(0, server.Addr().(*net.TCPAddr).Port, testDelay)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.stop)
	c, err := net.Dial("tcp", r.ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(20 * time.Second))
	return c.(*net.TCPConn)
}

// TestRelay sends through a relay to an echo: it arrives whole, later, and the end with it.
func TestRelay(t *testing.T) {
	began := time.Now()
	c := dialRelay(t, func(c *net.TCPConn) {
		io.Copy(c, c)
		c.CloseWrite()
	})
	sent := make([]byte, 3<<20)
	rand.Read(sent)
	go func() {
		c.Write(sent)
		c.CloseWrite()
	}()
	got, err := io.ReadAll(c)
	if !bytes.Equal(got, sent) || err != nil {
		t.Errorf("%d bytes came back, %v; want the %d that were sent", len(got), err, len(sent))
	}
	if took := time.Since(began); took < 4*testDelay { // the handshake's two, and one each way
		t.Errorf("it took %v, and cannot have taken less than %v", took, 4*testDelay)
	}
}

// TestRelayHalfClose ends one direction: the other one still carries.
func TestRelayHalfClose(t *testing.T) {
	c := dialRelay(t, func(c *net.TCPConn) {
		defer c.Close()
		text, _ := io.ReadAll(c)
		c.Write([]byte("after the end of " + string(text)))
	})
	c.Write([]byte("a request"))
	c.CloseWrite()
	got, err := io.ReadAll(c)
	if want := "after the end of a request"; string(got) != want || err != nil {
		t.Errorf("got %q, %v; want %q", got, err, want)
	}
}

// TestRelayHoldsLittle has a receiver that reads nothing: the sender has to wait, and
// all of it arrives when the receiver reads.
func TestRelayHoldsLittle(t *testing.T) {
	const size = 64 << 20 // more than the relay and four sockets' buffers hold
	read, received := make(chan bool), make(chan int64, 1)
	c := dialRelay(t, func(c *net.TCPConn) {
		defer c.Close()
		<-read
		n, _ := io.Copy(io.Discard, c)
		received <- n
	})
	c.SetWriteDeadline(time.Now().Add(2 * time.Second))
	n, err := c.Write(make([]byte, size))
	if err == nil {
		t.Errorf("%d bytes were taken, and nobody read them", n)
	}
	c.CloseWrite()
	close(read)
	if got := <-received; got != int64(n) {
		t.Errorf("%d bytes arrived of %d that were sent", got, n)
	}
}

// TestRelayWithoutServer has nobody behind the relay: the client is told.
func TestRelayWithoutServer(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := ln.Addr().(*net.TCPAddr).Port
	ln.Close()
	r, err := startRelay(0, port, testDelay)
	if err != nil {
		t.Fatal(err)
	}
	defer r.stop()
	c, err := net.Dial("tcp", r.ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(20 * time.Second))
	if n, err := c.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("%d bytes, %v; want the end", n, err)
	}
}

// TestWithoutLink looks at what is left to be measured over a relay.
func TestWithoutLink(t *testing.T) {
	ways := map[string]bool{}
	all := works(10)
	left := (&lab{}).withoutLink(all)
	for _, w := range left {
		if w.server != "pyftpdlib" {
			t.Errorf("%s: with %s, which needs root", w.name, w.server)
		}
		if len(w.at) == 0 || len(w.runs) == 0 {
			t.Errorf("%s: nothing is left to be done: %v, %d ways", w.name, w.at, len(w.runs))
		}
		for _, c := range w.at {
			if c.loss > 0 || c == near {
				t.Errorf("%s: at %v, which a relay is not", w.name, c)
			}
		}
		for _, r := range w.runs {
			ways[r.way.name] = true
		}
	}
	if ways["FTP"] {
		t.Error("FTP without a tunnel is left")
	}
	for _, name := range []string{"pasvport", "ssh -D", "ssh -N -D", "sftp", "lftp sftp://", "rclone sftp"} {
		if !ways[name] {
			t.Errorf("%s is not left", name)
		}
	}
	for _, w := range all {
		if w.server == "pyftpdlib" || strings.Contains(w.name, "downloads") && len(w.runs) == 0 {
			t.Errorf("%s: the list that was given is changed", w.name)
		}
	}
}
