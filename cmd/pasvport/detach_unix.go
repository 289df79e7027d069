//go:build unix

package main

import "syscall"

// detached is for a process that lives on without us and our terminal.
func detached() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }
