package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/pasvport/pasvport/sshconf"
)

// resolver makes options of ssh's flags.
func (o *options) resolver() *sshconf.Resolver {
	r := &sshconf.Resolver{File: o.SSHConfig, Stderr: os.Stderr}
	set := func(keyword, value string) {
		if value != "" {
			r.Options = append(r.Options, keyword+"="+value)
		}
	}
	set("Port", o.Port)
	if o.Login != "" {
		set("User", quote(o.Login))
	}
	set("ProxyJump", o.Jump)
	for _, file := range o.Identity {
		set("IdentityFile", quote(file))
	}
	switch {
	case o.IPv4:
		set("AddressFamily", "inet")
	case o.IPv6:
		set("AddressFamily", "inet6")
	}
	r.Options = append(r.Options, o.Option...)
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
	set("-F", o.SSHConfig)
	set("-p", o.Port)
	set("-l", o.Login)
	set("-J", o.Jump)
	set("-i", o.Identity...)
	switch {
	case o.IPv4:
		args = append(args, "-4")
	case o.IPv6:
		args = append(args, "-6")
	}
	set("-o", o.Option...)
	if o.Verbose > 0 {
		args = append(args, "-"+strings.Repeat("v", min(o.Verbose, maxVerbosity)))
	}
	return append(args, "--", destination)
}

// maxVerbosity is the most that ssh has.
const maxVerbosity = 3

// resolve reads the configuration for destination.
func resolve(resolver *sshconf.Resolver, destination string) (*sshconf.Host, error) {
	host, err := resolver.Resolve(destination)
	if is[*sshconf.RefusedError](err) {
		return nil, usagef(err.Error(), "RefuseConnection is there on purpose; ask whoever wrote it")
	} else if err != nil {
		return nil, usagef(err.Error(), sameFiles(resolver, destination, err)...)
	}
	return host, nil
}

// sameFiles tells how to ask ssh about an error in the configuration. What is
// wrong in the command line needs no second opinion.
func sameFiles(resolver *sshconf.Resolver, destination string, err error) []string {
	if e, ok := errors.AsType[*sshconf.SyntaxError](err); ok && e.Line == 0 {
		return nil
	}
	file := ""
	if resolver.File != "" {
		file = fmt.Sprintf("-F %q ", resolver.File)
	}
	return []string{fmt.Sprintf("`ssh %s-G %s` reads the same files", file, destination)}
}
