//go:build linux

package test

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// Sizes of the files. What a client does not read fills the sockets on the way, of which
// each takes some 4 MiB, and SSH's window of 2 MiB.
const (
	half     = 1 << 20         // what has gone when the fault comes
	uploaded = half + 256<<10  // which pasvport can send to an sshd that has stopped
	unread   = 5<<20 + 512<<10 // too much for the client's socket, and not for all on the way
	large    = 64 << 20        // too much for all
)

// fileContent is the beginning of all files.
var fileContent = sync.OnceValue(func() []byte { return noise(unread) })

// A row is one transfer to which a fault happens.
type row struct {
	*testing.T
	*stage
	fault            *fault
	server           string
	download, active bool
	folder, file     string
	line             string // the transfer command
	content          []byte // of the file, or of its beginning
	size             int64
	client           *rawClient

	sight           sight
	saw, said, kept string   // in words
	wrong           []string // what was found so
}

func (r *row) Errorf(format string, args ...any) {
	r.Helper()
	r.wrong = append(r.wrong, fmt.Sprintf(format, args...))
	r.T.Errorf(format, args...)
}

func (r *row) direction() string {
	return map[bool]string{true: "download", false: "upload"}[r.download]
}
func (r *row) mode() string { return map[bool]string{true: "active", false: "passive"}[r.active] }

// path is that of the file on the server's disk.
func (r *row) path() string { return filepath.Join(r.ftpd.root, r.folder, r.file) }

// serve puts a file on the server's disk: its content and zeros up to size.
func (r *row) serve(size int64) {
	r.Helper()
	r.size = size
	if !r.download {
		return
	}
	serveFile(r.T, r.path(), r.content[:min(size, int64(len(r.content)))])
	if err := os.Truncate(r.path(), size); err != nil {
		r.Fatal(err)
	}
}

// begin begins the transfer of a file.
func (r *row) begin(size int64) {
	r.Helper()
	r.serve(size)
	r.client.begin(r.line)
}

// ask asks for a transfer that cannot begin.
func (r *row) ask() {
	r.Helper()
	r.serve(uploaded)
	if r.active {
		ln := r.client.listen()
		r.Cleanup(func() { ln.Close() })
		r.client.command(r.line)
		return
	}
	r.client.say("EPSV")
	if reply := r.client.want(229, 425); strings.HasPrefix(reply, "229") { // else sshd's refusal was here first
		r.client.connect(r.client.portIn(reply))
	}
	r.client.command(r.line)
}

// halfway begins the transfer and brings it into its middle.
func (r *row) halfway() {
	r.Helper()
	r.begin(map[bool]int64{true: large, false: uploaded}[r.download])
	if !r.download {
		r.client.send(r.content[:half])
		r.arrives()
		return
	}
	r.read(half)
}

// read reads a part of a download.
func (r *row) read(n int) {
	r.Helper()
	part := make([]byte, n)
	if _, err := io.ReadFull(r.client.data, part); err != nil || !bytes.Equal(part, r.content[:n]) {
		r.Fatalf("the beginning of the file does not come: %v", err)
	}
}

// arrives returns when the server has a good part of an upload on its disk.
func (r *row) arrives() {
	r.Helper()
	eventually(r.T, "a part of the file arrives", func() bool { return sizeOf(r.path()) >= half/2 })
}

// unread begins a download whose client reads nothing, and returns when the server
// has called it complete and pasvport knows that.
func (r *row) unread() {
	r.Helper()
	r.begin(unread)
	r.waitServerSays226()
}

func (r *row) waitServerSays226() {
	r.Helper()
	eventually(r.T, "the server says 226", func() bool {
		return strings.HasPrefix(r.conversation().answer(r.line), "226")
	})
	r.waitOwnLog("msg=S->m .*" + regexp.QuoteMeta(r.conversation().answer(r.line)))
}

// complete has the client do its part of the rest of the transfer.
func (r *row) complete() {
	r.Helper()
	if !r.download {
		r.client.send(r.content[:r.size])
		r.client.data.CloseWrite()
	}
}

// conversation is that of the row's session with the server.
func (r *row) conversation() *conversation { return r.tap.with("CWD " + r.folder) }

// waitLog waits for a line of pasvport's, of whatever it is about, that comes behind
// the beginning of the row's session.
func (r *row) waitLog(pattern string) {
	r.Helper()
	r.waitLogged(pattern, (*row).logged)
}

// waitOwnLog waits for a line about the row's session, and no other row's.
func (r *row) waitOwnLog(pattern string) {
	r.Helper()
	r.waitLogged(pattern, (*row).ownLog)
}

func (r *row) waitLogged(pattern string, log func(*row) string) {
	r.Helper()
	re := regexp.MustCompile(pattern)
	eventually(r.T, "pasvport logs "+pattern, func() bool { return re.MatchString(log(r)) })
}

// begun finds where pasvport's log tells that a session goes to the row's folder:
// the row's own, and the one that comes next.
func (r *row) begun() *regexp.Regexp {
	return regexp.MustCompile(`msg=C->m session=(\d+) line="CWD ` + r.folder + `"\n`)
}

// logged is what pasvport has logged since the row's session went to its folder.
func (r *row) logged() string {
	log := r.log.String()
	at := r.begun().FindStringIndex(log)
	if at == nil {
		return ""
	}
	return log[at[0]:]
}

// ownLog is what pasvport has logged about the row's session since then.
func (r *row) ownLog() string {
	log := r.logged()
	if log == "" {
		return ""
	}
	return aboutSessions(log, r.begun().FindStringSubmatch(log)[1])
}

// forReaders is what pasvport has logged, without the sessions of other rows.
func (r *row) forReaders() string {
	log := r.log.String()
	numbers := []string{""}
	for _, m := range r.begun().FindAllStringSubmatch(log, -1) {
		numbers = append(numbers, m[1])
	}
	if len(numbers) == 1 { // it did not come so far
		return log
	}
	return aboutSessions(log, numbers...)
}

var sessionOf = regexp.MustCompile(` session=(\d+)`)

// aboutSessions returns the lines about the sessions with these numbers; "" stands
// for those that are about none.
func aboutSessions(log string, numbers ...string) string {
	var about strings.Builder
	for line := range strings.Lines(log) {
		number := ""
		if m := sessionOf.FindStringSubmatch(line); m != nil {
			number = m[1]
		}
		if slices.Contains(numbers, number) {
			about.WriteString(line)
		}
	}
	return about.String()
}

func (r *row) do() {
	r.folder = r.direction() + "-" + r.mode()
	r.file = "odd-" + r.folder
	r.line = map[bool]string{true: "RETR ", false: "STOR "}[r.download] + r.file
	makeDir(r.T, r.ftpd.root, r.folder)
	r.content = fileContent()
	r.Cleanup(func() {
		if r.Failed() {
			r.Logf("pasvport logged:\n%s", tail(r.forReaders()))
		}
	})

	if r.fault.unseen {
		r.fault.run(r)
		r.saw = "nothing: it is dead"
	} else {
		r.client = startRawClient(r.T, r.addr, r.ftpd.user, r.ftpd.password, r.folder, r.active)
		r.fault.run(r)
		r.sight = r.client.see(cmp.Or(r.fault.finals, 1))
		r.saw = r.sight.String()
	}
	if r.fault.after != nil {
		r.fault.after(r)
	}
	r.lookAtServer()
	r.Logf("the client saw %s; the server said %s and kept %s", r.saw, r.said, r.kept)
	if r.fault.whole {
		r.judgeWhole()
	} else {
		r.judgeBroken()
	}
	r.next()
}

// lookAtServer finds out what the server made of the transfer, when it is done
// with the session.
func (r *row) lookAtServer() {
	r.Helper()
	c := r.conversation()
	eventually(r.T, "the server ends the session", c.over)
	switch answer := c.answer(r.line); {
	case c.after(r.line) == nil:
		r.said = "not asked"
	case answer == "":
		r.said = "no reply"
	default:
		r.said = answer[:3]
	}
	info, err := os.Stat(r.path())
	switch {
	case r.download:
		r.kept = "its file"
	case errors.Is(err, fs.ErrNotExist):
		r.kept = "nothing"
	case err != nil:
		r.Errorf("%v", err)
	case info.Size() == 0:
		r.kept = "an empty file"
	case info.Size() < uploaded:
		r.kept = "a part"
	default:
		r.kept = "the whole"
	}
	if r.fault.abor && !r.download && c.aborted != "open" && !r.heardLate(c) {
		r.Errorf("the server's data was %q when it heard ABOR, want open", c.aborted)
	}
}

// heardLate tells whether an ABOR took longer to the tap, on a machine that was
// busy or stood still, than pasvport keeps the data open behind it. They go out in
// their order all the same, but the tap was not there to see it.
func (r *row) heardLate(c *conversation) bool {
	r.Helper()
	if c.aborted == "" {
		return false
	}
	const abor = `time=(\S+) level=DEBUG msg=m->S session=\d+ line=ABOR\n`
	r.waitOwnLog(abor)
	sent, err := time.Parse(time.RFC3339Nano, regexp.MustCompile(abor).FindStringSubmatch(r.ownLog())[1])
	if err != nil {
		r.Fatal(err)
	}
	return c.abortedAt.Sub(sent) >= time.Second // its patience
}

// judgeBroken holds the law against what the client saw of a transfer that did not
// complete.
func (r *row) judgeBroken() {
	r.Helper()
	final := 0
	for _, code := range r.sight.replies {
		if code == 226 || code == 250 {
			if r.fault.finals < 2 || final == 0 { // else it is ABOR's
				r.Errorf("the client is told %d", code)
			}
		}
		if code >= 200 {
			final++
		}
	}
	if r.sight.final != 0 && r.sight.final < 400 {
		r.Errorf("the client is told %d of a transfer that broke", r.sight.final)
	}
	if r.download && r.sight.end == "end" {
		r.Errorf("the client is shown a clean end")
	}
	complete := regexp.MustCompile(`transfer complete.* line="` + r.line + `"`)
	if m := complete.FindString(r.ownLog()); m != "" {
		r.Errorf("pasvport logs %q", m)
	}
	if !r.download && r.kept == "the whole" {
		r.Errorf("the server has the whole: nothing broke")
	}
}

// judgeWhole holds what a transfer has brought against what it should have.
func (r *row) judgeWhole() {
	r.Helper()
	if r.sight.final != 226 || r.sight.end != "end" {
		r.Errorf("a whole transfer is shown as a broken one")
	}
	if r.download && !bytes.Equal(r.sight.data, r.content[:r.size]) {
		r.Errorf("the client has %d bytes, and not the %d of the file", len(r.sight.data), r.size)
	}
	if !r.download {
		checkFile(r.T, r.path(), r.content[:r.size])
	}
}

// next makes sure that the transfers that come next are whole.
func (r *row) next() {
	r.Helper()
	c := startRawClient(r.T, r.addr, r.ftpd.user, r.ftpd.password, r.folder, r.active || r.fault.nextActive)
	content := r.content[:100_000]
	serveFile(r.T, filepath.Join(r.ftpd.root, r.folder, "next.bin"), content)
	c.begin("RETR next.bin")
	data, err := io.ReadAll(c.data)
	if err != nil || !bytes.Equal(data, content) {
		r.Errorf("the next download has %d bytes, and ends with %v", len(data), err)
	}
	c.want(226)
	c.begin("STOR back.bin")
	c.send(content)
	c.data.Close()
	c.want(226)
	checkFile(r.T, filepath.Join(r.ftpd.root, r.folder, "back.bin"), content)
}
