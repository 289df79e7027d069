//go:build linux

package test

import "path/filepath"

// ftplib does it all in one session of Python's ftplib.
func ftplib(c *cell) string {
	script, err := filepath.Abs("testdata/client.py")
	if err != nil {
		c.Fatal(err)
	}
	output := c.must(c.command("python3", script, c.host, c.port, c.user, c.password, c.mode("passive", "active"), c.path))
	c.listing = c.shown("list.txt")
	return output
}
