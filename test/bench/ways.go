//go:build linux

package main

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
)

// A way is how a client's data gets from one host to the other.
type way struct {
	name   string
	tunnel func(l *lab, port, ftpPort int) []string // what listens at port of the near host, or nil
	socks  bool                                     // it is a proxy, by which the client reaches 127.0.0.1 of the far host
}

var (
	plainFTP        = way{name: "FTP"}
	throughPasvport = way{name: "pasvport", tunnel: func(l *lab, port, ftpPort int) []string {
		return []string{l.path("pasvport"), "-F", l.path("ssh_config"), "-L", fmt.Sprintf("%d:127.0.0.1:%d", port, ftpPort), "far"}
	}}
	throughSSH = way{name: "ssh -D", socks: true, tunnel: func(l *lab, port, _ int) []string {
		return l.ssh("-D", strconv.Itoa(port), "far", untilGone)
	}}
	throughSSHGCM = way{name: "ssh -D -c aes128-gcm", socks: true, tunnel: func(l *lab, port, _ int) []string {
		return l.ssh("-c", "aes128-gcm@openssh.com", "-D", strconv.Itoa(port), "far", untilGone)
	}}
	throughSSHN = way{name: "ssh -N -D", socks: true, tunnel: func(l *lab, port, _ int) []string {
		return l.ssh("-N", "-D", strconv.Itoa(port), "far")
	}}
	sftp       = way{name: "sftp"}
	lftpSFTP   = way{name: "lftp sftp://"}
	rcloneSFTP = way{name: "rclone sftp"}
)

// untilGone is a command on the far host that ends with its SSH session: sshd would leave
// one that does not care about its input behind.
const untilGone = "exec tail -f /dev/null --pid=$PPID"

// withConnections is throughPasvport with that many SSH connections at most.
func withConnections(n int) way {
	w := throughPasvport
	w.name = fmt.Sprintf("pasvport, connections = %d", n)
	w.tunnel = func(l *lab, port, ftpPort int) []string {
		args := throughPasvport.tunnel(l, port, ftpPort)
		return append([]string{args[0], "--connections", strconv.Itoa(n)}, args[1:]...)
	}
	return w
}

func (l *lab) ssh(args ...string) []string {
	return append([]string{"ssh", "-F", l.path("ssh_config")}, args...)
}

// A route is what a client needs to know to go by a way to an FTP server.
type route struct {
	lab     *lab
	way     way
	tunnel  *service // or nil
	addr    string   // of the FTP server, as the client names it
	proxy   string   // address of the SOCKS proxy, or ""
	ftpd    ftpd
	scratch string // a folder of its own
}

// open opens the tunnel of a way, if it has one.
func (l *lab) open(ctx context.Context, w way, ftpdName string) (*route, error) {
	d := l.ftpds[ftpdName]
	r := &route{lab: l, way: w, ftpd: d, scratch: l.path(fmt.Sprintf("scratch%d", l.number()))}
	r.addr = net.JoinHostPort(l.far.addr.String(), strconv.Itoa(d.port))
	if w.tunnel == nil {
		return r, nil
	}
	port := l.port()
	local := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	if w.socks {
		r.addr, r.proxy = net.JoinHostPort("127.0.0.1", strconv.Itoa(d.port)), local
	} else {
		r.addr = local
	}
	args := w.tunnel(l, port, d.port)
	var err error
	r.tunnel, err = l.near.start(ctx, r.scratch+".log", []int{port}, args...)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", strings.Join(args, " "), err)
	}
	return r, nil
}

func (r *route) close() {
	if r.tunnel != nil {
		r.tunnel.stop()
	}
}
