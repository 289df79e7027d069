package agentlog

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// rotating is a log that holds most bytes.
func rotating(t *testing.T, most int64) *file {
	t.Helper()
	f, err := openFile(filepath.Join(t.TempDir(), "agent.log"), most, false)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func write(t *testing.T, f *file, lines ...string) {
	t.Helper()
	for _, line := range lines {
		if n, err := f.Write([]byte(line)); n != len(line) || err != nil {
			t.Fatalf("%q: %d, %v", line, n, err)
		}
	}
}

// holds compares the files of a log with what is wanted, the newest first.
func holds(t *testing.T, f *file, want ...string) {
	t.Helper()
	var got []string
	for _, path := range []string{f.path, before(f.path), before(f.path) + ".1", f.path + ".2"} {
		if text, err := os.ReadFile(path); err == nil {
			got = append(got, string(text))
		}
	}
	if fmt.Sprintf("%q", got) != fmt.Sprintf("%q", want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestRotation(t *testing.T) {
	f := rotating(t, 8)
	write(t, f, "one\n", "two\n")
	holds(t, f, "one\ntwo\n")
	write(t, f, "three\n")
	holds(t, f, "three\n", "one\ntwo\n")
	write(t, f, "longer than all of it\n")
	holds(t, f, "longer than all of it\n", "three\n")
	write(t, f, "four\n")
	holds(t, f, "four\n", "longer than all of it\n")
	if info, err := os.Stat(f.path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

// TestAppends has an agent go on where the one before it ended.
func TestAppends(t *testing.T) {
	f := rotating(t, 8)
	write(t, f, "one\n")
	f.Close()
	again, err := openFile(f.path, 8, false)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	write(t, again, "two\n", "three\n")
	holds(t, again, "three\n", "one\ntwo\n")
}

// TestCannotRotate has a folder in the way of the log before this one.
func TestCannotRotate(t *testing.T) {
	f := rotating(t, 8)
	if err := os.MkdirAll(filepath.Join(before(f.path), "in the way"), 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, f, "one\n", "two\n", "three\n", "4\n")
	holds(t, f, "one\ntwo\nthree\n4\n")
	if err := os.RemoveAll(before(f.path)); err != nil {
		t.Fatal(err)
	}
	write(t, f, "five\n")
	holds(t, f, "five\n", "one\ntwo\nthree\n4\n")
}

// TestRemoved has somebody remove the log while it is written.
func TestRemoved(t *testing.T) {
	f := rotating(t, 8)
	write(t, f, "one\n", "two\n")
	if err := os.Remove(f.path); err != nil {
		t.Fatal(err)
	}
	write(t, f, "three\n")
	holds(t, f, "three\n")
}

// TestFolderGone has the log come back with its folder.
func TestFolderGone(t *testing.T) {
	f := rotating(t, 8)
	dir := filepath.Dir(f.path)
	write(t, f, "one\n", "two\n")
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := f.Write([]byte("three\n")); err == nil {
			t.Error("written to nowhere")
		}
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, f, "four\n")
	holds(t, f, "four\n")
}

// TestConcurrent looks that no line is lost or cut, over many rotations.
func TestConcurrent(t *testing.T) {
	const writers, lines = 8, 200
	f := rotating(t, writers*lines*8/2+64) // one rotation: all is kept
	var group sync.WaitGroup
	for w := range writers {
		group.Go(func() {
			for i := range lines {
				fmt.Fprintf(f, "%d.%05d\n", w, i)
			}
		})
	}
	group.Wait()
	text := read(t, before(f.path)) + read(t, f.path)
	seen := make(map[string]bool)
	for _, line := range strings.Fields(text) {
		seen[line] = true
	}
	if len(seen) != writers*lines || len(text) != writers*lines*8 {
		t.Errorf("%d lines of %d bytes, want %d of %d", len(seen), len(text), writers*lines, writers*lines*8)
	}
}

// TestTorn has a disk that took a part of a line, and room again.
func TestTorn(t *testing.T) {
	f := rotating(t, 1<<20)
	write(t, f, "one\n")
	full, err := os.Open(f.path) // which takes no writing
	if err != nil {
		t.Fatal(err)
	}
	disk := f.f
	f.f = full
	if _, err := f.Write([]byte("lost\n")); err == nil {
		t.Error("a full disk took a line")
	}
	f.f = disk
	full.Close()
	write(t, f, "two\n")
	holds(t, f, "one\ntwo\n")

	f.torn = true // what a short write leaves
	f.f.WriteString("thr")
	write(t, f, "four\n")
	if got := read(t, f.path); !bytes.HasSuffix([]byte(got), []byte("thr\nfour\n")) {
		t.Errorf("got %q", got)
	}
}
