//go:build linux

package test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// A stub is an FTP server in the test's own process, for what real servers do too
// seldom to be tested. It has a habit with files that are called odd*, and is
// sensible otherwise.
type stub struct {
	habit func(s *stubSession, path string)
	now   chan struct{} // for a habit that waits for the test
}

// A stubSession is one control connection of a stub's.
type stubSession struct {
	*stub
	t       *testing.T
	conn    net.Conn
	passive net.Listener
	active  string // the address in the latest PORT
}

// startStub starts a stub, whose users see root as /.
func startStub(t *testing.T, habit func(s *stubSession, path string)) *ftpServer {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	server := &ftpServer{
		ip: "127.0.0.1", port: ln.Addr().(*net.TCPAddr).Port, root: publicDir(t), user: ftpUser, password: ftpPassword,
		stub: &stub{habit: habit, now: make(chan struct{})},
	}
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			s := &stubSession{stub: server.stub, t: t, conn: conn}
			go s.serve(server.root)
		}
	}()
	return server
}

func (s *stubSession) reply(line string) { io.WriteString(s.conn, line+"\r\n") }

func (s *stubSession) serve(root string) {
	defer s.conn.Close()
	folder := root
	s.reply("220 a stub")
	for lines := bufio.NewScanner(s.conn); lines.Scan(); {
		verb, arg, _ := strings.Cut(lines.Text(), " ")
		path := filepath.Join(folder, arg)
		switch verb {
		case "USER":
			s.reply("331 and the password")
		case "PASS":
			s.reply("230 in")
		case "TYPE":
			s.reply("200 fine")
		case "CWD":
			folder = filepath.Join(root, arg)
			s.reply("250 there")
		case "EPSV":
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				s.reply("425 " + err.Error())
				continue
			}
			s.passive, s.active = ln, ""
			s.reply(fmt.Sprintf("229 here (|||%d|)", ln.Addr().(*net.TCPAddr).Port))
		case "PORT":
			numbers := strings.Split(arg, ",")
			high, _ := strconv.Atoi(numbers[4])
			low, _ := strconv.Atoi(numbers[5])
			s.active = fmt.Sprintf("127.0.0.1:%d", high<<8|low)
			s.reply("200 fine")
		case "RETR", "STOR":
			if strings.HasPrefix(arg, "odd") {
				s.habit(s, path)
				continue
			}
			data := s.open()
			s.reply("150 go")
			if verb == "RETR" {
				s.sendFile(data, path)
			} else {
				s.keep(data, path)
			}
			data.Close()
			s.reply("226 done")
		case "ABOR":
			s.reply("225 nothing to abort")
		case "QUIT":
			s.reply("221 bye")
			return
		default:
			s.reply("500 what?")
		}
	}
}

// open makes the data connection.
func (s *stubSession) open() *net.TCPConn {
	var conn net.Conn
	var err error
	if s.active != "" {
		conn, err = net.Dial("tcp", s.active)
	} else {
		conn, err = s.passive.Accept()
		s.passive.Close()
	}
	if err != nil {
		s.t.Error(err)
		return &net.TCPConn{} // on which all fails
	}
	return conn.(*net.TCPConn)
}

// sendFile sends the file at path.
func (s *stubSession) sendFile(data io.Writer, path string) {
	content, err := os.ReadFile(path)
	if err != nil {
		s.t.Error(err)
	}
	data.Write(content)
}

// keep stores what comes, to its end, at path.
func (s *stubSession) keep(data io.Reader, path string) {
	file, err := os.Create(path)
	if err != nil {
		s.t.Error(err)
		return
	}
	defer file.Close()
	io.Copy(file, data)
}
