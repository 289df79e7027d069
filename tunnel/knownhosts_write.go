package tunnel

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
	"unicode"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

// addKnownHost appends a line to file unless it is there, and makes the file and
// its directory when they are missing. It writes once, at the end, as ssh does,
// so neither loses a line of the other; a lock, which ssh does not know of, keeps
// several of us from adding the same line.
func addKnownHost(file, name string, key ssh.PublicKey, hashed bool) error {
	line, err := knownHostsLine(name, key, hashed)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	f, err := openLocked(file)
	if err != nil {
		return err
	}
	return errors.Join(appendLine(f, name, key, line), f.Close()) // which unlocks it
}

// knownHostsLine is the line as ssh writes it: the name in lower case.
func knownHostsLine(name string, key ssh.PublicKey, hashed bool) (string, error) {
	name = strings.ToLower(name)
	if name == "" || strings.ContainsFunc(name, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }) {
		return "", fmt.Errorf("the name %q would break known_hosts", name)
	}
	if hashed {
		name = knownhosts.HashHostname(name)
	}
	return name + " " + string(ssh.MarshalAuthorizedKey(key)), nil
}

// lockPatience is how long a lock on known_hosts is waited for. We hold it for a moment; who
// holds it longer is none of us, and does not keep ssh from writing either.
const lockPatience = time.Second

// openLocked opens a file to append to it, and locks it. ssh and ssh-keygen -R put a
// new file in its place; a line must not go to the old one.
func openLocked(file string) (*os.File, error) {
	for range 10 {
		f, err := os.OpenFile(file, os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o600)
		if err != nil {
			return nil, err
		}
		tryLock(f) // where it cannot be locked, writing once must do
		mine, err1 := f.Stat()
		there, err2 := os.Stat(file)
		if err1 == nil && err2 == nil && os.SameFile(mine, there) {
			return f, nil
		}
		f.Close()
	}
	return nil, fmt.Errorf("%s is replaced all the time", file)
}

// tryLock waits for the lock on f, but not for ever. A goroutine that still waits then is
// left behind; it ends with the other's lock.
func tryLock(f *os.File) {
	locked := make(chan struct{})
	go func() { lockFile(f); close(locked) }()
	timer := time.NewTimer(lockPatience)
	defer timer.Stop()
	select {
	case <-locked:
	case <-timer.C:
	}
}

// appendLine appends line, which says that name has key, unless f says so.
func appendLine(f *os.File, name string, key ssh.PublicKey, line string) error {
	if fi, err := f.Stat(); err != nil || !fi.Mode().IsRegular() { // such as /dev/null
		_, err := f.WriteString(line)
		return err
	}
	data, err := io.ReadAll(f)
	if err != nil {
		return err
	}
	lines, _ := parseKnownHosts(data, f.Name())
	if _, ok := lines.about(name).marked("").with(key); ok {
		return nil // somebody was faster
	}
	if len(data) > 0 && data[len(data)-1] != '\n' {
		line = "\n" + line
	}
	_, err = f.WriteString(line)
	return err
}
