//go:build linux

package test

import "slices"

// ncftp uses ncftpls, ncftpget and ncftpput for what they do, and a session of
// ncftp for the rest.
func ncftp(c *cell) string {
	login := []string{"-u", c.user, "-p", c.password, "-P", c.port}
	tool := func(name string, args ...string) string {
		return c.must(c.command(name, slices.Concat(login, []string{c.mode("-F", "-E")}, args)...))
	}
	path := func(name string) string { return c.path + "/" + name }

	listing := tool("ncftpls", "-l", "ftp://"+c.host+c.path+"/tree/")
	output := listing +
		tool("ncftpget", "-V", c.host, ".", path("down.bin")) +
		tool("ncftpget", "-V", "-z", c.host, ".", path("again.bin")) +
		tool("ncftpget", "-V", "-a", c.host, ".", path("text.txt")) +
		tool("ncftpget", "-V", "-R", "-T", c.host, ".", path("tree")) +
		tool("ncftpput", "-V", c.host, c.path, "up.bin") +
		// with sendfile (no -s) it appends the whole file to what is there
		tool("ncftpput", "-V", "-z", "-s", c.host, c.path, "part.bin") +
		tool("ncftpput", "-V", "-A", "-C", c.host, "tail.bin", path("grow.bin")) +
		tool("ncftpput", "-V", "-a", c.host, c.path, "uptext.txt") +
		tool("ncftpput", "-V", "-R", c.host, c.path, "copy")
	script := []string{
		"set passive " + c.mode("on", "off"),
		"cd " + c.path,
		"rename old.bin new.bin",
		"mkdir made.d",
		"rm doomed.bin",
		"rmdir doomed.d",
	}
	for _, name := range odd {
		down, up := escaped("odd/"+name), escaped("oddup/"+name)
		script = append(script, "get -z "+down+" "+down, "put -z "+up+" "+up)
	}
	output += c.script(c.command("ncftp", slices.Concat(login, []string{c.host})...), script...)
	c.listing = listing
	return output
}
