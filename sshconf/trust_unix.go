//go:build unix

package sshconf

import (
	"io/fs"
	"os"
	"os/user"
	"strconv"
	"syscall"
)

// trusted says that only the user and root can write to a file. A group that
// bears its owner's name counts as the owner, as in Debian's ssh: there every
// user has one, and files are group-writable as a rule.
func trusted(info fs.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || st.Uid != 0 && int(st.Uid) != os.Getuid() || info.Mode()&0o002 != 0 {
		return false
	}
	if info.Mode()&0o020 == 0 {
		return true
	}
	owner, err := user.LookupId(strconv.Itoa(int(st.Uid)))
	if err != nil {
		return false
	}
	group, err := user.LookupGroupId(strconv.Itoa(int(st.Gid)))
	return err == nil && group.Name == owner.Username
}
