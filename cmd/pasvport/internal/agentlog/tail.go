package agentlog

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"time"
)

// A Tail reads the log at a path, while an agent may be writing to it.
type Tail struct {
	path string
	f    *os.File
	at   int64 // what was read of f
}

// NewTail opens the log. The caller closes the Tail.
func NewTail(path string) (*Tail, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	return &Tail{path: path, f: f}, nil
}

// Close closes what is open.
func (t *Tail) Close() error { return t.f.Close() }

// Last reads all that there is and returns its last n lines, those of the log before
// this one included.
func (t *Tail) Last(n int) ([]byte, error) {
	earlier, err := t.earlier()
	if err != nil {
		return nil, err
	}
	text, err := t.read()
	if err != nil {
		return nil, err
	}
	return lastLines(append(earlier, text...), n), nil
}

// earlier reads the log before this one, if there is any.
func (t *Tail) earlier() ([]byte, error) {
	for {
		text, ours, err := t.readBefore()
		if errors.Is(err, fs.ErrNotExist) {
			return nil, nil
		}
		if !ours || err != nil {
			return text, err
		}
		next, err := t.next() // ours was moved just now
		if next == nil || err != nil {
			return nil, err
		}
		t.turn(next)
	}
}

// readBefore reads the log before this one, unless it is the one that is open.
func (t *Tail) readBefore() (text []byte, ours bool, err error) {
	f, err := os.Open(before(t.path))
	if err != nil {
		return nil, false, err
	}
	defer f.Close()
	if same(f, t.f) {
		return nil, true, nil
	}
	text, err = io.ReadAll(f)
	return text, false, err
}

// read reads what has come to the open file since the last time.
func (t *Tail) read() ([]byte, error) {
	if info, err := t.f.Stat(); err == nil && info.Size() < t.at {
		t.at = 0 // it was truncated
	}
	if _, err := t.f.Seek(t.at, io.SeekStart); err != nil {
		return nil, err
	}
	text, err := io.ReadAll(t.f)
	t.at += int64(len(text))
	return text, err
}

// next opens the file that is at the path now; nil where there is no other than ours.
func (t *Tail) next() (*os.File, error) {
	f, err := os.Open(t.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // it will come with the next line
	} else if err != nil {
		return nil, err
	}
	if same(f, t.f) {
		return nil, f.Close()
	}
	return f, nil
}

// turn goes on with another file.
func (t *Tail) turn(next *os.File) {
	t.f.Close()
	t.f, t.at = next, 0
}

func same(a, b *os.File) bool {
	x, errX := a.Stat()
	y, errY := b.Stat()
	return errX == nil && errY == nil && os.SameFile(x, y)
}

// pause is how often a Tail looks for more.
const pause = 200 * time.Millisecond

// Follow writes to w what comes to the log from now on, over its rotation and its
// truncation, until ctx is done. Its error is w's, or that of reading.
func (t *Tail) Follow(ctx context.Context, w io.Writer) error {
	look := time.NewTicker(pause)
	defer look.Stop()
	for {
		if err := t.copy(w); err != nil {
			return err
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// copy writes all that is new. A file that was moved has got its last line before the
// one in its place was there.
func (t *Tail) copy(w io.Writer) error {
	for {
		next, err := t.next()
		if err != nil {
			return err
		}
		text, err := t.read()
		if err == nil {
			_, err = w.Write(text)
		}
		if next == nil || err != nil {
			return err
		}
		t.turn(next)
	}
}

// lastLines are the last n lines of text.
func lastLines(text []byte, n int) []byte {
	end := len(text)
	if end > 0 && text[end-1] == '\n' {
		end--
	}
	for at := end; n > 0; n-- {
		at = bytes.LastIndexByte(text[:at], '\n')
		if at < 0 {
			return text
		}
		if n == 1 {
			return text[at+1:]
		}
	}
	return nil
}
