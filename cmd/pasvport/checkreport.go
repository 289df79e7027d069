package main

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/pasvport/pasvport/sshconf"
	"github.com/pasvport/pasvport/tunnel"
)

// A report is what check finds, and its form for programs. People see each
// step as it is done.
type report struct {
	Host   string `json:"host"`
	Server string `json:"ftp_server"`
	OK     bool   `json:"ok"`
	Steps  []step `json:"steps"`

	out io.Writer       // for people; nil for nobody
	way []*sshconf.Host // the SSH servers, the destination last
	via bool            // the system's ssh makes the way
	err error           // of the step that failed

	mu    sync.Mutex // stages come from elsewhere
	ended bool       // the way through SSH is told
	proxy *step      // of a ProxyCommand that was started: what follows tells whether it gets through
}

type step struct {
	Name   string   `json:"name"`
	Host   string   `json:"host,omitempty"`
	Status status   `json:"status"`
	Detail string   `json:"detail,omitempty"`
	Error  string   `json:"error,omitempty"`
	Hints  []string `json:"hints,omitempty"`
}

type status string

const (
	passed  status = "ok"
	failed  status = "failed"
	skipped status = "skipped"
)

// What people see.
var (
	marks = map[status]string{passed: "ok", failed: "FAIL", skipped: "-"}
	words = map[string]string{
		"dns":        "DNS",
		"tcp":        "TCP",
		"proxy":      "proxy",
		"master":     "master",
		"hostkey":    "host key",
		"auth":       "authentication",
		"forwarding": "forwarding",
		"banner":     "FTP banner",
		"login":      "FTP login",
		"passive":    "passive FTP",
		"active":     "active FTP",
	}
)

// stage is the tunnel.Options.Trace: a step to an SSH server that was passed. A
// step that is passed again, at another attempt, is told once.
func (r *report) stage(s tunnel.Stage) {
	if r.passed(s.Host, s.Name) {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	told := step{Name: s.Name, Host: s.Host, Status: passed, Detail: oneLine(s.Detail)}
	switch {
	case r.ended:
	case s.Name == "proxy":
		r.proxy = &told
	default:
		r.addProxy()
		r.add(told)
	}
}

// tellProxy tells of a ProxyCommand that is not what went wrong.
func (r *report) tellProxy() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.addProxy()
}

// addProxy is called under mu.
func (r *report) addProxy() {
	if r.proxy != nil && !r.ended {
		r.add(*r.proxy)
	}
	r.proxy = nil
}

// connected ends the way through SSH.
func (r *report) connected() {
	r.tellProxy()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ended = true
}

func (r *report) passed(host, name string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.Steps {
		if s.Host == host && s.Name == name && s.Status == passed {
			return true
		}
	}
	return false
}

func (r *report) ok(host, name, detail string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.add(step{Name: name, Host: host, Status: passed, Detail: oneLine(detail)})
}

func (r *report) fail(host, name string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ended, r.err = true, err
	r.add(step{Name: name, Host: host, Status: failed, Error: err.Error(), Hints: hints(err)})
}

func (r *report) skip(host string, names ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, name := range names {
		r.add(step{Name: name, Host: host, Status: skipped})
	}
}

// add is called under mu.
func (r *report) add(s step) {
	r.Steps = append(r.Steps, s)
	if r.out == nil {
		return
	}
	text := s.Detail
	switch s.Status {
	case failed:
		text = s.Error
	case skipped:
		text = "not reached"
	}
	line := fmt.Sprintf("%-4s  %-*s  %s", marks[s.Status], r.width(), r.label(s.Host, s.Name), text)
	fmt.Fprintln(r.out, strings.TrimRight(line, " "))
	for _, hint := range s.Hints {
		fmt.Fprintf(r.out, "      hint: %s\n", hint)
	}
}

// label names a step; the server too, where there are several.
func (r *report) label(host, name string) string {
	word := words[name]
	if word == "" {
		word = name
	}
	if host == "" || len(r.way) < 2 && host == r.Host {
		return word
	}
	return host + ": " + word
}

// width is that of the longest label that may come; no word is longer than auth's.
func (r *report) width() int {
	width := utf8.RuneCountInString(words["auth"])
	for _, h := range r.way {
		width = max(width, utf8.RuneCountInString(r.label(h.Alias, "auth")))
	}
	return width
}
