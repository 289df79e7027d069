package agentlog

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestLastLines(t *testing.T) {
	for _, test := range []struct {
		text string
		n    int
		want string
	}{
		{"", 3, ""},
		{"a\nb\nc\n", 0, ""},
		{"a\nb\nc\n", -1, ""},
		{"a\nb\nc\n", 1, "c\n"},
		{"a\nb\nc\n", 2, "b\nc\n"},
		{"a\nb\nc\n", 3, "a\nb\nc\n"},
		{"a\nb\nc\n", 100, "a\nb\nc\n"},
		{"a\nb\nc", 1, "c"},
		{"a\nb\nc", 2, "b\nc"},
		{"\n\n\n", 2, "\n\n"},
		{"\n", 1, "\n"},
	} {
		if got := string(lastLines([]byte(test.text), test.n)); got != test.want {
			t.Errorf("%d of %q: got %q, want %q", test.n, test.text, got, test.want)
		}
	}
}

func newTail(t *testing.T, path string) *Tail {
	t.Helper()
	tail, err := NewTail(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tail.Close() })
	return tail
}

func last(t *testing.T, tail *Tail, n int, want string) {
	t.Helper()
	if got, err := tail.Last(n); string(got) != want || err != nil {
		t.Errorf("the last %d lines are %q, %v; want %q", n, got, err, want)
	}
}

func TestLast(t *testing.T) {
	f := rotating(t, 8)
	write(t, f, "1\n", "2\n", "3\n", "4\n", "5\n", "6\n")
	holds(t, f, "5\n6\n", "1\n2\n3\n4\n")
	last(t, newTail(t, f.path), 1, "6\n")
	last(t, newTail(t, f.path), 3, "4\n5\n6\n")
	last(t, newTail(t, f.path), 100, "1\n2\n3\n4\n5\n6\n")
}

// TestLastWhileRotating has the log moved between its opening and its reading.
func TestLastWhileRotating(t *testing.T) {
	f := rotating(t, 8)
	write(t, f, "1\n", "2\n", "3\n", "4\n")
	tail, lone := newTail(t, f.path), newTail(t, f.path)
	write(t, f, "5\n")
	last(t, tail, 100, "1\n2\n3\n4\n5\n")
	if err := os.Remove(f.path); err != nil {
		t.Fatal(err)
	}
	last(t, lone, 100, "1\n2\n3\n4\n")
}

func TestNoLog(t *testing.T) {
	if _, err := NewTail(t.TempDir() + "/agent.log"); !os.IsNotExist(err) {
		t.Errorf("got %v", err)
	}
}

// buffer may be read while it is written.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// TestFollow goes over rotations, a truncation, and a log that is gone for a while.
func TestFollow(t *testing.T) {
	f := rotating(t, 20)
	write(t, f, "old\n")
	synctest.Test(t, func(t *testing.T) {
		tail, err := NewTail(f.path)
		if err != nil {
			t.Fatal(err)
		}
		defer tail.Close()
		last(t, tail, 1, "old\n")
		ctx, cancel := context.WithCancel(t.Context())
		var shown buffer
		followed := make(chan error)
		go func() { followed <- tail.Follow(ctx, &shown) }()
		want := ""
		see := func(more string) {
			t.Helper()
			<-time.After(2 * pause) // of the bubble's clock
			synctest.Wait()
			if want += more; shown.String() != want {
				t.Fatalf("got %q, want %q", shown.String(), want)
			}
		}
		see("")
		write(t, f, "one\n")
		see("one\n")
		for i := range 9 {
			line := fmt.Sprintf("line %d\n", i)
			write(t, f, line)
			see(line)
		}
		// More than one look's worth: the end of the one log, and the next.
		write(t, f, "A\n", "B\n", "C\n", strings.Repeat("D", 18)+"\n")
		see("A\nB\nC\n" + strings.Repeat("D", 18) + "\n")
		if err := os.Truncate(f.path, 0); err != nil {
			t.Fatal(err)
		}
		see("")
		write(t, f, "again\n")
		see("again\n")
		if err := os.Remove(f.path); err != nil {
			t.Fatal(err)
		}
		see("")
		if err := os.WriteFile(f.path, []byte("new\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		see("new\n")
		cancel()
		if err := <-followed; err != nil {
			t.Error(err)
		}
	})
}

type brokenPipe struct{}

func (brokenPipe) Write([]byte) (int, error) { return 0, os.ErrClosed }

func TestFollowIntoNothing(t *testing.T) {
	f := rotating(t, 20)
	if err := newTail(t, f.path).Follow(t.Context(), brokenPipe{}); err != os.ErrClosed {
		t.Errorf("got %v", err)
	}
}
