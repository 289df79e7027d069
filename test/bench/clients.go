//go:build linux

package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// A client does a work by a route. What it returns is compared: less is better, but for
// speeds.
type client func(ctx context.Context, r *route) (float64, error)

// command is a client that is a program: the seconds that it takes are compared.
func command(args func(r *route) []string) client {
	return func(ctx context.Context, r *route) (float64, error) {
		if err := os.RemoveAll(r.scratch); err != nil {
			return 0, err
		}
		if err := os.Mkdir(r.scratch, 0o755); err != nil {
			return 0, err
		}
		defer os.RemoveAll(r.scratch)
		cmd := r.lab.near.command(ctx, args(r)...)
		began := time.Now()
		_, err := output(cmd)
		return time.Since(began).Seconds(), err
	}
}

// speed compares MB/s in place of seconds.
func speed(bytes int, c client) client {
	return func(ctx context.Context, r *route) (float64, error) {
		seconds, err := c(ctx, r)
		return float64(bytes) / 1e6 / seconds, err
	}
}

// cpu compares what the tunnel's process uses of the processor, in seconds per GiB.
func cpu(bytes int, c client) client {
	return func(ctx context.Context, r *route) (float64, error) {
		before, err := r.tunnel.cpu()
		if err != nil {
			return 0, err
		}
		if _, err := c(ctx, r); err != nil {
			return 0, err
		}
		after, err := r.tunnel.cpu()
		return (after - before) / float64(bytes) * (1 << 30), err
	}
}

// file writes a file for a client to read.
func (r *route) file(name, text string) string {
	name = filepath.Join(r.scratch, name)
	os.WriteFile(name, []byte(text), 0o600)
	return name
}

func (r *route) url(path string) string { return "ftp://" + r.addr + "/" + path }

// curl is the start of its command line.
func (r *route) curl() []string {
	args := []string{"curl", "-sS", "-u", r.ftpd.user + ":" + r.ftpd.password}
	if r.proxy != "" {
		args = append(args, "--socks5-hostname", r.proxy)
	}
	return args
}

// curlDown downloads the files of a folder by one curl.
func curlDown(folder string, files int) client {
	return command(func(r *route) []string {
		var list strings.Builder
		for i := range files {
			fmt.Fprintf(&list, "url=%q\noutput=/dev/null\n", r.url(fmt.Sprintf("%s/%d", folder, i)))
		}
		return append(r.curl(), "-K", r.file("list", list.String()))
	})
}

// curlUp uploads the files of a folder by one curl.
func curlUp(folder string, files int) client {
	return command(func(r *route) []string {
		var list strings.Builder
		for i := range files {
			fmt.Fprintf(&list, "url=%q\nupload-file=%q\n", r.url("up/"+r.own(folder, i)), r.source(folder, i))
		}
		return append(r.curl(), "-K", r.file("list", list.String()))
	})
}

// own is a name on the server that no other route uploads to.
func (r *route) own(folder string, i int) string {
	return fmt.Sprintf("%s-%s-%d", filepath.Base(r.scratch), folder, i)
}

// source is a file that is there to be uploaded.
func (r *route) source(folder string, i int) string {
	return r.lab.path(fmt.Sprintf("root/%s/%d", folder, i))
}

// severalCurls runs several curls at once, each with one file.
func severalCurls(n int, direction func(r *route, i int) []string) client {
	return command(func(r *route) []string {
		var script strings.Builder
		for i := range n {
			fmt.Fprintf(&script, "'%s' & pids=\"$pids $!\"\n", strings.Join(append(r.curl(), direction(r, i)...), "' '"))
		}
		script.WriteString("for pid in $pids; do wait $pid || exit; done\n")
		return []string{"sh", "-c", script.String()}
	})
}

func bigDown(r *route, _ int) []string { return []string{"-o", "/dev/null", r.url("big/0")} }

func bigUp(r *route, i int) []string {
	return []string{"-T", r.source("big", 0), r.url("up/" + r.own("big", i))}
}

// ftplibDown downloads small files by Python's ftplib: TYPE, PASV and RETR for each.
func ftplibDown(files int) client {
	const script = `
import ftplib, sys
host, port, user, password, files = sys.argv[1:]
ftp = ftplib.FTP()
ftp.connect(host, int(port))
ftp.login(user, password)
for i in range(int(files)):
    ftp.retrbinary("RETR small/%d" % i, lambda data: None)
ftp.quit()
`
	return command(func(r *route) []string {
		host, port, _ := strings.Cut(r.addr, ":")
		return []string{"/usr/bin/python3", "-c", script, host, port, r.ftpd.user, r.ftpd.password, strconv.Itoa(files)}
	})
}

// lftpMirror has lftp fetch the folder of small files.
func lftpMirror(r *route) []string {
	return []string{"lftp", "-c", fmt.Sprintf("set net:max-retries 1; open -u %s,%s ftp://%s; mirror small %s", r.ftpd.user, r.ftpd.password, r.addr, r.scratch)}
}

// lftpMirrorSFTP has it fetch the folder of a few by SFTP.
func lftpMirrorSFTP(r *route) []string {
	return []string{"lftp", "-c", fmt.Sprintf(
		"set net:max-retries 1; set sftp:connect-program 'ssh -a -x -F %s'; open sftp://%s:@far; mirror %s %s", r.lab.path("ssh_config"), r.lab.user, r.lab.path("root/few"), r.scratch)}
}

// sftpDown downloads the few by one sftp.
func sftpDown(r *route) []string {
	var batch strings.Builder
	for i := range few {
		fmt.Fprintf(&batch, "get %s %s\n", r.source("few", i), r.scratch)
	}
	return []string{"sftp", "-q", "-F", r.lab.path("ssh_config"), "-b", r.file("batch", batch.String()), "far"}
}

// rcloneCopy has rclone copy the folder of a few, one at a time.
func rcloneCopy(r *route) []string {
	return []string{"rclone", "--config", "/dev/null", "copy", "--transfers", "1",
		"--sftp-host", r.lab.far.addr.String(), "--sftp-port", strconv.Itoa(r.lab.sshPort), "--sftp-user", r.lab.user,
		"--sftp-key-file", r.lab.path("id"), ":sftp:" + r.lab.path("root/few"), filepath.Join(r.scratch, "copy")}
}

// firstByte compares the time to the first byte of a listing, from the start of a new
// FTP session on.
func firstByte(ctx context.Context, r *route) (float64, error) {
	args := append(r.curl(), "-o", "/dev/null", "-w", "%{time_starttransfer}", r.url("small/"))
	out, err := r.lab.near.run(ctx, args...)
	if err != nil {
		return 0, err
	}
	return strconv.ParseFloat(out, 64)
}

// greeting compares the time to the FTP server's greeting.
func greeting(ctx context.Context, r *route) (float64, error) {
	const script = `
import socket, sys, time
began = time.time()
with socket.create_connection((sys.argv[1], int(sys.argv[2]))) as c:
    assert c.recv(3) == b"220"
print(time.time() - began)
`
	host, port, _ := strings.Cut(r.addr, ":")
	out, err := r.lab.near.run(ctx, "/usr/bin/python3", "-c", script, host, port)
	if err != nil {
		return 0, err
	}
	return strconv.ParseFloat(strings.TrimSpace(out), 64)
}

// start compares the time from pasvport's start to its arrival at the SSH server.
func start(ctx context.Context, r *route) (float64, error) {
	const script = `
import socket, subprocess, sys, time
with socket.create_server(("127.0.0.1", 0)) as listener:
    began = time.time()
    with subprocess.Popen([sys.argv[1], "-F", sys.argv[2], "-o", "HostName=127.0.0.1", "-p", str(listener.getsockname()[1]), "far"], stderr=subprocess.DEVNULL) as process:
        listener.accept()
        print(time.time() - began)
        process.kill()
`
	out, err := r.lab.near.run(ctx, "/usr/bin/python3", "-c", script, r.lab.path("pasvport"), r.lab.path("ssh_config"))
	if err != nil {
		return 0, err
	}
	return strconv.ParseFloat(strings.TrimSpace(out), 64)
}

// idleSessions compares how much memory the tunnel takes for each idle FTP session, in
// KiB: so many are added to those that are there.
func idleSessions(already, sessions int) client {
	const script = `
import ftplib, sys, time
host, port, user, password, already, sessions = sys.argv[1:]
def session():
    ftp = ftplib.FTP()
    ftp.connect(host, int(port))
    ftp.login(user, password)
    return ftp
first = [session() for i in range(int(already))]
print("ready", flush=True)
sys.stdin.readline()
more = [session() for i in range(int(sessions))]
print("ready", flush=True)
sys.stdin.readline()
`
	return func(ctx context.Context, r *route) (float64, error) {
		host, port, _ := strings.Cut(r.addr, ":")
		cmd := r.lab.near.command(ctx, "sh", "-c", `ulimit -n 4096; exec "$@"`, "sh",
			"/usr/bin/python3", "-c", script, host, port, r.ftpd.user, r.ftpd.password, strconv.Itoa(already), strconv.Itoa(sessions))
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		in, err := cmd.StdinPipe()
		if err != nil {
			return 0, err
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			return 0, err
		}
		if err := cmd.Start(); err != nil {
			return 0, err
		}
		defer cmd.Wait()
		defer in.Close()
		var took [2]float64
		for i := range took {
			if _, err := fmt.Fscanln(out, new(string)); err != nil {
				cmd.Wait()
				return 0, fmt.Errorf("%d idle sessions: %w\n%s", already+i*sessions, err, &stderr)
			}
			if took[i], err = r.tunnel.memory(); err != nil {
				return 0, err
			}
			fmt.Fprintln(in)
		}
		return (took[1] - took[0]) / float64(sessions), nil
	}
}
