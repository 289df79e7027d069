package main

import (
	"bytes"
	"errors"
	"io"
	"net"
	"strconv"
	"sync"

	"golang.org/x/crypto/ssh"
)

// An sshServer is an SSH server on loopback that only forwards. It notes its own
// end of each TCP connection that it has for a client: of those that it makes,
// and of those that come to its remote forwardings.
type sshServer struct {
	ln     net.Listener
	config *ssh.ServerConfig
	ends   record
	work   sync.WaitGroup
}

// startSSH starts an SSH server that lets in who has the key client.
func startSSH(host ssh.Signer, client ssh.PublicKey) (*sshServer, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &sshServer{ln: ln, config: &ssh.ServerConfig{
		PublicKeyCallback: func(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
			if !bytes.Equal(key.Marshal(), client.Marshal()) {
				return nil, errors.New("unknown key")
			}
			return nil, nil
		},
	}}
	s.config.AddHostKey(host)
	s.work.Go(func() { acceptAll(ln, s.serve) })
	return s, nil
}

// close takes no more clients and waits until those that there are have gone.
func (s *sshServer) close() {
	s.ln.Close()
	s.work.Wait()
}

// serve serves one client.
func (s *sshServer) serve(raw net.Conn) {
	defer raw.Close()
	conn, channels, requests, err := ssh.NewServerConn(raw, s.config)
	if err != nil {
		return
	}
	s.work.Go(func() { s.listen(conn, requests) })
	for nc := range channels {
		if nc.ChannelType() == "direct-tcpip" {
			s.work.Go(func() { s.dial(nc) })
		} else {
			nc.Reject(ssh.Prohibited, "this server only forwards")
		}
	}
}

// A stream is what opens a forwarded connection: RFC 4254, section 7.2.
type stream struct {
	Host       string
	Port       uint32
	Origin     string
	OriginPort uint32
}

// dial makes the connection that the client asks for, as for ssh -L.
func (s *sshServer) dial(nc ssh.NewChannel) {
	var m stream
	err := ssh.Unmarshal(nc.ExtraData(), &m)
	var c net.Conn
	if err == nil {
		c, err = net.Dial("tcp", net.JoinHostPort(m.Host, strconv.Itoa(int(m.Port))))
	}
	if err != nil {
		nc.Reject(ssh.ConnectionFailed, err.Error())
		return
	}
	s.ends.note("dialled", c.LocalAddr().String())
	join(c, nc.Accept)
}

// listen listens where the client asks for it, as for ssh -R, and like sshd on
// loopback only: RFC 4254, section 7.1.
func (s *sshServer) listen(conn ssh.Conn, requests <-chan *ssh.Request) {
	listeners := make(map[uint32]net.Listener) // by port
	for r := range requests {
		var m struct {
			Host string
			Port uint32
		}
		ssh.Unmarshal(r.Payload, &m) // what has no address is refused below
		switch {
		case r.Type == "tcpip-forward" && m.Port == 0:
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				r.Reply(false, nil)
				continue
			}
			m.Port = uint32(ln.Addr().(*net.TCPAddr).Port)
			listeners[m.Port] = ln
			r.Reply(true, ssh.Marshal(struct{ Port uint32 }{m.Port}))
			s.work.Go(func() { acceptAll(ln, func(c net.Conn) { s.forward(conn, c, m.Host, m.Port) }) })
		case r.Type == "cancel-tcpip-forward" && listeners[m.Port] != nil:
			listeners[m.Port].Close()
			r.Reply(true, nil)
		default:
			r.Reply(false, nil)
		}
	}
	for _, ln := range listeners {
		ln.Close()
	}
}

// forward hands the client a connection that came to one of its ports.
func (s *sshServer) forward(conn ssh.Conn, c net.Conn, host string, port uint32) {
	s.ends.note("remote forwarding", c.LocalAddr().String())
	from := c.RemoteAddr().(*net.TCPAddr)
	m := stream{host, port, from.IP.String(), uint32(from.Port)}
	join(c, func() (ssh.Channel, <-chan *ssh.Request, error) {
		return conn.OpenChannel("forwarded-tcpip", ssh.Marshal(m))
	})
}

// join opens a channel, copies both ways between it and c until both have ended,
// and closes them.
func join(c net.Conn, open func() (ssh.Channel, <-chan *ssh.Request, error)) {
	defer c.Close()
	ch, requests, err := open()
	if err != nil {
		return
	}
	var work sync.WaitGroup
	work.Go(func() { ssh.DiscardRequests(requests) })
	work.Go(func() { io.Copy(c, ch); c.(*net.TCPConn).CloseWrite() })
	io.Copy(ch, c)
	ch.Close() // an FTP server that has ended its side reads no more either
	work.Wait()
}

// acceptAll serves the connections that come to ln until that is closed, and
// waits for them.
func acceptAll(ln net.Listener, serve func(net.Conn)) {
	var work sync.WaitGroup
	defer work.Wait()
	for {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		work.Go(func() { serve(c) })
	}
}
