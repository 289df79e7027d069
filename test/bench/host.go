//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// A host is a network namespace, or the whole machine.
type host struct {
	namespace string // or "" for the machine
	addr      netip.Addr
}

// command is one that runs on h. It is killed when ctx ends.
func (h host) command(ctx context.Context, args ...string) *exec.Cmd {
	if h.namespace != "" {
		args = append([]string{"ip", "netns", "exec", h.namespace}, args...)
	}
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.WaitDelay = time.Second
	return cmd
}

// run runs a command to its end and returns what it prints.
func (h host) run(ctx context.Context, args ...string) (string, error) {
	return output(h.command(ctx, args...))
}

// output is what cmd prints; the error has what it says of it.
func output(cmd *exec.Cmd) (string, error) {
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stdout.String(), fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, &stderr)
	}
	return stdout.String(), nil
}

// A service is a program that runs until it is stopped.
type service struct {
	cmd  *exec.Cmd
	name string
	log  string
	done chan struct{}
}

// start starts a service on h, with its output in the file log, and waits until it
// listens on all of the ports.
func (h host) start(ctx context.Context, log string, ports []int, args ...string) (*service, error) {
	file, err := os.Create(log)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	s := &service{cmd: h.command(ctx, args...), name: args[0], log: log, done: make(chan struct{})}
	s.cmd.Stdout, s.cmd.Stderr = file, file
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		s.cmd.Wait()
		close(s.done)
	}()
	if err := s.wait(ctx, func() bool { return listens(s.cmd.Process.Pid, ports) }); err != nil {
		s.stop()
		return nil, err
	}
	return s, nil
}

// wait waits until the service is as it should be, while it runs.
func (s *service) wait(ctx context.Context, ready func() bool) error {
	patience := time.NewTimer(20 * time.Second)
	defer patience.Stop()
	for !ready() {
		var err error
		select {
		case <-s.done:
			err = errors.New("it ended")
		case <-ctx.Done():
			err = ctx.Err()
		case <-patience.C:
			err = errors.New("it is not ready after 20 s")
		case <-time.After(5 * time.Millisecond):
			continue
		}
		text, _ := os.ReadFile(s.log)
		return fmt.Errorf("%s: %w\n%s", s.name, err, text)
	}
	return nil
}

func (s *service) stop() {
	s.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.done:
	case <-time.After(3 * time.Second):
		s.cmd.Process.Kill()
		<-s.done
	}
}

// listens tells whether all ports have a listener in the network namespace of pid.
func listens(pid int, ports []int) bool {
	var open []string
	for _, table := range []string{"tcp", "tcp6"} {
		text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/net/%s", pid, table))
		for line := range strings.Lines(string(text)) {
			const listen = "0A"
			if f := strings.Fields(line); len(f) > 3 && f[3] == listen {
				_, port, _ := strings.Cut(f[1], ":")
				open = append(open, port)
			}
		}
	}
	for _, port := range ports {
		if !slices.Contains(open, fmt.Sprintf("%04X", port)) {
			return false
		}
	}
	return true
}

// cpu is what the service has used so far, in seconds.
func (s *service) cpu() (float64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	const user, system, ticks = 11, 12, 100 // behind the name in brackets
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	u, err1 := strconv.ParseFloat(fields[user], 64)
	k, err2 := strconv.ParseFloat(fields[system], 64)
	return (u + k) / ticks, errors.Join(err1, err2)
}

// memory is what the service has in memory, in KiB.
func (s *service) memory() (float64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			return strconv.ParseFloat(strings.Fields(rest)[0], 64)
		}
	}
	return 0, fmt.Errorf("%s: no VmRSS", s.name)
}
