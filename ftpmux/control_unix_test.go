//go:build unix

package ftpmux

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"syscall"
	"testing"
)

// TestSockets is about what only a TCP socket has: urgent data, which must stay
// in line, and its end, which must be seen ahead of what is read.
func TestSockets(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	client, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	accepted, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer accepted.Close()
	control := prepareControl(accepted)

	raw, err := client.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(client, "\xff\xf4")
	raw.Control(func(fd uintptr) { err = syscall.Sendto(int(fd), []byte("\xff\xf2"), syscall.MSG_OOB, nil) })
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(client, "ABOR\r\n")
	cmd, err := readCommand(bufio.NewReader(control))
	if err != nil || cmd.text != "ABOR" {
		t.Errorf("got %q, %v", cmd.text, err)
	}

	peer := control.(interface{ PeerEnded() bool })
	if peer.PeerEnded() {
		t.Error("PeerEnded before the end")
	}
	fmt.Fprint(client, "x")
	client.Close()
	if _, err := io.ReadFull(control, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	if _, err := control.Read(make([]byte, 1)); err != io.EOF { // until it is here
		t.Fatal(err)
	}
	if !peer.PeerEnded() {
		t.Error("not PeerEnded after the end")
	}
}
