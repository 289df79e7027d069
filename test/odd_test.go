//go:build linux

package test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A talker speaks FTP line by line, to a server or to the tunnel in front of it.
type talker struct {
	*testing.T
	addr string
	conn net.Conn
	r    *bufio.Reader
}

// talk connects to addr and takes the greeting.
func talk(t *testing.T, addr string) *talker {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(limit))
	c := &talker{t, addr, conn, bufio.NewReader(conn)}
	c.reply("the greeting")
	return c
}

// send sends a line.
func (c *talker) send(line string) {
	c.Helper()
	if _, err := io.WriteString(c.conn, line+"\r\n"); err != nil {
		c.Fatalf("%.80q to %s: %v", line, c.addr, err)
	}
}

// reply returns the next reply, all lines of it, and its code.
func (c *talker) reply(to string) (text string, code int) {
	c.Helper()
	for end := ""; end == "" || !strings.HasPrefix(text[strings.LastIndexByte(text[:len(text)-1], '\n')+1:], end); {
		line, err := c.r.ReadString('\n')
		text += line
		if err != nil || len(line) < 5 && end == "" {
			c.Fatalf("%.80q to %s: got %q, %v", to, c.addr, text, err)
		}
		if end == "" {
			end = line[:3] + " "
		}
	}
	code, _ = strconv.Atoi(text[:3])
	return text, code
}

// ask sends a command and returns the replies to it, to the final one.
func (c *talker) ask(line string) string {
	c.Helper()
	c.send(line)
	return c.answer(line)
}

// answer returns the replies to come, to the next final one.
func (c *talker) answer(to string) string {
	c.Helper()
	all := ""
	for {
		text, code := c.reply(to)
		all += text
		if code >= 200 {
			return all
		}
	}
}

// transfer makes a data connection by EPSV or PASV, sends lines, and moves the
// data of the last one. It returns what was received, as another reply.
func (c *talker) transfer(passive string, lines []string, upload string) string {
	c.Helper()
	numbers := number.FindAllString(c.ask(passive), -1)
	port, _ := strconv.Atoi(numbers[len(numbers)-1])
	if passive == "PASV" {
		high, _ := strconv.Atoi(numbers[len(numbers)-2])
		port += high << 8
	}
	host, _, _ := net.SplitHostPort(c.addr)
	data, err := net.Dial("tcp", net.JoinHostPort(host, strconv.Itoa(port)))
	if err != nil {
		c.Fatal(err)
	}
	defer data.Close()
	data.SetDeadline(time.Now().Add(limit))
	all, last := "", lines[len(lines)-1]
	for _, line := range lines[:len(lines)-1] {
		all += c.ask(line)
	}
	c.send(last)
	text, code := c.reply(last)
	all += text
	if code >= 200 {
		return all
	}
	var got []byte
	if strings.HasPrefix(last, "STO") || strings.HasPrefix(last, "APPE") {
		io.WriteString(data, upload)
		data.Close()
	} else {
		got, _ = io.ReadAll(data) // the final reply tells whether it is whole
		data.Close()              // ProFTPD waits for that
	}
	return all + c.answer(last) + string(got)
}

var number = regexp.MustCompile(` *\d+`) // with what pads it

// masks are what differs between any two sessions with one server.
var masks = []struct {
	pattern *regexp.Regexp
	by      string
}{
	{regexp.MustCompile(`unique=[^;]*`), "unique=U"},
	{regexp.MustCompile(`\d+(\.\d+)? [KMG]?bytes per second`), "N bytes per second"},
	{regexp.MustCompile(`1(25|50)[ -]FILE: \S+`), "150 FILE: F"}, // STOU
	{regexp.MustCompile(`125 Data connection already open. Transfer starting|` +
		`150 File status okay. About to open data connection`), "150 or 125"}, // who is faster?
}

// masked makes replies comparable. Of the numbers in them the codes alone stay.
func masked(replies string) string {
	for _, m := range masks {
		replies = m.pattern.ReplaceAllString(replies, m.by)
	}
	var out strings.Builder
	for line := range strings.Lines(replies) {
		code := ""
		if _, err := strconv.Atoi(line[:min(3, len(line))]); err == nil && len(line) > 3 {
			code, line = line[:3], line[3:]
		}
		out.WriteString(code + number.ReplaceAllString(line, "N"))
	}
	return out.String()
}

// An oddTalk is something that a client may do. Each line is sent when the one
// before has its final reply.
type oddTalk struct {
	name    string
	lines   []string
	guest   bool   // it does not log in
	passive string // EPSV or PASV: the last line moves data
	upload  string // it
}

// answered are the commands that pasvport answers itself, and the codes that it
// gives to those that it does not pass on.
var answered = map[string]string{
	"AUTH TLS":                   "534",
	"AUTH":                       "534",
	"PBSZ 0":                     "534",
	"PROT P":                     "534",
	"PROT C":                     "534",
	"CCC":                        "534",
	"ADAT x":                     "534",
	"MIC x":                      "534",
	"ENC x":                      "534",
	"CONF x":                     "534",
	"CPSV":                       "502",
	"LPSV":                       "502",
	"SPSV":                       "502",
	"SSCN":                       "502",
	"LPRT 4,4,127,0,0,1,2,200,1": "521",
	"EPSV":                       "229",
	"EPSV 1":                     "229",
	"epsv":                       "229",
	"EPSV 2":                     "522",
	"EPSV 3":                     "522",
	"EPSV x":                     "501",
	"PASV":                       "227",
	"pasv":                       "227",
	"PORT 127,0,0,1,200,1":       "200",
	"PORT 127, 0, 0, 1, 200, 1 ": "200",
	"EPRT |1|127.0.0.1|51201|":   "200",
	"EPRT |2|::1|51201|":         "522",
	"EPRT |3|x|51201|":           "522",
	"EPRT":                       "501",
	"PORT":                       "501",
	"PORT 1,2,3":                 "501",
	"PORT 127,0,0,1,0,80":        "504",
	"PORT 10,9,8,7,200,1":        "501",
	"EPRT |1|10.9.8.7|51201|":    "501",
	"EPRT |1|127.0.0.1|99999|":   "501",
}

// withoutTLS matches the features that the reply to FEAT loses.
var withoutTLS = regexp.MustCompile(`(?m)^(211-| )?(AUTH|PBSZ|PROT|CCC|CPSV|SSCN|SPSV|LPRT|LPSV|ESTA|ESTP)\b.*\n`)

var oddNames = []string{"a\xffb", "a\xff\xffb", "latin\xe9", "žluť", "日本", `a"b`, `a""b`, "a'b", "a b", " a", "a ", "-a", "a\rb", "a\tb",
	"a\x01b", "a\x7fb", "a;b", "a|b", "a?b", "[a]", "a\\b", "%s%n", "227 Entering Passive Mode (10,9,8,7,200,1)"}

// oddTalks are with every server.
func oddTalks() []oddTalk {
	talks := []oddTalk{
		{name: "before login", guest: true, lines: []string{"NOOP", "SYST", "FEAT", "HELP", "PWD", "STAT", "REST 5", "TYPE I", "MODE S", "OPTS UTF8 ON",
			"CLNT x", "LANG en", "ALLO 5", "NOSUCH", "HOST example.com", "PBSZ 0", "PROT P", "SIZE file.bin", "SITE HELP", "AUTH TLS", "LPSV"}},
		{name: "words", lines: []string{"SYST", "HELP", "HELP RETR", "HELP SITE", "HELP NOSUCH", "STAT", "STAT file.bin", "STAT nosuch", "STAT .", "NOOP", "NOOP x", "noop",
			"ACCT x", "SMNT /", "ALLO", "ALLO 100", "ALLO 100 R 10", "ALLO x", "NOSUCH", "nosuch with arguments", "123", "ABOR", "abor", "CLNT x", "HOST example.com", "LANG", "LANG en", "LANG fr", "CSID Name=x;"}},
		{name: "modes", lines: []string{"MODE S", "MODE B", "MODE C", "MODE Z", "MODE X", "MODE", "STRU F", "STRU R", "STRU P", "STRU X", "STRU",
			"TYPE A", "TYPE A N", "TYPE A T", "TYPE E", "TYPE L 8", "TYPE L 7", "TYPE L", "TYPE", "TYPE Q", "TYPE I", "type i",
			"REST 5", "REST 0", "REST abc", "REST", "REST -1", "REST 99999999999999999999", "REST 0"}},
		{name: "facts", lines: []string{"SIZE file.bin", "SIZE nosuch", "SIZE", "SIZE .", "MDTM file.bin", "MDTM nosuch", "MDTM 20200101000000 file.bin",
			"MFMT 20200101000000 file.bin", "MFMT nosuch", "MFCT 20200101000000 file.bin", "MFF modify=20200101000000; file.bin", "MLST file.bin", "MLST", "MLST nosuch",
			"HASH file.bin", "OPTS HASH SHA-1", "XCRC file.bin", "XMD5 file.bin", "XSHA1 file.bin", "XSHA256 file.bin", "MD5 file.bin", "RANG 1 5", "AVBL", "AVBL .", "COMB a b c", "DSIZ ."}},
		{name: "options", lines: []string{"FEAT", "OPTS", "OPTS UTF8 ON", "OPTS utf8 off", "OPTS MLST type;size;", "OPTS MLST", "OPTS NOSUCH", "FEAT"}},
		{name: "site", lines: []string{"SITE HELP", "SITE", "SITE NOSUCH", "SITE CHMOD 644 file.bin", "SITE IDLE", "SITE WHO", "SITE UTIME 20200101000000 file.bin", "SITE CPFR file.bin", "SITE CPTO copy.bin", "SITE MKDIR q"}},
		{name: "folders", lines: []string{"XPWD", "XCWD sub", "XCUP", "CWD sub", "CDUP", "CWD nosuch", "CWD", "XRMD nosuch", "RMD nosuch", "DELE nosuch", "DELE", "RNTO x", "RNFR nosuch", "RNFR", "RNFR file.bin", "RNTO new.bin"}},
		{name: "security", lines: []string{"PBSZ 0", "PROT P", "PROT C", "CCC", "ADAT x", "MIC x", "ENC x", "CONF x", "AUTH TLS", "AUTH", "CPSV", "SSCN", "SPSV", "LPSV", "LPRT 4,4,127,0,0,1,2,200,1", "PASS x"}},
		{name: "ports", lines: []string{"EPSV", "EPSV 1", "epsv", "EPSV 2", "EPSV 3", "EPSV x", "PASV", "pasv", "PORT 127, 0, 0, 1, 200, 1 ", "PORT", "PORT 1,2,3", "PORT 127,0,0,1,0,80", "PORT 10,9,8,7,200,1",
			"EPRT", "EPRT |1|127.0.0.1|99999|", "EPRT |1|10.9.8.7|51201|", "EPRT |2|::1|51201|", "EPRT |3|x|51201|", "NOOP"}},
		{name: "long line 200", lines: []string{"CWD " + strings.Repeat("a", 200), "NOOP"}},
		{name: "long line 1000", lines: []string{"CWD " + strings.Repeat("a", 1000), "NOOP"}},
		{name: "long line 4000", lines: []string{"CWD " + strings.Repeat("a", 4000), "NOOP"}},
		{name: "QUIT", lines: []string{"QUIT"}},
		{name: "REIN", lines: []string{"REIN", "NOOP", "PWD"}},
	}
	for _, name := range oddNames {
		talks = append(talks,
			oddTalk{name: fmt.Sprintf("folder %q", name), lines: []string{"MKD " + name, "CWD " + name, "PWD", "CDUP", "RMD " + name}},
			oddTalk{name: fmt.Sprintf("file %q", name), passive: "EPSV", upload: "hello", lines: []string{"STOR " + name}})
	}
	for _, passive := range []string{"EPSV", "PASV"} {
		for _, lines := range [][]string{
			{"RETR file.bin"}, {"RETR empty"}, {"RETR nosuch"}, {"RETR"}, {"RETR ."}, {"retr file.bin"},
			{"TYPE A", "RETR text.txt"}, {"TYPE A", "SIZE text.txt", "LIST"}, {"MODE Z", "NLST"},
			{"REST 10", "RETR file.bin"}, {"REST 10", "RETR nosuch"}, {"REST 100000", "RETR file.bin"}, {"REST 999999", "RETR file.bin"}, {"REST 3", "LIST"},
			{"LIST"}, {"LIST nosuch"}, {"LIST -la"}, {"LIST file.bin"}, {"LIST sub"}, {"NLST"}, {"NLST nosuch"}, {"NLST sub"}, {"MLSD"}, {"MLSD nosuch"}, {"MLSD file.bin"},
			{"STOR new"}, {"STOR"}, {"STOR sub"}, {"STOR nodir/new"}, {"REST 5", "STOR text.txt"}, {"ALLO 5", "STOR new"}, {"TYPE A", "STOR new"},
			{"APPE text.txt"}, {"APPE new"}, {"REST 5", "APPE text.txt"}, {"STOU"}, {"STOU name"},
			{"CWD sub", "NOOP", "STAT", "PWD", "TYPE A", "TYPE I", "STOR in-sub"},
		} {
			talks = append(talks, oddTalk{name: passive + " " + strings.Join(lines, " "), lines: lines, passive: passive, upload: "hello\r\n"})
		}
	}
	return talks
}

// oddFolder makes a folder for one talk.
func oddFolder(t *testing.T, server *ftpServer, name string) {
	t.Helper()
	dir := makeDir(t, server.root, name)
	makeDir(t, dir, "sub")
	serveFile(t, filepath.Join(dir, "file.bin"), bytes.Repeat([]byte("0123456789"), 10000))
	serveFile(t, filepath.Join(dir, "text.txt"), bytes.Repeat([]byte("0123456789\n"), 1000))
	serveFile(t, filepath.Join(dir, "empty"), nil)
}

// replies has the talk with what is at addr, in a folder of its own, and returns
// what is said to each line.
func (o oddTalk) replies(t *testing.T, server *ftpServer, addr, folder string) []string {
	t.Helper()
	oddFolder(t, server, folder)
	c := talk(t, addr)
	defer c.conn.Close()
	if !o.guest {
		for _, line := range []string{"USER " + server.user, "PASS " + server.password, "CWD /" + folder} {
			if text := c.ask(line); text[0] > '3' {
				t.Fatalf("%s: %s", line, text)
			}
		}
		if o.passive != "" {
			c.ask("TYPE I")
		}
	}
	if o.passive != "" {
		return []string{c.transfer(o.passive, o.lines, o.upload)}
	}
	var all []string
	for _, line := range o.lines {
		all = append(all, c.ask(line))
	}
	return all
}

// TestSameReplies has each talk with a server directly, and again through
// pasvport: but for what pasvport answers itself, a client must not notice.
func TestSameReplies(t *testing.T) {
	ssh := startSSHD(t)
	for _, ftpd := range ftpds {
		t.Run(ftpd.name, func(t *testing.T) {
			t.Parallel()
			server := ftpd.start(t, elsewhere)
			tunnel := startPasvport(t, ssh, "-L", "0:"+server.addr()).addrs[0]
			for i, o := range oddTalks() {
				t.Run(o.name, func(t *testing.T) {
					t.Parallel()
					direct := o.replies(t, server, server.addr(), fmt.Sprint("talk", 2*i))
					tunnelled := o.replies(t, server, tunnel, fmt.Sprint("talk", 2*i+1))
					for j := range direct {
						line, want, got := o.lines[j], masked(direct[j]), masked(tunnelled[j])
						if code, own := answered[line]; own && o.passive == "" {
							if got[:3] != code {
								t.Errorf("%.80q: got %q, want %s; the server itself says %q", line, got, code, want)
							}
							continue
						}
						if line == "FEAT" {
							want = withoutTLS.ReplaceAllString(want, "")
						}
						if got != want {
							t.Errorf("%.80q: got %q\n%s itself says %q", line, got, ftpd.name, want)
						}
					}
				})
			}
		})
	}
}
