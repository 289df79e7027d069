package main

import (
	"bytes"
	"crypto/ed25519"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

// An sshServer is an SSH server on loopback behind which there is no network:
// the host that is asked for names what answers.
//
//	ftp.test      an FTP server that says who is asked for and knows QUIT
//	files.test    an FTP server with files, see startFTP, and so has 127.0.0.1
//	shut.test     the same one, whose data ports are refused as by PermitOpen
//	http.test     a web server
//	full.test     an FTP server that has too many users
//	silent.test   a server that says nothing and goes
//	denied.test   a refusal, as by PermitOpen
//	any other     a refusal, as where nothing listens
type sshServer struct {
	ln     net.Listener
	config *ssh.ServerConfig
	ftp    *ftpServer
	work   sync.WaitGroup

	mu    sync.Mutex
	conns []net.Conn
}

// startSSH starts a server and writes to dir what a client needs: ssh_config,
// known_hosts and a key. The server is called testhost, and stranger by one who
// has a key that it does not know; inner is the same server, through testhost. At
// nobody and up there is none, nor at lost, through testhost, or beyond nobody.
func startSSH(dir string) (*sshServer, error) {
	host, _, err := newKey()
	if err != nil {
		return nil, err
	}
	user, identity, err := newKey()
	if err != nil {
		return nil, err
	}
	other, otherIdentity, err := newKey()
	if err != nil {
		return nil, err
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	ftp, err := startFTP()
	if err != nil {
		return nil, err
	}
	s := &sshServer{ln: ln, ftp: ftp, config: &ssh.ServerConfig{
		PublicKeyCallback: func(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
			if !bytes.Equal(key.Marshal(), user.PublicKey().Marshal()) {
				return nil, errors.New("unknown key")
			}
			return nil, nil
		},
	}}
	s.config.AddHostKey(host)
	s.work.Go(s.accept)

	addr := []string{ln.Addr().String()}
	config := fmt.Sprintf(`Host inner lost
  ProxyJump testhost
Host lost
  HostName lost.test
Host beyond
  ProxyJump nobody
Host testhost stranger inner
  Port %d
Host nobody up
  Port 1
Host stranger
  IdentityFile %q
Host testhost inner
  IdentityFile %q
Host *
  HostName 127.0.0.1
  User anna
  IdentitiesOnly yes
  UserKnownHostsFile %q
  GlobalKnownHostsFile none
  StrictHostKeyChecking yes
`, ln.Addr().(*net.TCPAddr).Port, filepath.Join(dir, "other_id"), filepath.Join(dir, "id"), filepath.Join(dir, "known_hosts"))
	for name, text := range map[string]string{
		"ssh_config":  config,
		"id":          string(identity),
		"other_id":    string(otherIdentity),
		"known_hosts": knownhosts.Line(addr, host.PublicKey()) + "\n",
		"other_hosts": knownhosts.Line(addr, other.PublicKey()) + "\n",
		"no_hosts":    "",
	} {
		err = errors.Join(err, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	if err != nil {
		s.close()
	}
	return s, err
}

func newKey() (signer ssh.Signer, file []byte, err error) {
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		return nil, nil, err
	}
	block, err := ssh.MarshalPrivateKey(key, "")
	if err != nil {
		return nil, nil, err
	}
	signer, err = ssh.NewSignerFromKey(key)
	return signer, pem.EncodeToMemory(block), err
}

// close ends the server and its connections.
func (s *sshServer) close() {
	s.ln.Close()
	s.mu.Lock()
	for _, c := range s.conns {
		c.Close()
	}
	s.mu.Unlock()
	s.work.Wait()
	s.ftp.close()
}

func (s *sshServer) accept() {
	for {
		c, err := s.ln.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		s.conns = append(s.conns, c)
		s.mu.Unlock()
		s.work.Go(func() { s.serve(c) })
	}
}

func (s *sshServer) serve(raw net.Conn) {
	defer raw.Close()
	conn, channels, requests, err := ssh.NewServerConn(raw, s.config)
	if err != nil {
		return
	}
	s.work.Go(func() { s.requests(conn, requests) })
	for nc := range channels {
		var m struct {
			Host       string
			Port       uint32
			Origin     string
			OriginPort uint32
		}
		err := ssh.Unmarshal(nc.ExtraData(), &m)
		switch {
		case nc.ChannelType() != "direct-tcpip", err != nil, m.Host == "denied.test", m.Host == "shut.test" && m.Port != 21:
			nc.Reject(ssh.Prohibited, "open failed")
		case m.Host == "files.test", m.Host == "shut.test", m.Host == "127.0.0.1" && m.Port >= 21:
			s.work.Go(func() { s.carry(nc, m.Port) })
		case m.Host != "ftp.test" && m.Host != "full.test" && m.Host != "http.test" && m.Host != "silent.test":
			nc.Reject(ssh.ConnectionFailed, "Connection refused")
		default:
			s.work.Go(func() { answer(nc, m.Host, m.Port) })
		}
	}
}

// carry takes a channel to the FTP server with files: port 21, and its data ports.
func (s *sshServer) carry(nc ssh.NewChannel, port uint32) {
	addr := s.ftp.ln.Addr().(*net.TCPAddr)
	if port != 21 {
		addr = &net.TCPAddr{IP: addr.IP, Port: int(port)}
	}
	c, err := net.DialTCP("tcp", nil, addr)
	if err != nil {
		nc.Reject(ssh.ConnectionFailed, "Connection refused")
		return
	}
	ch, requests, err := nc.Accept()
	if err != nil {
		c.Close()
		return
	}
	go ssh.DiscardRequests(requests)
	join(ch, c)
}

// join copies both ways until both have ended.
func join(ch ssh.Channel, c *net.TCPConn) {
	defer ch.Close()
	defer c.Close()
	var up sync.WaitGroup
	up.Go(func() {
		io.Copy(c, ch)
		c.CloseWrite()
	})
	io.Copy(ch, c)
	ch.CloseWrite()
	up.Wait()
}

// requests lets the user called listener have listeners, and refuses all else.
func (s *sshServer) requests(conn *ssh.ServerConn, requests <-chan *ssh.Request) {
	for r := range requests {
		if r.Type != "tcpip-forward" || conn.User() != "listener" {
			r.Reply(r.Type == "cancel-tcpip-forward", nil)
			continue
		}
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			r.Reply(false, nil)
			continue
		}
		port := uint32(ln.Addr().(*net.TCPAddr).Port)
		s.work.Go(func() { conn.Wait(); ln.Close() })
		s.work.Go(func() {
			for {
				c, err := ln.Accept()
				if err != nil {
					return
				}
				ch, requests, err := conn.OpenChannel("forwarded-tcpip", ssh.Marshal(struct {
					Host       string
					Port       uint32
					Origin     string
					OriginPort uint32
				}{"127.0.0.1", port, "127.0.0.1", 1}))
				if err != nil {
					c.Close()
					continue
				}
				go ssh.DiscardRequests(requests)
				s.work.Go(func() { join(ch, c.(*net.TCPConn)) })
			}
		})
		r.Reply(true, ssh.Marshal(struct{ Port uint32 }{port}))
	}
}

// answer is the server at host.
func answer(nc ssh.NewChannel, host string, port uint32) {
	ch, requests, err := nc.Accept()
	if err != nil {
		return
	}
	defer ch.Close()
	go ssh.DiscardRequests(requests)
	switch host {
	case "http.test":
		fmt.Fprint(ch, "HTTP/1.1 400 Bad Request\r\n\r\n")
	case "full.test":
		fmt.Fprint(ch, "421 too many users\r\n")
	case "ftp.test":
		c := textproto.NewConn(ch)
		c.PrintfLine("220 port %d of %s", port, host)
		for {
			line, err := c.ReadLine()
			if err != nil {
				return
			}
			if line == "QUIT" {
				c.PrintfLine("221 bye")
				return
			}
			c.PrintfLine("502 %q is not for this server", line)
		}
	}
}
