package main

import (
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"sync"

	ftpserver "github.com/fclairamb/ftpserverlib"
	"github.com/spf13/afero"
)

// Who may log in to the FTP server.
const ftpUser, ftpPassword = "demo", "secret"

// An ftpServer is an FTP server on loopback with its files in memory. It notes
// who is at the other end of each control and data connection that it has.
type ftpServer struct {
	ln    net.Listener
	files afero.Fs
	peers record
	work  sync.WaitGroup // one is each client's
}

// startFTP starts an FTP server: at an address of its own where this machine has
// several for loopback, as Linux has.
func startFTP() (*ftpServer, error) {
	ln, err := net.Listen("tcp", "127.0.0.2:0")
	if err != nil {
		ln, err = net.Listen("tcp", "127.0.0.1:0")
	}
	if err != nil {
		return nil, err
	}
	s := &ftpServer{ln: ln, files: afero.NewMemMapFs()}
	server := ftpserver.NewFtpServer(s)
	server.Logger = slog.New(logFunc(func(r slog.Record) {
		if r.Message == "Transfer connection opened" { // by either side
			s.peers.note("data", logged(r, "remoteAddr"))
		}
	}))
	if err := server.Listen(); err != nil {
		ln.Close()
		return nil, err
	}
	s.work.Go(func() { server.Serve() })
	return s, nil
}

// close takes no more clients and waits until those that there are have gone.
func (s *ftpServer) close() {
	s.ln.Close()
	s.work.Wait()
}

// What follows makes an ftpServer a ftpserver.MainDriver.

func (s *ftpServer) GetSettings() (*ftpserver.Settings, error) {
	// Active data connections come from any port, for port 20 is root's.
	return &ftpserver.Settings{Listener: s.ln, ActiveTransferPortNon20: true}, nil
}

func (s *ftpServer) ClientConnected(client ftpserver.ClientContext) (string, error) {
	s.work.Add(1)
	s.peers.note("control", client.RemoteAddr().String())
	client.SetDebug(true) // it logs its data connections
	return "the demo's FTP server", nil
}

func (s *ftpServer) ClientDisconnected(ftpserver.ClientContext) { s.work.Done() }

func (s *ftpServer) AuthUser(_ ftpserver.ClientContext, user, password string) (ftpserver.ClientDriver, error) {
	if user != ftpUser || password != ftpPassword {
		return nil, errors.New("wrong user or password")
	}
	return s.files, nil
}

func (s *ftpServer) GetTLSConfig() (*tls.Config, error) {
	return nil, errors.New("no TLS here: SSH protects the way")
}
