package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"net"
	"strings"
	"syscall"
	"testing"

	"github.com/pasvport/pasvport/sshconf"
	"github.com/pasvport/pasvport/tunnel"
)

// throughBastion is a report on the way to prod, as far as bastion.
func throughBastion(out *bytes.Buffer) *report {
	r := &report{Host: "prod", Server: "127.0.0.1:21", way: []*sshconf.Host{
		{Alias: "bastion", HostName: "bastion.example.com"},
		{Alias: "prod", HostName: "10.0.0.5"},
	}}
	if out != nil {
		r.out = out
	}
	for _, s := range []tunnel.Stage{
		{Host: "bastion", Name: "dns", Detail: "192.0.2.1"},
		{Host: "bastion", Name: "tcp", Detail: "192.0.2.1:22"},
		{Host: "bastion", Name: "tcp", Detail: "at another attempt"},
		{Host: "bastion", Name: "hostkey", Detail: "known\x1b[31m"},
		{Host: "bastion", Name: "auth"},
		{Host: "prod", Name: "tcp", Detail: "through bastion"},
	} {
		r.stage(s)
	}
	return r
}

func TestReportForPeople(t *testing.T) {
	var out bytes.Buffer
	r := throughBastion(&out)
	r.failSSH(&tunnel.HostKeyError{Host: "prod", Addr: "10.0.0.5", KeyType: "ssh-ed25519", Fingerprint: "SHA256:x", Err: errors.New("no")})
	r.stage(tunnel.Stage{Host: "prod", Name: "auth", Detail: "too late"})
	want := `ok    bastion: DNS             192.0.2.1
ok    bastion: TCP             192.0.2.1:22
ok    bastion: host key        known?[31m
ok    bastion: authentication
ok    prod: TCP                through bastion
FAIL  prod: host key           host key of 10.0.0.5 (ssh-ed25519 SHA256:x) is refused: no
      hint: ask the server's owner for the fingerprint
-     prod: authentication     not reached
-     forwarding               not reached
-     FTP banner               not reached
-     FTP login                not reached
-     passive FTP              not reached
-     active FTP               not reached
`
	if got := out.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// TestReportForPrograms is the promise of check --help.
func TestReportForPrograms(t *testing.T) {
	r := throughBastion(nil)
	r.stage(tunnel.Stage{Host: "prod", Name: "hostkey", Detail: "known"})
	r.stage(tunnel.Stage{Host: "prod", Name: "auth", Detail: "publickey"})
	r.connected()
	r.ok("", "forwarding", "allowed")
	r.fail("", "banner", &listenError{syscall.EACCES})
	r.skip("", "login", "passive", "active")
	var out bytes.Buffer
	if err := printJSON(&out, r); err != nil {
		t.Fatal(err)
	}
	var got struct {
		Host      string `json:"host"`
		FTPServer string `json:"ftp_server"`
		OK        *bool  `json:"ok"`
		Steps     []struct {
			Name, Host, Status, Detail, Error string
			Hints                             []string
		} `json:"steps"`
	}
	d := json.NewDecoder(&out)
	d.DisallowUnknownFields()
	if err := d.Decode(&got); err != nil {
		t.Fatal(err)
	}
	if got.Host != "prod" || got.FTPServer != "127.0.0.1:21" || got.OK == nil || *got.OK {
		t.Errorf("got %+v", got)
	}
	var lines []string
	for _, s := range got.Steps {
		line := strings.Join([]string{s.Host, s.Name, s.Status, s.Detail, s.Error}, ",")
		lines = append(lines, line+","+strings.Join(s.Hints, ";"))
	}
	want := `bastion,dns,ok,192.0.2.1,,
bastion,tcp,ok,192.0.2.1:22,,
bastion,hostkey,ok,known?[31m,,
bastion,auth,ok,,,
prod,tcp,ok,through bastion,,
prod,hostkey,ok,known,,
prod,auth,ok,publickey,,
,forwarding,ok,allowed,,
,banner,failed,,permission denied,ports below 1024 are for root; -L 2121 takes another one
,login,skipped,,,
,passive,skipped,,,
,active,skipped,,,`
	if got := strings.Join(lines, "\n"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// TestFailedStep finds the step that an error of Connect is told at.
func TestFailedStep(t *testing.T) {
	dns := &tunnel.ConnectError{Host: "prod", Err: &net.DNSError{}}
	refused := &tunnel.ConnectError{Host: "prod", Err: syscall.ECONNREFUSED}
	ended := &tunnel.ConnectError{Host: "prod", Err: errors.New("the server closed the connection")}
	for _, test := range []struct {
		name   string
		host   sshconf.Host
		via    bool
		passed string
		err    error
		failed string
		skips  string // of SSH
	}{
		{name: "DNS", err: dns, failed: "dns", skips: "tcp hostkey auth"},
		{name: "TCP", passed: "dns", err: refused, failed: "tcp", skips: "hostkey auth"},
		{name: "TCP before any stage", err: refused, failed: "tcp", skips: "hostkey auth"},
		{name: "no SSH", passed: "dns tcp", err: ended, failed: "hostkey", skips: "auth"},
		{name: "reset", passed: "dns tcp", err: &tunnel.ConnectError{Host: "prod", Err: syscall.ECONNRESET}, failed: "hostkey", skips: "auth"},
		{name: "host key", passed: "dns tcp", err: &tunnel.HostKeyError{Host: "prod"}, failed: "hostkey", skips: "auth"},
		{name: "login", passed: "dns tcp hostkey", err: &tunnel.AuthError{Host: "prod", Err: errors.New("no")}, failed: "auth"},
		{name: "lost at the end", passed: "dns tcp hostkey auth", err: errors.New("lost"), failed: "auth"},
		{name: "address", host: sshconf.Host{HostName: "::1"}, err: ended, failed: "tcp", skips: "hostkey auth"},
		{name: "ProxyCommand", host: sshconf.Host{ProxyCommand: "nc"}, err: &tunnel.ConnectError{Host: "prod", Err: &tunnel.ProxyCommandError{}}, failed: "proxy", skips: "hostkey auth"},
		{name: "no SSH behind ProxyCommand", host: sshconf.Host{ProxyCommand: "nc"}, passed: "proxy", err: ended, failed: "hostkey", skips: "auth"},
		{name: "ProxyCommand that does not get through", host: sshconf.Host{ProxyCommand: "nc"}, passed: "proxy", err: &tunnel.ConnectError{Host: "prod", Err: &tunnel.ProxyCommandError{}}, failed: "proxy", skips: "hostkey auth"},
		{name: "ProxyCommand ended later", host: sshconf.Host{ProxyCommand: "nc"}, passed: "proxy hostkey", err: &tunnel.ConnectError{Host: "prod", Err: &tunnel.ProxyCommandError{}}, failed: "auth"},
		{name: "the system's ssh", via: true, passed: "proxy", err: errors.New("exit status 255"), failed: "master"},
		{name: "no ssh", via: true, err: syscall.ENOENT, failed: "master"},
	} {
		t.Run(strings.ReplaceAll(test.name, " ", "-"), func(t *testing.T) {
			test.host.Alias = "prod"
			if test.host.HostName == "" {
				test.host.HostName = "prod.example.com"
			}
			r := &report{Host: "prod", via: test.via, way: []*sshconf.Host{&test.host}}
			for name := range strings.FieldsSeq(test.passed) {
				r.stage(tunnel.Stage{Host: "prod", Name: name})
			}
			r.failSSH(&sshError{err: test.err})
			var got, skips string
			proxies := 0
			for _, s := range r.Steps {
				if s.Name == "proxy" {
					proxies++
				}
				switch {
				case s.Status == failed:
					got += s.Name
				case s.Status == skipped && s.Host != "":
					skips += " " + s.Name
				}
			}
			if proxies > 1 {
				t.Errorf("the proxy is told %d times", proxies)
			}
			if skips = strings.TrimSpace(skips); got != test.failed || skips != test.skips {
				t.Errorf("failed %q, skipped %q; want %q, %q", got, skips, test.failed, test.skips)
			}
		})
	}
}
