//go:build linux || darwin

package api

import (
	"net"
	"os"
	"syscall"
	"testing"
)

func TestSocketMode(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0))
	socket := serve(t, Handler(&fake{}))
	fi, err := os.Stat(socket)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := fi.Mode(), os.ModeSocket|0o600; got != want {
		t.Errorf("the socket has the mode %v, want %v", got, want)
	}
}

// TestNotUnix turns away who comes by TCP, of whom nobody tells who it is.
func TestNotUnix(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	c, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if ownUser(c) == nil {
		t.Error("a TCP connection counts as this user's")
	}
}
