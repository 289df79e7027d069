// Command demo shows pasvport at work, and proves that nothing goes around the
// tunnel. It needs nothing but Go: it brings an SSH server, an FTP server and
// an FTP client, all on this machine's loopback.
//
// It uploads and downloads a file in passive and in active mode, prints the
// lines that pasvport rewrites, and compares the connections that the FTP
// server saw with those that the SSH server has had. It ends with 1 if there
// is one that is not the SSH server's. With -keep it stays for other clients.
package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"time"

	"github.com/secsy/goftp"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"github.com/pasvport/pasvport/ftpmux"
	"github.com/pasvport/pasvport/sshconf"
	"github.com/pasvport/pasvport/tunnel"
)

func main() {
	keep := flag.Bool("keep", false, "stay until Ctrl-C, for FTP clients of yours")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if !*keep {
		ctx, stop = context.WithTimeout(ctx, time.Minute)
		defer stop()
	}
	if err := run(ctx, os.Stdout, *keep); err != nil {
		fmt.Fprintln(os.Stderr, "demo: error:", err)
		os.Exit(1)
	}
}

// run is the whole demo; with keep it goes on until the end of ctx.
func run(ctx context.Context, w io.Writer, keep bool) error {
	ftpd, err := startFTP()
	if err != nil {
		return fmt.Errorf("starting the FTP server: %w", err)
	}
	defer ftpd.close()
	dir, err := os.MkdirTemp("", "pasvport-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	sshd, config, err := setUpSSH(dir)
	if err != nil {
		return fmt.Errorf("starting the SSH server: %w", err)
	}
	defer sshd.close()
	server := ftpd.ln.Addr().String()
	fmt.Fprintf(w, `1. Two servers, both on this machine
   SSH server          %s
   FTP server          %s, which only the SSH server is to reach

`, sshd.ln.Addr(), server)

	// What the command does: resolve, connect, look for an FTP server, serve.
	resolver := &sshconf.Resolver{File: config}
	host, err := resolver.Resolve("demo")
	if err != nil {
		return err
	}
	log := slog.New(showRewriting(w))
	tun := tunnel.New(host, tunnel.Options{Jump: resolver.Jump, Logger: log})
	defer tun.Close()
	if err := tun.Connect(ctx); err != nil {
		return err
	}
	mux := &ftpmux.Mux{Remote: tun, Server: server, Logger: log}
	if err := mux.Check(ctx); err != nil {
		return err
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	var serving sync.WaitGroup
	serving.Go(func() { mux.Serve(ctx, ln) })
	defer func() { stop(); serving.Wait() }()
	addr := ln.Addr().String()
	fmt.Fprintf(w, `2. A tunnel, as by "pasvport -L 0:%s demo"
   for FTP clients     %s
`, server, addr)

	file := bytes.Repeat([]byte("pasvport carries FTP through SSH\n"), 32<<10)
	for _, active := range []bool{false, true} {
		if active {
			fmt.Fprintln(w, "\n4. A client in active mode: the server connects to a port of the client's")
		} else {
			fmt.Fprintln(w, "\n3. A client in passive mode: it connects to a port of the server's")
		}
		if err := transfer(addr, active, file); err != nil {
			return err
		}
		fmt.Fprintf(w, "   uploaded and downloaded %d bytes, the same\n", len(file))
	}
	fmt.Fprintln(w, "\n5. The proof: the FTP server's connections, as either server knows them")
	if err := prove(w, ftpd, sshd); err != nil || !keep {
		return err
	}
	fmt.Fprintf(w, `
6. Your turn, until Ctrl-C; -P - asks for active mode
   curl -u %[1]s:%[2]s ftp://%[3]s/
   curl -u %[1]s:%[2]s -P - -T FILE ftp://%[3]s/

`, ftpUser, ftpPassword, addr)
	<-ctx.Done()
	return nil
}

// setUpSSH starts an SSH server, and writes to dir what ssh would want for it: a
// key to log in with, known_hosts, and a configuration that calls it "demo".
func setUpSSH(dir string) (sshd *sshServer, config string, err error) {
	host, _, err := newKey()
	if err != nil {
		return nil, "", err
	}
	client, identity, err := newKey()
	if err != nil {
		return nil, "", err
	}
	if sshd, err = startSSH(host, client.PublicKey()); err != nil {
		return nil, "", err
	}
	path := func(name string) string { return filepath.Join(dir, name) }
	for name, text := range map[string]string{
		"identity":    string(identity),
		"known_hosts": knownhosts.Line([]string{sshd.ln.Addr().String()}, host.PublicKey()),
		"ssh_config": fmt.Sprintf(`Host demo
  HostName 127.0.0.1
  Port %d
  IdentityFile %q
  IdentitiesOnly yes
  UserKnownHostsFile %q
  GlobalKnownHostsFile none
  StrictHostKeyChecking yes
`, sshd.ln.Addr().(*net.TCPAddr).Port, path("identity"), path("known_hosts")),
	} {
		err = errors.Join(err, os.WriteFile(path(name), []byte(text), 0o600))
	}
	if err != nil {
		sshd.close()
	}
	return sshd, path("ssh_config"), err
}

func newKey() (signer ssh.Signer, file []byte, err error) {
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		return nil, nil, err
	}
	block, err := ssh.MarshalPrivateKey(key, "demo")
	if err != nil {
		return nil, nil, err
	}
	signer, err = ssh.NewSignerFromKey(key)
	return signer, pem.EncodeToMemory(block), err
}

// transfer uploads a file and downloads it again, with an FTP client that knows
// nothing of SSH.
func transfer(addr string, active bool, file []byte) error {
	client, err := goftp.DialConfig(goftp.Config{
		User:               ftpUser,
		Password:           ftpPassword,
		ActiveTransfers:    active,
		ConnectionsPerHost: 1,
		Timeout:            30 * time.Second,
	}, addr)
	if err != nil {
		return err
	}
	defer client.Close()
	if err := client.Store("file", bytes.NewReader(file)); err != nil {
		return fmt.Errorf("uploading: %w", err)
	}
	var got bytes.Buffer
	if err := client.Retrieve("file", &got); err != nil {
		return fmt.Errorf("downloading: %w", err)
	}
	if !bytes.Equal(got.Bytes(), file) {
		return errors.New("the file came back changed")
	}
	return nil
}

// prove prints the SSH server's ends of its connections beside what the FTP
// server saw at the other end of its own, and fails unless they are the same.
func prove(w io.Writer, ftpd *ftpServer, sshd *sshServer) error {
	ours, theirs := sshd.ends.list(), ftpd.peers.list()
	const format = "   %-18s %-16s  %-17s  %s\n"
	fmt.Fprintf(w, format, "SSH server", "its end", "FTP server's peer", "FTP server")
	same := len(ours) == len(theirs)
	for i := range max(len(ours), len(theirs)) {
		row := [2]line{{"", "none"}, {"", "none"}}
		copy(row[:1], ours[min(i, len(ours)):])
		copy(row[1:], theirs[min(i, len(theirs)):])
		fmt.Fprintf(w, format, row[0].what, row[0].addr, row[1].addr, row[1].what)
		same = same && row[0].addr == row[1].addr
	}
	if !same {
		return errors.New("there are connections that only one of the servers knows")
	}
	fmt.Fprintf(w, "   All %d are the same: nobody but the SSH server has reached the FTP server.\n", len(ours))
	return nil
}

// showRewriting prints what the mux rewrites.
func showRewriting(w io.Writer) slog.Handler {
	return logFunc(func(r slog.Record) {
		switch {
		case r.Message == "rewrote" && logged(r, "reply") != "":
			fmt.Fprintf(w, "   the server says     %s\n   the client is told  %s\n", logged(r, "in place of"), logged(r, "reply"))
		case r.Message == "rewrote":
			fmt.Fprintf(w, "   the client says     %s\n   the server is told  %s\n", logged(r, "command"), logged(r, "to"))
		case r.Level >= slog.LevelWarn:
			fmt.Fprintf(w, "   warning: %s %s%s\n", r.Message, logged(r, "error"), logged(r, "reason"))
		}
	})
}
