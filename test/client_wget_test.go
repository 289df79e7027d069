//go:build linux

package test

// wget downloads, in a run for each of its ways to do so.
func wget(c *cell) string {
	run := func(args ...string) string {
		common := []string{"--no-config", "-nv", "--tries=1", "--user=" + c.user, "--password=" + c.password}
		if c.active {
			common = append(common, "--no-passive-ftp")
		}
		return c.must(c.command("wget", append(common, args...)...))
	}
	output := run("--no-remove-listing", "-O", "list.html", c.url("tree/")) +
		run(c.url("down.bin")) +
		run("-c", c.url("again.bin")) +
		run("-O", "text.txt", c.url("text.txt")+";type=a") +
		run("-r", "-nH", "--cut-dirs=1", c.url("tree/"))
	for _, name := range odd { // it would decode "%41" in the local name, too
		output += run("-O", "odd/"+name, c.url("odd/"+name))
	}
	c.listing = c.shown(".listing")
	return output
}
