package sdnotify

import (
	"fmt"
	"net"
	"os"
	"strconv"

	"github.com/coreos/go-systemd/v22/activation"
	"golang.org/x/sys/unix"
)

// maxSockets is far above what anybody has units for. Memory is taken for as many as
// there are said to be.
const maxSockets = 1 << 10

// Listeners returns the sockets that systemd has passed to this process, by their
// names: AgentSocket, or the tunnel's that FTP clients reach there. A unit that does
// not say FileDescriptorName= gives its own name, NAME.socket, which no tunnel has.
// The caller closes them. All are closed on exec, and what Listeners reads is taken
// out of the environment; a second call finds nothing. After an error all are closed.
func Listeners() (Sockets, error) {
	if n, _ := strconv.Atoi(os.Getenv("LISTEN_FDS")); n > maxSockets {
		return Sockets{}, fmt.Errorf("socket activation: LISTEN_FDS=%d is more than the %d sockets that are taken", n, maxSockets)
	}
	s := Sockets{Tunnels: make(map[string][]net.Listener)}
	var failed error
	for _, f := range activation.Files(true) {
		if failed == nil {
			failed = s.add(f)
		}
		f.Close()
	}
	if failed != nil {
		s.Close()
		return Sockets{}, failed
	}
	return s, nil
}

// A misfit is a file descriptor that is not what it is named for.
type misfit struct{ is, mend string }

func (m *misfit) Error() string { return m.is + "; " + m.mend + " in its .socket unit" }

// add takes in the listener that f is.
func (s *Sockets) add(f *os.File) error {
	fd := f.Fd()
	l, err := listener(f)
	if err == nil {
		if err = s.place(f.Name(), l); err != nil {
			l.Close()
		}
	}
	if err != nil {
		return fmt.Errorf("socket activation: file descriptor %d, named %q, %w", fd, f.Name(), err)
	}
	return nil
}

// listener is f, if that is a stream socket which listens.
func listener(f *os.File) (net.Listener, error) {
	kind, err := unix.GetsockoptInt(int(f.Fd()), unix.SOL_SOCKET, unix.SO_TYPE)
	if err != nil {
		return nil, &misfit{fmt.Sprintf("is no socket (%v)", err), "write nothing but ListenStream="}
	}
	if kind != unix.SOCK_STREAM {
		return nil, &misfit{"is no stream socket", "write ListenStream="}
	}
	listening, err := unix.GetsockoptInt(int(f.Fd()), unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
	if err != nil || listening == 0 {
		return nil, &misfit{"does not listen", "write Accept=no"}
	}
	l, err := net.FileListener(f)
	if err != nil {
		return nil, &misfit{fmt.Sprintf("is of no use (%v)", err), "write ListenStream= with a path or 127.0.0.1:PORT"}
	}
	return l, nil
}

// place puts l where its name says.
func (s *Sockets) place(name string, l net.Listener) error {
	_, isTCP := l.(*net.TCPListener)
	switch {
	case name == AgentSocket && isTCP:
		return &misfit{"is a TCP socket, which every user could reach",
			"write ListenStream=%t/pasvport/agent.sock, or FileDescriptorName= with the tunnel's name"}
	case name == AgentSocket && s.Agent != nil:
		return &misfit{"is the second of this name", "write one ListenStream="}
	case name == AgentSocket:
		s.Agent = l
	case !isTCP:
		return &misfit{"is a Unix socket, and FTP clients come by TCP",
			"write ListenStream=127.0.0.1:PORT, or FileDescriptorName=" + AgentSocket + " if commands come there,"}
	default:
		s.Tunnels[name] = append(s.Tunnels[name], l)
	}
	return nil
}
