package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/pasvport/pasvport/cmd/pasvport/internal/prompt"
	"github.com/pasvport/pasvport/ftpmux"
	"github.com/pasvport/pasvport/tunnel"
)

// TestErrors looks what each kind of error ends with, and what is advised.
func TestErrors(t *testing.T) {
	refused := &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
	for _, test := range []struct {
		name string
		err  error
		code int
		hint string // in one of the hints; "" for none at all
	}{
		{"usage", usagef("what", "do this"), 2, "do this"},
		{"usage without a hint", usagef("what"), 2, "--help"},

		{"no such host", &tunnel.ConnectError{Host: "prod", Err: &net.DNSError{IsNotFound: true}}, 255, "`pasvport -G prod`"},
		{"name server down", &tunnel.ConnectError{Host: "prod", Err: &net.DNSError{IsTimeout: true}}, 255, "`ssh prod`"},
		{"refused", &tunnel.ConnectError{Host: "prod", Err: refused}, 255, "-p PORT"},
		{"no SSH server", &tunnel.ConnectError{Host: "prod", Err: errors.New("overflow")}, 255, "`ssh prod`"},
		{"closed at once", &tunnel.ConnectError{Host: "prod", Err: &tunnel.GreetingError{Err: io.ErrUnexpectedEOF}}, 255, "MaxStartups"},
		{"turned away", &tunnel.ConnectError{Host: "prod", Err: &tunnel.GreetingError{Said: "Not allowed at this time", Settings: "PerSourcePenalties"}}, 255, "PerSourcePenalties"},
		{"FTP in place of SSH", &tunnel.ConnectError{Host: "prod", Err: &tunnel.GreetingError{Protocol: "FTP"}}, 255, "-p PORT"},
		{"ssh is missing", &sshError{err: &tunnel.ViaSSHError{Host: "prod", Err: exec.ErrNotFound}}, 255, "install"},
		{"ssh failed", &sshError{err: &tunnel.ViaSSHError{Host: "prod", Code: 255, Err: errors.New("exit")}}, 255, "`ssh -v prod`"},
		{"password expired", &tunnel.AuthError{User: "anna", Host: "prod", Err: tunnel.ErrPasswordExpired}, 255, "change it"},
		{"KnownHostsCommand", &tunnel.HostKeyError{Host: "prod", File: "KnownHostsCommand-HOSTNAME", Line: 1}, 255, "KnownHostsCommand"},
		{"master does not tell", &tunnel.OpenError{Addr: "10.0.0.5:21"}, 1, "PermitOpen"},
		{"too slow", &tunnel.ConnectError{Host: "prod", Err: os.ErrDeadlineExceeded}, 255, "firewall"},
		{"no route", &tunnel.ConnectError{Host: "prod", Err: syscall.EHOSTUNREACH}, 255, "firewall"},
		{"no common algorithm", &tunnel.ConnectError{Host: "prod", Err: &tunnel.AlgorithmError{Keyword: "KexAlgorithms"}}, 255, "KexAlgorithms"},
		{"hop prohibits", &tunnel.ConnectError{Host: "prod", Err: &tunnel.OpenError{Reason: ssh.Prohibited}}, 255, "on the jump host, see AllowTcpForwarding"},
		{"hop cannot connect", &tunnel.ConnectError{Host: "prod", Err: &tunnel.OpenError{Addr: "prod:22", Reason: ssh.ConnectionFailed}}, 255, "as seen from there"},
		{"login", &tunnel.AuthError{User: "anna", Host: "prod", Err: io.ErrUnexpectedEOF}, 255, "`ssh anna@prod`"},
		{"unknown key", &tunnel.HostKeyError{Host: "prod", Addr: "prod"}, 255, "`ssh prod` once"},
		{"changed key", &tunnel.HostKeyError{Host: "prod", Addr: "[prod]:2222", File: "/k", Line: 3}, 255, `ssh-keygen -R "[prod]:2222" -f "/k"`},
		{"key not trusted", &tunnel.HostKeyError{Host: "prod", Err: errors.New("no")}, 255, "owner"},
		{"key nobody was asked about", &tunnel.HostKeyError{Host: "prod", Err: prompt.ErrNobody}, 255, "`ssh prod` once"},
		{"revoked key", &tunnel.HostKeyError{Host: "prod", File: "/k", Line: 3, Revoked: true}, 255, "must not be trusted"},
		{"ProxyCommand", &tunnel.ProxyCommandError{}, 255, "-J HOST"},
		{"SSH, by itself", &sshError{err: errors.New("what")}, 255, "--via-ssh"},
		{"SSH, with a reason", &sshError{err: errors.New("what"), before: []string{"this"}}, 255, "this"},
		{"SSH, of a kind", &sshError{err: &tunnel.ProxyCommandError{}}, 255, "-J HOST"},
		{"lost", &tunnel.LostError{Host: "prod", Err: io.ErrClosedPipe}, 255, ""},
		{"lost by the agent", &sshError{err: &tunnel.LostError{Host: "prod", Err: io.ErrClosedPipe}}, 255, ""},
		{"interrupted", context.Canceled, 255, ""},
		{"interrupted at a question", unlessStopped(context.Background(),
			&tunnel.AuthError{User: "anna", Host: "prod", Err: context.Canceled}, beforeTunnel), 255, ""},

		{"prohibited", &tunnel.OpenError{Addr: "10.0.0.5:21", Reason: ssh.Prohibited}, 1, "AllowTcpForwarding"},
		{"data port prohibited", &dataError{errors.New("425"), &tunnel.OpenError{Addr: "10.0.0.5:30000", Reason: ssh.Prohibited}}, 1, "`10.0.0.5:*`"},
		{"data port closed", &dataError{errors.New("425"), &tunnel.OpenError{Addr: "10.0.0.5:30000", Reason: ssh.ConnectionFailed}}, 1, "10.0.0.5:30000"},
		{"lost on the way", &dataError{errors.New("425"), &tunnel.LostError{Host: "prod", Err: io.ErrClosedPipe}}, 255, ""},
		{"no listening", &tunnel.ForwardError{}, 1, "PermitListen"},
		{"FTP login", &loginError{"anna", errors.New("530")}, 1, "--ftp-user"},
		{"FTP login without TLS", &loginError{"anna", errors.New("530 Non-anonymous sessions must use encryption.")}, 1, "--tls upstream"},
		{"no TLS", &ftpmux.TLSError{Addr: "10.0.0.5:21", Reply: "502 no"}, 1, "leave out --tls upstream"},
		{"certificate for others", &ftpmux.TLSError{Err: &tls.CertificateVerificationError{Err: x509.HostnameError{
			Certificate: &x509.Certificate{DNSNames: []string{"ftp.example.com"}, IPAddresses: []net.IP{net.IPv4(10, 0, 0, 5)}},
		}}}, 1, "for ftp.example.com, 10.0.0.5; --tls-server-name NAME"},
		{"certificate without names", &ftpmux.TLSError{Err: &tls.CertificateVerificationError{Err: x509.HostnameError{Certificate: &x509.Certificate{}}}}, 1, "subjectAltName"},
		{"certificate of nobody's", &ftpmux.TLSError{Err: &tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}}}, 1, "--tls-ca FILE"},
		{"certificate of old", &ftpmux.TLSError{Err: &tls.CertificateVerificationError{Err: x509.CertificateInvalidError{Reason: x509.Expired}}}, 1, "--tls-insecure"},
		{"TLS of old", &ftpmux.TLSError{Err: errors.New("tls: unsupported")}, 1, "TLS 1.2"},
		{"told already", &reportedError{&loginError{"anna", errors.New("530")}}, 1, "--ftp-user"},
		{"nothing listens", &tunnel.OpenError{Addr: "10.0.0.5:21", Reason: ssh.ConnectionFailed}, 1, "10.0.0.5:21"},
		{"not FTP", &ftpmux.NotFTPError{Addr: "10.0.0.5:22", Got: "SSH-2.0-x"}, 1, "10.0.0.5:22"},
		{"port taken", &listenError{os.NewSyscallError("bind", syscall.EADDRINUSE)}, 1, "-L 0"},
		{"port below 1024", &listenError{os.NewSyscallError("bind", syscall.EACCES)}, 1, "-L 2121"},
		{"not a port's error", os.NewSyscallError("open", syscall.EACCES), 1, ""},
		{"no such command", &notFoundError{&exec.Error{Name: "lftpp", Err: exec.ErrNotFound}}, 127, "PATH"},
		{"any other", errors.New("what"), 1, ""},

		{"command failed", &childError{7}, 7, ""},
		{"command succeeded", &childError{0}, 0, ""},
	} {
		t.Run(strings.ReplaceAll(test.name, " ", "-"), func(t *testing.T) {
			for _, err := range []error{test.err, fmt.Errorf("while testing: %w", test.err)} {
				if got := exitCode(err); got != test.code {
					t.Errorf("%v: exit code %d, want %d", err, got, test.code)
				}
				hints := strings.Join(hints(err), "\n")
				if (hints == "") != (test.hint == "") || !strings.Contains(hints, test.hint) {
					t.Errorf("%v: the hints are %q, want %q among them", err, hints, test.hint)
				}
			}
		})
	}
}

// TestUnlessStopped: what the user asked for is told without what it broke.
func TestUnlessStopped(t *testing.T) {
	other := errors.New("what")
	stopped, stop := context.WithCancel(context.Background())
	stop()
	for _, test := range []struct {
		ctx  context.Context
		err  error
		want string
	}{
		{context.Background(), other, "what"},
		{stopped, other, "stopped"},
		{context.Background(), &tunnel.AuthError{Host: "prod", Err: context.Canceled}, "stopped"},
	} {
		if err := unlessStopped(test.ctx, test.err, "stopped"); err.Error() != test.want {
			t.Errorf("%v: got %v, want %s", test.err, err, test.want)
		}
	}
	if err := unlessStopped(stopped, nil, "stopped"); err != nil {
		t.Errorf("nothing went wrong: got %v", err)
	}
}
