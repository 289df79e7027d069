//go:build linux

package main

import (
	"fmt"
	"io"
	"net"
	"slices"
	"time"
)

// withoutLink are those works, and ways to do them, for which a relay in front of sshd
// will do: nothing that goes to an FTP server without SSH, or needs a rate or loss. They
// are done with the one FTP server that needs no root.
func (l *lab) withoutLink(list []work) []work {
	var kept []work
	for _, w := range list {
		w.at = slices.DeleteFunc(slices.Clone(w.at), func(c condition) bool { return c.loss > 0 || c == near })
		w.runs = slices.DeleteFunc(slices.Clone(w.runs), func(r run) bool { return r.way.name == plainFTP.name })
		if w.server == "vsftpd" && len(w.runs) > 0 && !w.fresh {
			w.server, w.goals = "pyftpdlib", nil // they are for other servers, and TCP over the link
			kept = append(kept, w)
		}
	}
	return kept
}

// A relay carries connections from a port of this machine to another, later.
type relay struct {
	ln    net.Listener
	to    string
	delay time.Duration // each way
}

func startRelay(port, to int, delay time.Duration) (*relay, error) {
	ln, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return nil, err
	}
	r := &relay{ln: ln, to: fmt.Sprintf("127.0.0.1:%d", to), delay: delay}
	go r.serve()
	return r, nil
}

// stop takes no more connections. Those that are there end with their peers.
func (r *relay) stop() { r.ln.Close() }

func (r *relay) serve() {
	for {
		near, err := r.ln.Accept()
		if err != nil {
			return
		}
		go func() {
			<-time.After(2 * r.delay) // of TCP's handshake
			far, err := net.Dial("tcp", r.to)
			if err != nil {
				near.Close()
				return
			}
			go r.carry(far, near)
			r.carry(near, far)
		}()
	}
}

// carry passes on what comes from src, each part when it is due.
func (r *relay) carry(dst, src net.Conn) {
	type part struct {
		bytes []byte
		due   time.Time
	}
	const most = 1024 // parts under way; then src has to wait
	underWay := make(chan part, most)
	go func() {
		defer close(underWay)
		for {
			buffer := make([]byte, 32<<10)
			n, err := src.Read(buffer)
			underWay <- part{buffer[:n], time.Now().Add(r.delay)}
			if err != nil {
				return
			}
		}
	}()
	var failed error
	for p := range underWay {
		<-time.After(time.Until(p.due))
		if failed == nil {
			_, failed = dst.Write(p.bytes)
		}
	}
	dst.(*net.TCPConn).CloseWrite()
	if failed != nil {
		io.Copy(io.Discard, src)
	}
}
