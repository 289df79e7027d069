//go:build linux

package test

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"testing"
)

// publicDir returns a temporary folder that the FTP servers' user can enter,
// which it could not do with t.TempDir's.
func publicDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "pasvport-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// makeDir makes a folder that belongs to the FTP servers' user.
func makeDir(t *testing.T, elem ...string) string {
	t.Helper()
	dir := filepath.Join(elem...)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(dir, ftpUID, ftpUID); err != nil {
		t.Fatal(err)
	}
	return dir
}

// writeFile writes a file that belongs to the FTP servers' user.
func writeFile(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// serveFile is writeFile for a file that the FTP servers' user owns.
func serveFile(t *testing.T, path string, data []byte) {
	t.Helper()
	writeFile(t, path, data)
	if err := os.Chown(path, ftpUID, ftpUID); err != nil {
		t.Fatal(err)
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	data, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, to, data)
}

// noise returns n random bytes. CR, LF and FF are among them, so that nothing
// which treats a file as text or as Telnet stays unseen.
func noise(n int) []byte {
	data := make([]byte, n)
	rand.Read(data)
	return data
}

// checkFile compares a file with what it should hold.
func checkFile(t *testing.T, path string, want []byte) {
	t.Helper()
	got, err := os.ReadFile(path)
	if err != nil {
		t.Error(err)
		return
	}
	if g, w := sum(got), sum(want); g != w {
		t.Errorf("%s: got %d bytes with SHA-256 %s, want %d with %s", filepath.Base(path), len(got), g, len(want), w)
	}
}

func sum(data []byte) string {
	hash := sha256.Sum256(data)
	return hex.EncodeToString(hash[:])
}

// checkGone fails when there is still something at path.
func checkGone(t *testing.T, path string) {
	t.Helper()
	if _, err := os.Lstat(path); !os.IsNotExist(err) {
		t.Errorf("%s is still there (%v)", path, err)
	}
}

// checkDir fails when there is no folder at path.
func checkDir(t *testing.T, path string) {
	t.Helper()
	if info, err := os.Stat(path); err != nil || !info.IsDir() {
		t.Errorf("%s is no folder (%v)", path, err)
	}
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
