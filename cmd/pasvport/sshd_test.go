package main

import (
	"bytes"
	"crypto/ed25519"
	"encoding/pem"
	"errors"
	"fmt"
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
//	http.test     a web server
//	silent.test   a server that says nothing and goes
//	denied.test   a refusal, as by PermitOpen
//	any other     a refusal, as where nothing listens
type sshServer struct {
	ln     net.Listener
	config *ssh.ServerConfig
	work   sync.WaitGroup

	mu    sync.Mutex
	conns []net.Conn
}

// startSSH starts a server and writes to dir what a client needs: ssh_config,
// known_hosts and a key. The server is called testhost, and stranger by one who
// has a key that it does not know; at nobody and up there is none.
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
	s := &sshServer{ln: ln, config: &ssh.ServerConfig{
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
	config := fmt.Sprintf(`Host testhost stranger
  Port %d
Host nobody up
  Port 1
Host stranger
  IdentityFile %q
Host testhost
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
	_, channels, requests, err := ssh.NewServerConn(raw, s.config)
	if err != nil {
		return
	}
	s.work.Go(func() { ssh.DiscardRequests(requests) })
	for nc := range channels {
		var m struct {
			Host       string
			Port       uint32
			Origin     string
			OriginPort uint32
		}
		switch err := ssh.Unmarshal(nc.ExtraData(), &m); {
		case nc.ChannelType() != "direct-tcpip" || err != nil || m.Host == "denied.test":
			nc.Reject(ssh.Prohibited, "open failed")
		case m.Host != "ftp.test" && m.Host != "http.test" && m.Host != "silent.test":
			nc.Reject(ssh.ConnectionFailed, "Connection refused")
		default:
			s.work.Go(func() { answer(nc, m.Host, m.Port) })
		}
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
