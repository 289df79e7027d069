//go:build linux

package test

import "slices"

// inetutils does it all in one session of GNU inetutils' ftp.
func inetutils(c *cell) string {
	script := slices.Concat([]string{
		"user " + c.user + " " + c.password,
		"cd " + c.path,
		"ls tree list.txt",
		"binary",
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
	args := []string{"-n", "-i", "-v", c.host, c.port}
	if !c.active {
		args = append([]string{"-p"}, args...)
	}
	output := c.script(c.command("inetutils-ftp", args...), script...)
	c.listing = c.shown("list.txt")
	return output
}
