package agentlog

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
)

// maxSize is how large a log gets before a new one is begun. The one before it is kept,
// and no more.
const maxSize = 10 << 20

// before is the name of the log that path has taken the place of.
func before(path string) string { return path + ".1" }

// A file is a log on disk, for its user alone.
type file struct {
	path   string
	most   int64 // bytes
	stderr bool  // it is this process's standard error, too

	mu     sync.Mutex
	f      *os.File // nil where it could not be opened again
	closed bool
	torn   bool  // the last line is not complete
	again  int64 // bytes at which the next rotation is tried, after one that failed
}

// openFile opens the log at path to write behind what it has, and makes its folder.
func openFile(path string, most int64, stderr bool) (*file, error) {
	f := &file{path: path, most: most, stderr: stderr}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("opening the agent's log: %w", err)
	}
	if err := f.open(); err != nil {
		return nil, fmt.Errorf("opening the agent's log: %w", err)
	}
	return f, nil
}

// open opens the file at path; f.mu is held, or f nobody else's yet.
func (f *file) open() (err error) {
	f.f, err = os.OpenFile(f.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		f.f = nil
		return err
	}
	if f.stderr {
		return becomeStderr(f.f)
	}
	return nil
}

// Write writes a line, and begins a new log first when the old one is full. A log that
// cannot be written to loses the line, and is tried again with the next one.
func (f *file) Write(line []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return 0, os.ErrClosed
	}
	if f.f == nil {
		if err := f.open(); err != nil {
			return 0, err
		}
	}
	if size := f.size(); size > 0 && size+int64(len(line)) > max(f.most, f.again) {
		if err := f.rotate(size); err != nil {
			return 0, err
		}
	}
	if f.torn {
		f.f.WriteString("\n")
	}
	n, err := f.f.Write(line)
	f.torn = n < len(line) && (n > 0 || f.torn)
	return n, err
}

// size is asked of the disk, for f is not alone in writing to it.
func (f *file) size() int64 {
	info, err := f.f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return 0
	}
	return info.Size()
}

// rotate begins a new log. Where the old one cannot be moved it goes on, and the next
// try is when it has grown as much again.
func (f *file) rotate(size int64) error {
	f.f.Close() // Windows moves no open file
	f.again, f.torn = 0, false
	if err := os.Rename(f.path, before(f.path)); err != nil && !errors.Is(err, os.ErrNotExist) {
		f.again = size + f.most
	}
	return f.open()
}

// Close closes the file; standard error stays what it is.
func (f *file) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed = true; f.f == nil {
		return nil
	}
	return f.f.Close()
}
