//go:build linux

package test

import "slices"

// tnftp does it all in one session.
func tnftp(c *cell) string {
	script := slices.Concat([]string{
		"user " + c.user + " " + c.password,
		"cd " + c.path,
		"ls tree list.txt",
		"get down.bin",
		"reget again.bin",
		"ascii",
		"get text.txt",
		"put uptext.txt",
		"binary",
		"put up.bin",
		"restart 300000",
		"put part.bin",
		"append tail.bin grow.bin",
		"rename old.bin new.bin",
		"mkdir made.d",
		"delete doomed.bin",
		"rmdir doomed.d",
		"cd tree", "lcd tree",
	}, repeat(treeNames(), "get %s"), []string{ // pyftpdlib expands no "mget *"
		"cd ../copy", "lcd ../copy",
		"mput *",
		"cd ..", "lcd ..",
	}, oddTransfers(), []string{"quit"})
	output := c.script(c.command("tnftp", "-n", "-i", "-v", c.mode("-p", "-A"), c.host, c.port), script...)
	c.listing = c.shown("list.txt")
	return output
}

// oddTransfers are the commands of BSD's ftp, and its like, for files with odd names.
func oddTransfers() []string {
	var lines []string
	for _, name := range odd {
		down, up := escaped("odd/"+name), escaped("oddup/"+name)
		lines = append(lines, "get "+down+" "+down, "put "+up+" "+up)
	}
	return lines
}
