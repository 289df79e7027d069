package main

import (
	"bufio"
	"fmt"
	"os"
	"strings"

	"github.com/pasvport/pasvport/sshconf"
	"github.com/pasvport/pasvport/tunnel"
)

// dump is what -G prints of h, a line each.
func dump(h *sshconf.Host) []string {
	if d, ok := any(h).(interface {
		Dump(map[string][]string) []string
	}); ok {
		return d.Dump(tunnel.Algorithms(h))
	}
	lines := []string{
		"host " + h.Alias,
		"user " + h.User,
		"hostname " + h.HostName,
		fmt.Sprint("port ", h.Port),
	}
	if len(h.ProxyJump) > 0 {
		lines = append(lines, "proxyjump "+strings.Join(h.ProxyJump, ","))
	}
	return lines
}

// hostNames are the hosts that the configuration names.
func hostNames(r *sshconf.Resolver) ([]string, error) {
	if l, ok := any(r).(interface{ Hosts() ([]string, error) }); ok {
		return l.Hosts()
	}
	if strings.EqualFold(r.File, "none") {
		return nil, nil
	}
	f, err := os.Open(r.File)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var names []string
	for lines := bufio.NewScanner(f); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) > 1 && strings.EqualFold(fields[0], "host") {
			for _, name := range fields[1:] {
				if !strings.ContainsAny(name, "*?!") {
					names = append(names, name)
				}
			}
		}
	}
	return names, nil
}
