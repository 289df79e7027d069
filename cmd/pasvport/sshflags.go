package main

import (
	"os"
	"strings"

	"github.com/pasvport/pasvport/sshconf"
)

// resolver makes options of ssh's flags.
func (o *options) resolver() *sshconf.Resolver {
	r := &sshconf.Resolver{File: o.config, Stderr: os.Stderr}
	set := func(keyword, value string) {
		if value != "" {
			r.Options = append(r.Options, keyword+"="+value)
		}
	}
	set("Port", o.port)
	if o.login != "" {
		set("User", quote(o.login))
	}
	set("ProxyJump", o.jump)
	for _, file := range o.identity {
		set("IdentityFile", quote(file))
	}
	switch {
	case o.ipv4:
		set("AddressFamily", "inet")
	case o.ipv6:
		set("AddressFamily", "inet6")
	}
	r.Options = append(r.Options, o.options...)
	return r
}

// quote makes a flag's value one word of ssh_config(5).
func quote(value string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(value) + `"`
}

// sshArgs are the same flags for the system's ssh. "--" keeps a destination from
// being taken for one.
func (o *options) sshArgs(destination string) []string {
	var args []string
	set := func(flag string, values ...string) {
		for _, value := range values {
			if value != "" {
				args = append(args, flag, value)
			}
		}
	}
	set("-F", o.config)
	set("-p", o.port)
	set("-l", o.login)
	set("-J", o.jump)
	set("-i", o.identity...)
	switch {
	case o.ipv4:
		args = append(args, "-4")
	case o.ipv6:
		args = append(args, "-6")
	}
	set("-o", o.options...)
	if o.verbosity > 0 {
		args = append(args, "-"+strings.Repeat("v", min(o.verbosity, maxVerbosity)))
	}
	return append(args, "--", destination)
}

// maxVerbosity is the most that ssh has.
const maxVerbosity = 3
