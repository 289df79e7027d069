//go:build linux

package test

import (
	"fmt"
	"io"
	"net"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/pasvport/pasvport/ftpmux"
)

// A fault is something that happens to transfers. Each has rows: both directions in
// both modes, with every FTP server.
type fault struct {
	name       string
	not        func(r *row) bool            // the rows in which it cannot happen
	alone      bool                         // other sessions suffer as well, so that rows come one by one
	habit      func(*stubSession, string)   // a stub has it, in place of the FTP servers
	sshd       func(s *stage) []string      // options of sshd's
	flags      func(s *stage) []string      // pasvport's
	remote     func(s *stage) ftpmux.Remote // the mux runs inside the test, on this
	run        func(r *row)
	finals     int          // replies that the client waits for, if not one
	whole      bool         // the transfer completes
	after      func(r *row) // runs once the client has seen all
	unseen     bool         // there is no client that sees how it ends
	abor       bool         // SSH lives, and the server has to hear of an abort before its data ends
	nextActive bool         // the next transfer works in active mode only
}

// faults is the table. A row's client is in the middle of its transfer after halfway:
// it has read or written a part, the server has the other end of it, and waits.
var faults = []fault{
	{name: "client never connects", run: func(r *row) {
		if r.active {
			r.client.listen().Close()
		} else {
			r.client.passive()
		}
		r.client.command(r.line)
	}},
	{name: "server never connects, 425", habit: func(s *stubSession, _ string) {
		s.reply("425 cannot connect")
	}, not: isPassive, run: (*row).ask},
	{name: "server never connects, 226", habit: func(s *stubSession, _ string) {
		s.reply("150 go")
		s.reply("226 done")
	}, not: isPassive, run: (*row).ask},
	{name: "sshd cannot reach the server's port", sshd: func(s *stage) []string {
		return []string{"PermitOpen " + s.tap.addr}
	}, not: isActive, nextActive: true, run: (*row).ask},

	{name: "sshd killed", alone: true, run: func(r *row) {
		r.halfway()
		loseSSH(r.T, r.ssh)
	}},
	{name: "network frozen", alone: true, flags: func(*stage) []string { return keepalive(5) }, run: func(r *row) {
		r.halfway()
		signalSSH(r.T, r.ssh, syscall.SIGSTOP)
	}, after: func(r *row) {
		r.waitLog("no answer to keepalives")
		loseSSH(r.T, r.ssh) // as when sshd gives up in its turn
	}},
	{name: "SSH disconnect message", alone: true, remote: func(s *stage) ftpmux.Remote {
		s.tun = s.tunnelTo(s.ssh)
		return s.tun
	}, run: func(r *row) {
		r.halfway()
		told := strings.Count(r.ssh.stderr.String(), "Disconnecting user")
		conn := connOf(r.T, r.tun)
		conn.SendRequest("no-more-sessions@openssh.com", false, nil)
		conn.OpenChannel("session", nil) // which sshd takes for an attack
		eventually(r.T, "sshd sends the message", func() bool {
			return strings.Count(r.ssh.stderr.String(), "Disconnecting user") > told
		})
		if !r.download { // else a window adjustment may have it lost in a reset of TCP
			r.waitLog(`ssh: disconnect, reason 2`)
		}
	}},
	{name: "MAC error", alone: true, flags: func(s *stage) []string {
		_, port, _ := net.SplitHostPort(startRelay(s.T, fmt.Sprintf("127.0.0.1:%d", s.ssh.port), func() (_, fromServer func([]byte)) {
			return func([]byte) {}, func(piece []byte) {
				if len(piece) > 0 && s.damage.CompareAndSwap(true, false) {
					piece[len(piece)-1] ^= 1
				}
			}
		}))
		return append(keepalive(60), "-p", port, "-o", fmt.Sprintf("HostKeyAlias=[127.0.0.1]:%d", s.ssh.port))
	}, run: func(r *row) {
		r.halfway()
		r.damage.Store(true) // what comes next, be it the answer to a keepalive
	}, after: func(r *row) {
		r.waitLog("message authentication failed")
	}},
	{name: "FTP session killed", alone: true, run: func(r *row) {
		r.halfway()
		for _, pid := range descendants(r.ftpd.cmd.Process.Pid) {
			syscall.Kill(pid, syscall.SIGKILL)
		}
	}},
	{name: "FTP server killed", alone: true, run: func(r *row) {
		r.halfway()
		r.ftpd.kill()
	}, after: func(r *row) {
		args := r.ftpd.cmd.Args
		r.ftpd.process = startProcess(r.stage.T, exec.Command(args[0], args[1:]...))
		r.ftpd.waitListening(r.T, r.ftpd.addr())
	}},
	{name: "client killed", alone: true, not: isDownload, unseen: true, abor: true, run: func(r *row) {
		mode := map[bool]string{true: "--ftp-port", false: "--ftp-pasv"}[r.active]
		args := []string{"-sS", mode}
		if r.active {
			args = append(args, "-")
		}
		cmd := exec.Command(program(r.T, "curl"), append(args, "-u", r.ftpd.user+":"+r.ftpd.password, "-T", "-", "ftp://"+r.addr+"/"+r.folder+"/"+r.file)...)
		stdin, err := cmd.StdinPipe()
		if err != nil {
			r.Fatal(err)
		}
		curl := startProcess(r.T, cmd)
		stdin.Write(r.content[:half])
		r.arrives()
		// The system ends a client's connections one by one, and may do other things
		// in between for as long as it likes. pasvport is to find both ended.
		r.pasvport.hold(r.T, curl.kill)
	}},
	{name: "client resets its data connection", abor: true, run: func(r *row) {
		r.halfway()
		r.client.data.SetLinger(0)
		r.client.data.Close()
	}},
	{name: "ABOR", finals: 2, abor: true, run: func(r *row) {
		r.halfway()
		r.client.say("ABOR")
	}},

	// What ends well.
	{name: "nothing", whole: true, run: func(r *row) {
		r.begin(uploaded)
		r.complete()
	}},
	{name: "a file of no bytes", whole: true, run: func(r *row) {
		r.begin(0)
		r.complete()
	}},
	{name: "the client's end comes first", not: isUpload, whole: true, run: func(r *row) {
		r.begin(uploaded)
		r.client.data.CloseWrite()
	}},

	// The 226 and the end of the data may come in any order.
	{name: "226 while the client reads nothing", not: isUpload, whole: true, run: func(r *row) {
		r.unread()
	}},
	{name: "226 while the client reads nothing, then sshd killed", not: isUpload, alone: true, run: func(r *row) {
		r.unread()
		loseSSH(r.T, r.ssh)
		r.waitLog("connection lost")
	}},
	{name: "226 before the data", habit: early, whole: true, run: func(r *row) {
		r.begin(uploaded)
		r.waitServerSays226()
		r.ftpd.stub.now <- struct{}{}
		r.complete()
	}},
	{name: "226 before the data, then sshd killed", habit: early, alone: true, run: func(r *row) {
		r.begin(uploaded)
		r.waitServerSays226()
		loseSSH(r.T, r.ssh)
		r.ftpd.stub.now <- struct{}{}
	}},
	{name: "226 with the end of the data", habit: func(s *stubSession, path string) {
		data := s.open()
		s.reply("150 go")
		s.move(data, path)
		go s.reply("226 done")
		data.Close()
	}, whole: true, run: func(r *row) {
		r.begin(uploaded)
		r.complete()
	}},
	{name: "226 after the end of the data", habit: func(s *stubSession, path string) {
		data := s.open()
		s.reply("150 go")
		s.move(data, path)
		data.CloseWrite()
		io.Copy(io.Discard, data) // as ProFTPD does
		data.Close()
		s.reply("226 done")
	}, whole: true, run: func(r *row) {
		r.begin(uploaded)
		r.complete()
	}},

	// Control and data go over SSH connections of their own.
	{name: "data's own sshd killed", alone: true, remote: apart, run: func(r *row) {
		r.halfway()
		loseSSH(r.T, r.dataSSH)
	}},
	{name: "data's own sshd killed with the last of the data", alone: true, remote: apart, run: func(r *row) {
		if r.download {
			r.unread()
		} else {
			r.halfway()
			signalSSH(r.T, r.dataSSH, syscall.SIGSTOP)
			r.client.send(r.content[half:uploaded])
			r.client.data.CloseWrite()
			r.waitOwnLog("the end of an upload went out")
		}
		loseSSH(r.T, r.dataSSH)
		r.waitLog("connection lost")
	}},
}

func isPassive(r *row) bool  { return !r.active }
func isActive(r *row) bool   { return r.active }
func isDownload(r *row) bool { return r.download }
func isUpload(r *row) bool   { return !r.download }

// keepalive asks sshd each second, and gives it up after so many questions: not too
// few for a loaded machine.
func keepalive(count int) []string {
	return []string{"-o", "ServerAliveInterval=1", "-o", fmt.Sprint("ServerAliveCountMax=", count)}
}

// early says 226 ahead of all data.
func early(s *stubSession, path string) {
	data := s.open()
	s.reply("150 go")
	s.reply("226 done")
	<-s.now
	s.move(data, path)
	data.Close()
}

// move sends what is at path, or stores there what comes.
func (s *stubSession) move(data *net.TCPConn, path string) {
	if sizeOf(path) > 0 {
		s.sendFile(data, path)
	} else {
		s.keep(data, path)
	}
}

// TestFaults has transfers break in every way, with every server, in both directions
// and modes. No client may be told that a transfer is complete which is not, or be
// shown a clean end of it; the server has to hear of an abort before its data
// ends; and the next transfer has to be whole. The table at its end tells what
// the clients saw and what the servers kept.
func TestFaults(t *testing.T) {
	var mu sync.Mutex
	var done []*row
	var stages []*testing.T
	t.Run("rows", func(t *testing.T) {
		for _, f := range faults {
			servers := ftpds
			if f.habit != nil {
				servers = slices.Clone(ftpds[:1])
				servers[0].name = "stub"
				servers[0].start = func(t *testing.T, _ string) *ftpServer { return startStub(t, f.habit) }
			}
			for _, server := range servers {
				t.Run(f.name+"/"+server.name, func(t *testing.T) {
					t.Parallel()
					mu.Lock()
					stages = append(stages, t)
					mu.Unlock()
					s := newStage(t, &f, server.start)
					for _, download := range []bool{true, false} {
						for _, active := range []bool{false, true} {
							r := &row{stage: s, fault: &f, server: server.name, download: download, active: active}
							if f.not != nil && f.not(r) {
								continue
							}
							t.Run(r.direction()+"/"+r.mode(), func(t *testing.T) {
								if !f.alone {
									t.Parallel()
								}
								r.T = t
								defer func() {
									mu.Lock()
									defer mu.Unlock()
									done = append(done, r)
								}()
								r.do()
							})
						}
					}
				})
			}
		}
	})
	t.Log("\n" + summary(done))
	t.Log("\n" + keptTable(done))
	for _, line := range failures(done, stages) { // at the end, where a log that was cut still has it
		t.Log(line)
	}
}
