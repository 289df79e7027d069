package api

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"

	"github.com/gofrs/flock"
)

// ErrRunning tells that another agent has the lock.
var ErrRunning = errors.New("an agent is running already")

// Lock makes this process the only agent whose socket is in dir. unlock lets it go,
// and so does the process's end.
func Lock(dir string) (unlock func(), err error) {
	lock := flock.New(filepath.Join(dir, "agent.lock"), flock.SetPermissions(0o600))
	got, err := lock.TryLock()
	switch {
	case err != nil:
		return nil, fmt.Errorf("locking %s: %w", lock.Path(), err)
	case !got:
		return nil, ErrRunning
	}
	return func() { lock.Unlock() }, nil
}

// maxPath is how long the name of a socket may be, on the strictest system.
const maxPath = 103

// ListenAt opens the agent's socket, for its user alone, in place of one that a killed
// agent has left. The caller holds the Lock, and the folder is for its user alone.
func ListenAt(socket string, log *slog.Logger) (net.Listener, error) {
	if len(socket) > maxPath {
		return nil, &Error{
			Text:  fmt.Sprintf("the agent's socket %s has a name of %d bytes, and a system may take %d", socket, len(socket), maxPath),
			Hints: []string{"XDG_RUNTIME_DIR names a folder with a shorter name"},
			Code:  1,
		}
	}
	if err := os.Remove(socket); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("removing the socket of an agent that is gone: %w", err)
	}
	ln, err := net.Listen("unix", socket)
	if err != nil {
		return nil, err
	}
	if runtime.GOOS != "windows" { // where a mode says nothing
		if err := os.Chmod(socket, 0o600); err != nil {
			ln.Close()
			return nil, err
		}
	}
	return Guard(ln, log), nil
}

// Guard turns away who is not the user of this process, root as well, where the system
// tells who connects.
func Guard(ln net.Listener, log *slog.Logger) net.Listener { return &guarded{ln, log, ownUser} }

type guarded struct {
	net.Listener
	log   *slog.Logger
	check func(net.Conn) error
}

func (g *guarded) Accept() (net.Conn, error) {
	for {
		c, err := g.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if err := g.check(c); err != nil {
			g.log.Warn("a command was turned away", "reason", err)
			c.Close()
			continue
		}
		return c, nil
	}
}
