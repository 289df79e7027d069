package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/pasvport/pasvport/cmd/pasvport/internal/api"
)

func TestMain(m *testing.M) {
	os.Unsetenv("SSH_AUTH_SOCK") // keys of whoever runs the tests are none of their business
	testscript.Main(m, map[string]func(){
		"pasvport": main,
		"greeting": greeting,
	})
}

// greeting is an FTP client that prints the greeting of the server that
// PASVPORT_HOST and PASVPORT_PORT name.
func greeting() {
	c, err := net.Dial("tcp", net.JoinHostPort(os.Getenv("PASVPORT_HOST"), os.Getenv("PASVPORT_PORT")))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	line, _ := bufio.NewReader(c).ReadString('\n')
	fmt.Println(strings.TrimSpace(line))
	fmt.Fprint(c, "QUIT\r\n")
	c.Close()
}

// TestScript runs the command lines in testdata/script. Each script has an SSH
// server of its own, see startSSH; $CONFIG is the ssh_config for it, and $BUSY a
// local address where something listens. Beside testscript's own commands there is
//
//	exits CODE command...   run a command that ends with CODE
//	end-agent               stop the agent, and wait until its process has nothing left to do
func TestScript(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			server, err := startSSH(env.WorkDir)
			if err != nil {
				return err
			}
			env.Defer(server.close)
			busy, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				return err
			}
			env.Defer(func() { busy.Close() })
			for name, dir := range map[string]string{"XDG_RUNTIME_DIR": "run", "XDG_STATE_HOME": "var", "XDG_CONFIG_HOME": "config"} {
				env.Setenv(name, filepath.Join(env.WorkDir, dir))
				if err := os.MkdirAll(filepath.Join(env.WorkDir, dir), 0o700); err != nil {
					return err
				}
			}
			env.Defer(func() { stopAgent(filepath.Join(env.WorkDir, "run", "pasvport", "agent.sock")) })
			env.Setenv("GORACE", "atexit_sleep_ms=0") // else each pasvport sleeps for a second at its end
			env.Setenv("CONFIG", filepath.Join(env.WorkDir, "ssh_config"))
			env.Setenv("BUSY", busy.Addr().String())
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":     exits,
			"end-agent": func(ts *testscript.TestScript, _ bool, _ []string) { stopAgent(ts.MkAbs("run/pasvport/agent.sock")) },
		},
	})
}

// stopAgent ends the agent that a script has left, if any.
func stopAgent(socket string) {
	if api.New(socket).Stop(context.Background()) != nil {
		return
	}
	for { // it has the script's folder until it has ended
		if unlock, err := api.Lock(filepath.Dir(socket)); err == nil {
			unlock()
			return
		}
		runtime.Gosched()
	}
}

func exits(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 2 || neg {
		ts.Fatalf("usage: exits CODE command...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	code := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		exit, ok := errors.AsType[*exec.ExitError](err)
		if !ok {
			ts.Fatalf("%v", err)
		}
		code = exit.ExitCode()
	}
	if code != want {
		ts.Fatalf("%s ended with %d, want %d", args[1], code, want)
	}
}

// A process is a pasvport that is up.
type process struct {
	cmd    *exec.Cmd
	stdout *bufio.Reader
	stderr strings.Builder
}

// start starts pasvport with its SSH server, and waits for its first line.
func start(t *testing.T, args ...string) (p *process, line string) {
	t.Helper()
	dir := t.TempDir()
	server, err := startSSH(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.close)
	p = &process{cmd: exec.Command("pasvport", append([]string{"-F", filepath.Join(dir, "ssh_config")}, args...)...)}
	p.cmd.Stderr = &p.stderr
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.stdout = bufio.NewReader(stdout)
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.cmd.Process.Kill() })
	line, err = p.stdout.ReadString('\n')
	if err != nil {
		p.cmd.Wait()
		t.Fatalf("no line on standard output: %v\n%s", err, &p.stderr)
	}
	return p, line
}

// TestSignals stops a tunnel with each of the signals that ask for it.
func TestSignals(t *testing.T) {
	// Under nohup a hang-up is ignored, and pasvport would be right to do so too.
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	t.Cleanup(func() { signal.Stop(hangups) })
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
		t.Run(sig.String(), func(t *testing.T) {
			t.Parallel()
			p, line := start(t, "-L", "0:ftp.test:2100", "testhost")
			var url string
			if _, err := fmt.Sscanf(line, "pasvport: ftp://%s is ftp.test:2100 at testhost; stop with Ctrl-C\n", &url); err != nil {
				t.Errorf("got %q: %v", line, err)
			}
			p.cmd.Process.Signal(sig)
			if err := p.cmd.Wait(); err != nil || p.stderr.Len() > 0 {
				t.Errorf("%v, standard error %q; want 0 and nothing", err, &p.stderr)
			}
		})
	}
}

// TestHelpFits counts the lines of --help: a screen has 24, and one is the prompt's.
func TestHelpFits(t *testing.T) {
	var out strings.Builder
	if code := run([]string{"--help"}, &out, &out); code != 0 || strings.Count(out.String(), "\n") > 23 {
		t.Errorf("code %d, %d lines", code, strings.Count(out.String(), "\n"))
	}
	for _, word := range []string{"up", "status", "down"} { // the first three
		if _, rest, _ := strings.Cut(out.String(), "\n\n"); !strings.Contains(strings.SplitN(rest, "\n\n", 2)[0], "pasvport "+word) {
			t.Errorf("%s is not at the head of\n%s", word, &out)
		}
	}
}
