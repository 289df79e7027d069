//go:build linux

package test

import (
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A client is a program that speaks FTP.
type client struct {
	name string
	// run does the cell's ops in as few runs of the program as is natural, and
	// returns what it printed.
	run func(c *cell) string
	// cannot names the ops that the program has no means for, and why.
	cannot map[string]string
}

var clients = []*client{
	{name: "curl", run: curl},
	{name: "lftp", run: lftp, cannot: map[string]string{
		"append": "lftp never sends APPE: its `put -c` is REST and STOR",
	}},
	{name: "wget", run: wget, cannot: map[string]string{
		"upload":        "wget only downloads",
		"upload-resume": "wget only downloads",
		"append":        "wget only downloads",
		"ascii-upload":  "wget only downloads",
		"rename":        "wget only downloads",
		"mkdir":         "wget only downloads",
		"delete":        "wget only downloads",
		"rmdir":         "wget only downloads",
		"mirror-upload": "wget only downloads",
		"odd-upload":    "wget only downloads",
	}},
	{name: "tnftp", run: tnftp},
	{name: "ncftp", run: ncftp},
	{name: "inetutils-ftp", run: inetutils},
	{name: "ftplib", run: ftplib},
}

func clientNamed(t *testing.T, name string) *client {
	t.Helper()
	for _, c := range clients {
		if c.name == name {
			return c
		}
	}
	t.Fatalf("no client %q", name)
	return nil
}

// command is a client's command in the cell's local folder, which is its home too.
func (c *cell) command(name string, args ...string) *exec.Cmd {
	c.Helper()
	cmd := exec.Command(program(c.T, name), args...)
	cmd.Dir = c.local
	cmd.Env = append(os.Environ(), "HOME="+c.local, "TERM=dumb")
	return cmd
}

// must runs a client that reports failure by its exit code.
func (c *cell) must(cmd *exec.Cmd) string {
	c.Helper()
	r := run(c.T, cmd)
	if r.code != 0 {
		c.Errorf("%v: exit code %d", cmd.Args, r.code)
	}
	return fmt.Sprintf("$ %s\n%s\n%s\n", strings.Join(cmd.Args, " "), r.stdout, r.stderr)
}

// script runs a client that reads its commands from standard input. Such clients
// go on after a failure, so that their exit code says little.
func (c *cell) script(cmd *exec.Cmd, lines ...string) string {
	c.Helper()
	cmd.Stdin = strings.NewReader(strings.Join(lines, "\n") + "\n")
	r := run(c.T, cmd)
	if r.code < 0 {
		c.Errorf("%v hung", cmd.Args)
	}
	return fmt.Sprintf("$ %s\n%s\n%s\n", strings.Join(cmd.Args, " "), r.stdout, r.stderr)
}

// shown returns the text of a file into which a client has put a listing.
func (c *cell) shown(name string) string {
	data, err := os.ReadFile(filepath.Join(c.local, name))
	if err != nil {
		c.Error(err)
	}
	return string(data)
}

// url returns the URL of a file of the cell, without user and password.
func (c *cell) url(name string) string {
	u := url.URL{Scheme: "ftp", Host: net.JoinHostPort(c.host, c.port), Path: c.path + "/" + name}
	return u.String()
}

// quoted puts a file name between double quotes, as most clients read it.
func quoted(name string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(name) + `"`
}

// escaped puts a backslash before what BSD's ftp, and its like, do not take for
// a part of a file name. They know no such thing between quotes.
func escaped(name string) string {
	return strings.NewReplacer(`\`, `\\`, `"`, `\"`, `'`, `\'`, " ", `\ `).Replace(name)
}

// repeat returns a line for each name, with the name in place of each %s.
func repeat(names []string, line string) []string {
	var lines []string
	for _, name := range names {
		lines = append(lines, strings.ReplaceAll(line, "%s", name))
	}
	return lines
}

// mode returns one of two words.
func (c *cell) mode(passive, active string) string {
	if c.active {
		return active
	}
	return passive
}
