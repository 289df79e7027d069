//go:build linux

package test

import (
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"testing"
)

var portsInUse sync.Map

// freePort returns a port of ip that nobody listens on. It lies below the ports
// that the kernel gives to outgoing connections, and no other test has it.
func freePort(t *testing.T, ip string) int {
	t.Helper()
	for range 1000 {
		port := 10000 + rand.IntN(20000)
		if _, taken := portsInUse.LoadOrStore(port, true); taken {
			continue
		}
		ln, err := net.Listen("tcp", net.JoinHostPort(ip, strconv.Itoa(port)))
		if err == nil {
			ln.Close()
			return port
		}
	}
	t.Fatal("no free port on " + ip)
	return 0
}

// waitListening returns once p, a server without a word about its start,
// accepts connections.
func (p *process) waitListening(t *testing.T, addr string) {
	t.Helper()
	eventually(t, p.cmd.Args[0]+" listens on "+addr, func() bool {
		select {
		case <-p.ended:
			t.Fatalf("%v ended at once: %v", p.cmd.Args, p.waitErr)
		default:
		}
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
}
