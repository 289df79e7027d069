package main

import (
	"syscall"

	"golang.org/x/sys/windows"
)

// ownSession is for a process that lives on without us and our console.
func ownSession() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{CreationFlags: windows.DETACHED_PROCESS | windows.CREATE_NEW_PROCESS_GROUP, HideWindow: true}
}
