//go:build linux

package test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// output collects what a process prints and lets a test wait for a part of it.
type output struct {
	mu      sync.Mutex
	buf     bytes.Buffer
	changed chan struct{} // closed when buf grows
}

func newOutput() *output { return &output{changed: make(chan struct{})} }

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	close(o.changed)
	o.changed = make(chan struct{})
	return o.buf.Write(p)
}

// get returns all output so far, and a channel that is closed when there is more.
func (o *output) get() (string, <-chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String(), o.changed
}

func (o *output) String() string {
	s, _ := o.get()
	return s
}

// A process is a program that runs beside the test.
type process struct {
	cmd            *exec.Cmd
	stdout, stderr *output
	ended          chan struct{} // closed when cmd.Wait has returned
	waitErr        error
}

// starter runs functions on a thread that lives as long as the test binary. The
// kernel ends a process with Pdeathsig when the thread that started it is gone,
// so what starts there outlives neither a panic nor a timeout of the tests.
var starter = sync.OnceValue(func() chan func() {
	todo := make(chan func())
	go func() {
		runtime.LockOSThread()
		for f := range todo {
			f()
		}
	}()
	return todo
})

// startProcess starts cmd in a session of its own, without the terminal that the
// tests may be run from. At the end of the test its process group is killed.
func startProcess(t *testing.T, cmd *exec.Cmd) *process {
	t.Helper()
	p := &process{cmd: cmd, stdout: newOutput(), stderr: newOutput(), ended: make(chan struct{})}
	if cmd.Stdout == nil { // else it has a terminal
		cmd.Stdout, cmd.Stderr = p.stdout, p.stderr
	}
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	cmd.WaitDelay = 5 * time.Second // for children that keep the output open
	started := make(chan error)
	starter() <- func() { started <- cmd.Start() }
	if err := <-started; err != nil {
		t.Fatal(err)
	}
	go func() {
		p.waitErr = cmd.Wait()
		close(p.ended)
	}()
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("%s printed:\n%s%s", cmd.Args[0], tail(p.stdout.String()), tail(p.stderr.String()))
		}
	})
	return p
}

// tail keeps a log short enough to be read.
func tail(s string) string {
	const most = 16 << 10
	if len(s) > most {
		return "[...]" + s[len(s)-most:]
	}
	return s
}

// kill ends the process and all its children, and returns when it is gone.
func (p *process) kill() {
	for _, pid := range descendants(p.cmd.Process.Pid) { // sshd's leave the process group
		syscall.Kill(pid, syscall.SIGKILL)
	}
	syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	<-p.ended
}

// hold runs f while the process stands still: when it goes on, all that f did has
// happened already.
func (p *process) hold(t *testing.T, f func()) {
	t.Helper()
	pid := p.cmd.Process.Pid
	syscall.Kill(pid, syscall.SIGSTOP)
	defer syscall.Kill(pid, syscall.SIGCONT)
	eventually(t, "the process stands still", func() bool { return stopped(pid) })
	f()
}

// stopped tells whether all threads of a process are.
func stopped(pid int) bool {
	threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", pid))
	return len(threads) > 0 && !slices.ContainsFunc(threads, func(thread string) bool {
		fields := statFields(thread)
		return len(fields) > 0 && fields[0] != "T"
	})
}

// statFields returns what the stat file of a process or thread in /proc holds behind
// the name: the state, the parent, and so on. There is nothing for one that is gone.
func statFields(folder string) []string {
	stat, _ := os.ReadFile(filepath.Join(folder, "stat"))
	_, rest, _ := strings.Cut(string(stat), ") ") // the name may hold spaces
	return strings.Fields(rest)
}

// wait returns the exit code, when the process has ended by itself.
func (p *process) wait(t *testing.T) int {
	t.Helper()
	select {
	case <-p.ended:
	case <-time.After(limit):
		t.Fatalf("%v goes on and on", p.cmd.Args)
	}
	return p.cmd.ProcessState.ExitCode()
}

// waitFor returns the submatches of pattern in o, an output of p, once it is there.
func (p *process) waitFor(t *testing.T, o *output, pattern string) []string {
	t.Helper()
	re := regexp.MustCompile(pattern)
	timeout := time.After(limit)
	for ended := false; ; {
		text, more := o.get()
		if m := re.FindStringSubmatch(text); m != nil {
			return m
		}
		if ended {
			t.Fatalf("%v ended (%v) before it printed %q", p.cmd.Args, p.waitErr, pattern)
		}
		select {
		case <-more:
		case <-p.ended:
			ended = true // after one more look at the output
		case <-timeout:
			t.Fatalf("%v has not printed %q", p.cmd.Args, pattern)
		}
	}
}

// eventually returns once done returns true. It is for what tells nobody when it
// happens: files that grow, ports that open, descriptors that go.
func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for timeout := time.After(limit); !done(); {
		select {
		case <-tick.C:
		case <-timeout:
			t.Fatalf("in vain: %s", what)
		}
	}
}

// result is how a command ended.
type result struct {
	stdout, stderr string
	code           int
}

func (r result) String() string {
	return fmt.Sprintf("exit code %d, stdout:\n%s\nstderr:\n%s", r.code, tail(r.stdout), tail(r.stderr))
}

// run runs a command to its end. A command that hangs is killed, with code -1.
func run(t *testing.T, cmd *exec.Cmd) result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // no terminal to ask on
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	hang := time.AfterFunc(limit, func() {
		fmt.Fprintln(os.Stderr, "killing", cmd.Args)
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	})
	defer hang.Stop()
	var exit *exec.ExitError
	if err := cmd.Wait(); err != nil && !errors.As(err, &exit) {
		t.Fatalf("%v: %v", cmd.Args, err)
	}
	return result{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}

// mustRun is run for a command that has to succeed; it returns its output.
func mustRun(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	r := run(t, cmd)
	if r.code != 0 {
		t.Fatalf("%v: %v", cmd.Args, r)
	}
	return r.stdout
}

// children returns the process ids whose parent is pid.
func children(pid int) []int {
	var pids []int
	entries, _ := os.ReadDir("/proc")
	for _, entry := range entries {
		child, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		if fields := statFields("/proc/" + entry.Name()); len(fields) > 1 && fields[1] == strconv.Itoa(pid) {
			pids = append(pids, child)
		}
	}
	return pids
}

// descendants returns the process ids of the children of pid, of theirs, and so on.
func descendants(pid int) []int {
	var pids []int
	for _, child := range children(pid) {
		pids = append(append(pids, child), descendants(child)...)
	}
	return pids
}
