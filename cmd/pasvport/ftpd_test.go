package main

import (
	"crypto/tls"
	"errors"
	"net"
	"sync"

	ftpserver "github.com/fclairamb/ftpserverlib"
	"github.com/spf13/afero"
)

// An ftpServer is an FTP server with two files, for anonymous and for anna, whose
// password is "secret"; nobody may change them.
type ftpServer struct {
	ln    net.Listener
	files afero.Fs
	work  sync.WaitGroup
}

func startFTP() (*ftpServer, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	files := afero.NewMemMapFs()
	for _, name := range []string{"/one", "/two"} {
		if err := afero.WriteFile(files, name, nil, 0o644); err != nil {
			return nil, err
		}
	}
	s := &ftpServer{ln: ln, files: afero.NewReadOnlyFs(files)}
	server := ftpserver.NewFtpServer(s)
	if err := server.Listen(); err != nil {
		return nil, err
	}
	s.work.Go(func() { server.Serve() })
	return s, nil
}

func (s *ftpServer) close() {
	s.ln.Close()
	s.work.Wait()
}

// What follows makes it a ftpserver.MainDriver.

func (s *ftpServer) GetSettings() (*ftpserver.Settings, error) {
	return &ftpserver.Settings{Listener: s.ln, ActiveTransferPortNon20: true}, nil
}

func (s *ftpServer) ClientConnected(ftpserver.ClientContext) (string, error) {
	s.work.Add(1)
	return "two files", nil
}

func (s *ftpServer) ClientDisconnected(ftpserver.ClientContext) { s.work.Done() }

func (s *ftpServer) AuthUser(_ ftpserver.ClientContext, user, password string) (ftpserver.ClientDriver, error) {
	if user != "anonymous" && (user != "anna" || password != "secret") {
		return nil, errors.New("not you")
	}
	return s.files, nil
}

func (s *ftpServer) GetTLSConfig() (*tls.Config, error) { return nil, errors.New("no TLS") }
