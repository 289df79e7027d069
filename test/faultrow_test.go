//go:build linux

package test

import (
	"bytes"
	"cmp"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
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
	before           int // the log's length when the row began

	sight           sight
	saw, said, kept string // in words
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
	r.waitLog(regexp.QuoteMeta(r.conversation().answer(r.line)))
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

func (r *row) waitLog(pattern string) {
	r.Helper()
	re := regexp.MustCompile(pattern)
	eventually(r.T, "pasvport logs "+pattern, func() bool { return re.MatchString(r.log.String()[r.before:]) })
}

func (r *row) do() {
	r.folder = r.direction() + "-" + r.mode()
	r.file = "odd-" + r.folder
	r.line = map[bool]string{true: "RETR ", false: "STOR "}[r.download] + r.file
	makeDir(r.T, r.ftpd.root, r.folder)
	r.content = fileContent()
	r.before = len(r.log.String())
	r.Cleanup(func() {
		if r.Failed() {
			r.Logf("pasvport logged:\n%s", tail(r.log.String()[r.before:]))
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
		r.Error(err)
	case info.Size() == 0:
		r.kept = "an empty file"
	case info.Size() < uploaded:
		r.kept = "a part"
	default:
		r.kept = "the whole"
	}
	if r.fault.abor && !r.download && c.aborted != "open" {
		r.Errorf("the server's data was %q when it heard ABOR, want open", c.aborted)
	}
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
		r.Error("the client is shown a clean end")
	}
	complete := regexp.MustCompile(`transfer complete.* line="` + r.line + `"`)
	if m := complete.FindString(r.log.String()); m != "" {
		r.Errorf("pasvport logs %q", m)
	}
	if !r.download && r.kept == "the whole" {
		r.Error("the server has the whole: nothing broke")
	}
}

// judgeWhole holds what a transfer has brought against what it should have.
func (r *row) judgeWhole() {
	r.Helper()
	if r.sight.final != 226 || r.sight.end != "end" {
		r.Error("a whole transfer is shown as a broken one")
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
