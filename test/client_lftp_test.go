//go:build linux

package test

import "path/filepath"

// lftp does it all in one session, and mirrors.
func lftp(c *cell) string {
	script := []string{
		"set cmd:fail-exit yes",
		"set net:max-retries 1",
		"set xfer:clobber yes",
		"set ftp:passive-mode " + c.mode("yes", "no"),
		"open -p " + c.port + " -u " + c.user + "," + c.password + " " + c.host,
		"cd " + c.path,
		"ls tree > list.txt",
		"get down.bin",
		"get -c again.bin",
		"get -a text.txt",
		"put up.bin",
		"put -c part.bin",
		"put -a uptext.txt",
		"mv old.bin new.bin",
		"mkdir made.d",
		"rm doomed.bin",
		"rmdir doomed.d",
		"mirror tree tree",
		"mirror -R copy copy",
	}
	for _, name := range odd {
		script = append(script,
			"get "+quoted("odd/"+name)+" -o "+quoted("odd/"+name),
			"put "+quoted("oddup/"+name)+" -o "+quoted("oddup/"+name))
	}
	var text []byte
	for _, line := range script {
		text = append(text, line+"\n"...)
	}
	c.hold("script", text)
	output := c.must(c.command("lftp", "--norc", "-d", "-f", filepath.Join(c.local, "script")))
	c.listing = c.shown("list.txt")
	return output
}
