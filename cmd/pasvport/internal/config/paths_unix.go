//go:build unix

package config

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// base is the folder that the variable names, or else that folder at home.
func base(variable, _, inHome, _ string) string {
	if dir := absolute(variable); dir != "" {
		return dir
	}
	return filepath.Join(home(), inHome)
}

// RuntimeDir is for the agent's socket: $XDG_RUNTIME_DIR/pasvport. Where that is not
// set, as under cron, it is /run/user/UID/pasvport if the session has made that, and
// else pasvport-UID among the temporary files. It may be missing yet.
func RuntimeDir() string {
	if dir := absolute("XDG_RUNTIME_DIR"); dir != "" {
		return filepath.Join(dir, folder)
	}
	uid := strconv.Itoa(os.Getuid())
	session := filepath.Join(sessions, uid)
	if info, err := os.Lstat(session); err == nil && info.IsDir() && owner(info) == os.Getuid() {
		return filepath.Join(session, folder)
	}
	return filepath.Join(os.TempDir(), folder+"-"+uid)
}

// sessions is where systemd makes XDG_RUNTIME_DIR; tests put another folder there.
var sessions = "/run/user"

// keepOthersOut refuses a folder of somebody else's and closes an open one.
func keepOthersOut(dir string, info fs.FileInfo) error {
	if uid := owner(info); uid != os.Getuid() {
		return fmt.Errorf("%s belongs to the user with the id %d, and is not used", dir, uid)
	}
	if info.Mode().Perm() != 0o700 {
		return os.Chmod(dir, 0o700)
	}
	return nil
}

func owner(info fs.FileInfo) int { return int(info.Sys().(*syscall.Stat_t).Uid) }
