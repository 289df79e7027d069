//go:build linux

package test

import (
	"path/filepath"
	"strings"
)

// curl does it all in one run, with a configuration of one section per transfer.
func curl(c *cell) string {
	var config strings.Builder
	section := func(lines ...string) {
		if config.Len() > 0 {
			config.WriteString("next\n")
		}
		for _, line := range append(lines,
			"user = "+quoted(c.user+":"+c.password),
			c.mode("ftp-pasv", `ftp-port = "-"`),
		) {
			config.WriteString(line + "\n")
		}
	}
	get := func(remote, local string, more ...string) {
		section(append(more, "url = "+quoted(remote), "output = "+quoted(local))...)
	}
	put := func(local, remote string, more ...string) {
		section(append(more, "url = "+quoted(remote), "upload-file = "+quoted(local))...)
	}
	commands := func(lines ...string) {
		quotes := repeat(lines, `quote = "%s"`)
		get(c.url("tree/"), "/dev/null", quotes...)
	}

	get(c.url("tree/"), "list.txt")
	get(c.url("down.bin"), "down.bin")
	get(c.url("again.bin"), "again.bin", `continue-at = "-"`)
	get(c.url("text.txt"), "text.txt", "use-ascii")
	put("up.bin", c.url("up.bin"))
	put("part.bin", c.url("part.bin"), `continue-at = "-"`)
	put("tail.bin", c.url("grow.bin"), "append")
	put("uptext.txt", c.url("uptext.txt"), "use-ascii")
	commands(
		"RNFR "+c.path+"/old.bin", "RNTO "+c.path+"/new.bin",
		"MKD "+c.path+"/made.d",
		"DELE "+c.path+"/doomed.bin",
		"RMD "+c.path+"/doomed.d",
	)
	get(c.url("tree/")+"file-[000-099].bin", "tree/file-#1.bin", "create-dirs")
	put("copy/{"+strings.Join(copyNames(), ",")+"}", c.url("copy/"))
	for _, name := range odd {
		get(c.url("odd/"+name), "odd/"+name, "globoff")
		put("oddup/"+name, c.url("oddup/"+name), "globoff")
	}

	c.hold("curlrc", []byte(config.String()))
	output := c.must(c.command("curl", "-sS", "-v", "-q", "-K", filepath.Join(c.local, "curlrc")))
	c.listing = c.shown("list.txt")
	return output
}
