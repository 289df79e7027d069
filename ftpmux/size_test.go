package ftpmux

import (
	"bytes"
	"fmt"
	"maps"
	"strings"
	"testing"
	"unicode/utf8"
)

// unknown is a size that is not told, in tests.
const unknown = -1

// sizeIf is size, if it is ok.
func sizeIf(size int64, ok bool) int64 {
	if !ok {
		return unknown
	}
	return size
}

func TestParseOpening(t *testing.T) {
	for _, tt := range []struct {
		reply, name string
		want        int64
	}{
		// vsftpd 3.0.3, ProFTPD 1.3.8
		{"150 Opening BINARY mode data connection for report.txt (27 bytes).", "report.txt", 27},
		{"150 Opening BINARY mode data connection for  lead (5 bytes) (3 bytes).", " lead (5 bytes)", 3},
		{"150 Opening BINARY mode data connection for report.txt (27 bytes)", "report.txt", 27},
		{"150 Opening BINARY mode data connection for  lead (5 bytes) (3 bytes)", " lead (5 bytes)", 3},
		{"150 Opening BINARY mode data connection for file list", "", unknown},
		// Pure-FTPd 1.0.50, pyftpdlib 1.5.7
		{"150 97.7 kbytes to download", "big one.bin", unknown},
		{"150 Accepted data connection", "report.txt", unknown},
		{"150 File status okay. About to open data connection.", "report.txt", unknown},
		// inetutils-ftpd, Serv-U, IIS, FileZilla Server, from memory
		{"150 Opening BINARY mode data connection for 'report.txt' (27 bytes).", "report.txt", 27},
		{"150 Opening BINARY mode data connection for report.txt (27 Bytes).", "report.txt", 27},
		{"125 Data connection already open; Transfer starting.", "report.txt", unknown},
		{`150 Opening data channel for file download from server of "/report.txt"`, "report.txt", unknown},
		{"150 About to start data transfer.", "report.txt", unknown},
		// a name that looks like a size, from a server that tells none
		{"150 Opening data connection for a (5 bytes)", "a (5 bytes)", unknown},
		{"150 Opening data connection for a (5 bytes).", "sub/a (5 bytes)", unknown},
		{"150 Opening data connection for (5 bytes).txt", "(5 bytes).txt", unknown},
		// figures that are none
		{"150 go (-5 bytes)", "a", unknown},
		{"150 go (9223372036854775807 bytes)", "a", 1<<63 - 1},
		{"150 go (9223372036854775808 bytes)", "a", unknown},
		{"150 go (1" + strings.Repeat("0", 30) + " bytes)", "a", unknown},
		{"150 go (1,234 bytes)", "a", unknown},
		{"150 go ( bytes)", "a", unknown},
	} {
		if got := sizeIf(parseOpening(tt.reply, tt.name)); got != tt.want {
			t.Errorf("parseOpening(%q, %q) = %d, want %d", tt.reply, tt.name, got, tt.want)
		}
	}
}

func TestParseSIZE(t *testing.T) {
	for reply, want := range map[string]int64{
		"213 27":                                27, // all four servers of the tests
		"213 0":                                 0,
		"213 27 ":                               27,
		"213 27 bytes":                          unknown,
		"213 -27":                               unknown,
		"213 +27":                               unknown,
		"213 2_7":                               unknown,
		"213 1" + strings.Repeat("0", 30):       unknown,
		"213":                                   unknown,
		"550 SIZE not allowed in ASCII mode":    unknown, // ProFTPD
		"550 I can only retrieve regular files": unknown, // Pure-FTPd
		"213-Status of report.txt:\r\n27\r\n213 End": unknown,
	} {
		if got := sizeIf(parseSIZE(reply)); got != want {
			t.Errorf("parseSIZE(%q) = %d, want %d", reply, got, want)
		}
	}
}

func TestParseListed(t *testing.T) {
	for _, tt := range []struct {
		line, name string
		size       int64
	}{
		// vsftpd
		{"-rw-r--r--    1 0        0               3 Nov 23 01:07  lead (5 bytes)", " lead (5 bytes)", 3},
		{"-rw-------    1 0        0          100000 Nov 23 01:07 big one.bin", "big one.bin", 100000},
		{"-rw-------    1 0        0              27 Jan 02  2023 report.txt", "report.txt", 27},
		{"lrwxrwxrwx    1 0        0              10 Nov 23 01:07 link -> report.txt", "", unknown},
		{"drwxr-xr-x    4 0        0            4096 Nov 23 01:07 ..", "", unknown},
		// ProFTPD
		{"-rw-r--r--   1 root     root            3 Nov 23 01:07  lead (5 bytes)", " lead (5 bytes)", 3},
		{"-rw-r--r--   1 root     root           27 Jan  2  2023 report.txt", "report.txt", 27},
		// Pure-FTPd
		{"-rw-r--r--    1 1          daemon             60 Nov 23 01:07 x", "x", 60},
		{"-rw-------    1 0          0                  27 Jan  2  2023 report.txt", "report.txt", 27},
		{"drwxrwxrwx    2 0          0                4096 Nov 23 01:07 up", "", unknown},
		// pyftpdlib
		{"-rw-------   1 root     root           27 Jan 02  2023 report.txt", "report.txt", 27},
		{"lrwxrwxrwx   1 root     root           10 Nov 23 01:07 link -> report.txt", "", unknown},
		// IIS in both of its forms, FileZilla Server
		{"11-22-23  04:49PM                   27 report.txt", "report.txt", 27},
		{"11-22-2023  04:49PM                   27  lead", " lead", 27},
		{"11-22-23  04:49PM       <DIR>          sub", "", unknown},
		{"-rwxrwxrwx   1 owner    group              27 Nov 22 16:49 report.txt", "report.txt", 27},
		{"-rw-rw-rw- 1 ftp ftp              27 Nov 22 16:49 report.txt", "report.txt", 27},
		// a mark of access rights; names that look like more
		{"-rw-r--r--+ 1 u g 27 Nov 22 16:49 a", "a", 27},
		{"-rw-r--r-- 1 u g 27 Nov 22 16:49 5 Nov 22 16:49 a", "5 Nov 22 16:49 a", 27},
		{"-rw-r--r-- 1 u g 27 Nov 22 16:49 a -> b", "a -> b", 27},
		// who knows where the size stands
		{"-rw-r--r-- 1 u 27 Nov 22 16:49 a", "", unknown},
		{"-rw-r--r-- 1 domain users g 27 Nov 22 16:49 a", "", unknown},
		{"-rw-r--r-- 1 u g 27 22. Nov 16:49 a", "", unknown},
		{"-rw-r--r-- 1 u g -27 Nov 22 16:49 a", "", unknown},
		{"-rw-r--r-- 1 u g 1" + strings.Repeat("0", 30) + " Nov 22 16:49 a", "", unknown},
		{"-rw-r--r-- 1 u g 9999999999999999999 Nov 22 16:49 a", "a", unknown},
		{"crw-rw-rw- 1 u g 1, 3 Nov 22 16:49 null", "", unknown},
		{"-rw-r--r-- 1 u g 27 Nov 22 16:49 ", "", unknown},
		{"total 27", "", unknown},
		{"", "", unknown},
	} {
		name, size, ok := parseListed(tt.line)
		if got := sizeIf(size, ok); got != tt.size || name != tt.name {
			t.Errorf("parseListed(%q) = %q, %d, want %q, %d", tt.line, name, got, tt.name, tt.size)
		}
	}
}

func TestParseFacts(t *testing.T) {
	for _, tt := range []struct {
		entry, name string
		size        int64
	}{
		// ProFTPD
		{"modify=20230102030405;perm=adfr;size=27;type=file;unique=FE00U9A25E7;UNIX.group=0;UNIX.groupname=daemon;UNIX.mode=0644;UNIX.owner=0;UNIX.ownername=alice; report.txt", "report.txt", 27},
		{"modify=20261123010744;perm=adfr;size=10;type=OS.unix=symlink;unique=FE00U9A25E7;UNIX.group=0;UNIX.groupname=daemon;UNIX.mode=0777;UNIX.owner=0;UNIX.ownername=alice; link", "", unknown},
		{"modify=20261123010744;perm=fle;type=cdir;unique=FE00U9A25E0;UNIX.group=0;UNIX.groupname=daemon;UNIX.mode=0755;UNIX.owner=0;UNIX.ownername=alice; .", "", unknown},
		// Pure-FTPd
		{"type=file;size=3;modify=20261123010724;UNIX.mode=0600;UNIX.uid=0;UNIX.gid=0;unique=fe00g9a21d3;  lead (5 bytes)", " lead (5 bytes)", 3},
		{"type=OS.unix=slink:;size=10;modify=20261123010724;UNIX.mode=0777;UNIX.uid=0;UNIX.gid=0;unique=fe00g9a2203; link", "", unknown},
		{"type=dir;sizd=4096;modify=20261123010724;UNIX.mode=0755;UNIX.uid=0;UNIX.gid=0;unique=fe00g9a21e3; sub", "", unknown},
		// pyftpdlib
		{"modify=20261123010724;perm=radfwMT;size=100000;type=file;unique=fe00g9a2253; big one.bin", "big one.bin", 100000},
		{"modify=20261123010724;perm=eldfmMTcp;size=4096;type=dir;unique=fe00g9a2273; sub", "", unknown},
		// RFC 3659, section 7.7; letters of any case
		{"Type=file;Size=25730;Modify=19940728095854;Perm=; cap60.pl198.tar.gz", "cap60.pl198.tar.gz", 25730},
		// figures and entries that are none
		{"type=file;size=-1; a", "", unknown},
		{"type=file;size=; a", "", unknown},
		{"type=file;size=1" + strings.Repeat("0", 30) + "; a", "", unknown},
		{"type=file;size=1;size=2; a", "", unknown},
		{"type=file;type=dir;size=1; a", "", unknown},
		{"size=1; a", "", unknown},
		{"type=file;size=1;", "", unknown},
		{" type=file;size=1; a", "", unknown},
		{"", "", unknown},
	} {
		name, size, ok := parseFacts(tt.entry)
		if got := sizeIf(size, ok); got != tt.size || name != tt.name {
			t.Errorf("parseFacts(%q) = %q, %d, want %q, %d", tt.entry, name, got, tt.name, tt.size)
		}
	}
}

func TestNameKey(t *testing.T) {
	for arg, want := range map[string]string{
		"a": "a", "./a": "a", ".//sub/./a b": "sub/a b", "/a": "/a", "//sub//a": "/sub/a", " a ": " a ", "...": "...",
		"": "", ".": "", "/": "", "..": "", "../a": "", "a/../b": "", "a\xff\xff": "", strings.Repeat("x", maxName+1): "",
	} {
		if got, ok := nameKey(arg); ok != (want != "") || ok && got != want {
			t.Errorf("nameKey(%q) = %q, %v, want %q", arg, got, ok, want)
		}
	}
}

func TestListing(t *testing.T) {
	long := strings.Repeat("x", 2*maxName)
	for _, tt := range []struct {
		command, text string
		want          map[string]int64
	}{
		{"LIST", "total 3\r\n-rw-r--r-- 1 u g 27 Nov 22 16:49 a\r\ndrwxr-xr-x 1 u g 4096 Nov 22 16:49 d\r\n-rw-r--r-- 1 u g 28 Nov 22 16:49 b\n",
			map[string]int64{"a": 27, "b": 28}},
		{"LIST -la /pub", "-rw-r--r-- 1 u g 27 Nov 22 16:49 a\r\n", map[string]int64{"/pub/a": 27}},
		{"LIST -a -l", "-rw-r--r-- 1 u g 27 Nov 22 16:49 a\r\n", map[string]int64{"a": 27}},
		{"LIST /", "-rw-r--r-- 1 u g 27 Nov 22 16:49 a\r\n", map[string]int64{"/a": 27}},
		{"LIST .", "-rw-r--r-- 1 u g 27 Nov 22 16:49 a\r\n", map[string]int64{"a": 27}},
		{"MLSD sub/", "type=file;size=27; a\r\ntype=dir;size=4096; d\r\n", map[string]int64{"sub/a": 27}},
		{"MLSD *", "type=file;size=27; a\r\n", map[string]int64{"*/a": 27}},
		{"LIST", "-rw-r--r-- 1 u g 27 Nov 22 16:49 cut off", nil},
		{"LIST", "-rw-r--r-- 1 u g 27 Nov 22 16:49 " + long + "\n-rw-r--r-- 1 u g 27 Nov 22 16:49 a\n", map[string]int64{"a": 27}},
		// two of the same name, a name of two lines, other folders, a path
		{"LIST", "-rw-r--r-- 1 u g 27 Nov 22 16:49 a\n-rw-r--r-- 1 u g 28 Nov 22 16:49 a\n-rw-r--r-- 1 u g 9 Nov 22 16:49 a\n", map[string]int64{"a": ambiguous}},
		{"LIST", "-rw-r--r-- 1 u g 27 Nov 22 16:49 a\n\nsub:\n-rw-r--r-- 1 u g 28 Nov 22 16:49 b\n", nil},
		{"LIST", ".:\r\n-rw-r--r-- 1 u g 28 Nov 22 16:49 b\n", nil},
		{"LIST", "-rw-r--r-- 1 u g 27 Nov 22 16:49 sub/a\n", nil},
		{"LIST", "-rw-r--r-- 1 u g 27 Nov 22 16:49 a:\n", map[string]int64{"a:": 27}},
	} {
		for step := range len(tt.text) { // the bytes come in any pieces
			l := listingOf(parseCommand([]byte(tt.command)))
			for p := []byte(tt.text); len(p) > 0; p = p[min(step+1, len(p)):] {
				l.read(p[:min(step+1, len(p))])
			}
			var z sizes
			z.merge(l)
			if !maps.Equal(z.of, tt.want) {
				t.Errorf("%s, in pieces of %d: %q has %v, want %v", tt.command, step+1, tt.text, z.of, tt.want)
				break
			}
		}
	}
	for _, command := range []string{"RETR a", "NLST", "LIST -R", "LIST -lF", "LIST *.txt", "LIST ..", "LIST ~", `LIST sub\x`, "MLSD ../x", "STAT"} {
		if listingOf(parseCommand([]byte(command))) != nil {
			t.Errorf("%s is read as the listing of one folder", command)
		}
	}
}

func TestSizesAreBounded(t *testing.T) {
	z := new(sizes)
	for i := range 3 * maxSizes {
		z.put(fmt.Sprint(i), int64(i))
		if len(z.of) > maxSizes {
			t.Fatalf("%d names are remembered", len(z.of))
		}
	}
	if n, ok := z.get(fmt.Sprint(3*maxSizes - 1)); !ok || n != 3*maxSizes-1 {
		t.Error("the latest name is forgotten")
	}
	l := listingOf(parseCommand([]byte("MLSD")))
	for i := range 2 * maxSizes {
		l.read(fmt.Appendf(nil, "type=file;size=%d; new%d\r\n", i, i))
	}
	l.read(bytes.Repeat([]byte("x"), 1<<20))
	if len(l.sizes) != maxSizes || cap(l.line) > 4*maxName {
		t.Errorf("a listing holds %d names and %d bytes of a line", len(l.sizes), cap(l.line))
	}
	z.merge(l)
	if n, ok := z.get("new7"); !ok || n != 7 || len(z.of) != maxSizes {
		t.Errorf("after a listing there are %d names, and %d, %v", len(z.of), n, ok)
	}
}

// FuzzListing holds what a listing is read as against its lines: in whatever pieces it
// comes, a size is one that a line has, of the name that ends it.
func FuzzListing(f *testing.F) {
	f.Add("LIST", []byte("-rw-r--r-- 1 u g 27 Nov 22 16:49 a\r\n11-22-23  04:49PM  99999999999999999999 b\n"), uint16(7))
	f.Add("MLSD /x", []byte("type=file;size=1; a\r\ntype=file;size=-1; b\r\n"), uint16(1))
	f.Fuzz(func(t *testing.T, command string, text []byte, piece uint16) {
		cmd := parseCommand([]byte(command))
		whole, pieces := listingOf(cmd), listingOf(cmd)
		if whole == nil {
			return
		}
		whole.read(text)
		step := int(piece)%64 + 1
		for p := text; len(p) > 0; p = p[min(step, len(p)):] {
			pieces.read(p[:min(step, len(p))])
		}
		if !maps.Equal(whole.sizes, pieces.sizes) {
			t.Fatalf("%v in one piece, %v in pieces of %d", whole.sizes, pieces.sizes, step)
		}
		for name, size := range whole.sizes {
			if size < ambiguous || len(name) > maxName || strings.ContainsAny(name, "/\n") || name == "" {
				t.Errorf("%q has %d bytes", name, size)
			}
			if size != ambiguous && !lineSays(string(text), name, fmt.Sprint(size)) {
				t.Errorf("no line says that %q has %d bytes", name, size)
			}
		}
		var z sizes
		z.merge(whole)
	})
}

// lineSays tells whether a line ends with name and has number in it before; zeros in
// front do not matter.
func lineSays(text, name, number string) bool {
	for line := range strings.SplitSeq(text, "\n") {
		before, ok := strings.CutSuffix(strings.TrimSuffix(line, "\r"), name)
		if ok && strings.Contains(before, number) {
			return true
		}
	}
	return false
}

// FuzzSize lets replies and entries be anything.
func FuzzSize(f *testing.F) {
	f.Add("213 27", "a")
	f.Add("150 Opening BINARY mode data connection for a (27 bytes).", "a")
	f.Add("type=file;size=27; a", "./a")
	f.Add("-rw-r--r-- 1 u g 27 Nov 22 16:49 a", "/a/b")
	f.Fuzz(func(t *testing.T, text, arg string) {
		if n, ok := parseSIZE(text); n < 0 || ok && !strings.HasPrefix(text, "213 ") {
			t.Errorf("SIZE's reply %q is %d", text, n)
		}
		if n, ok := parseOpening(text, arg); n < 0 || ok && !strings.Contains(strings.ToLower(text), " bytes)") {
			t.Errorf("the reply %q is of %d bytes", text, n)
		}
		for _, parse := range []func(string) (string, int64, bool){parseFacts, parseListed} {
			if name, n, ok := parse(text); n < 0 || ok && (name == "" || !strings.HasSuffix(text, name)) {
				t.Errorf("%q is %q of %d bytes", text, name, n)
			}
		}
		if key, ok := nameKey(arg); ok {
			if again, ok := nameKey(key); !ok || again != key {
				t.Errorf("%q is %q, which is %q", arg, key, again)
			}
		}
	})
}

// FuzzPrintable lets names be anything.
func FuzzPrintable(f *testing.F) {
	f.Add("a\x1b[2J\xff\r\nb\u202e\u2028")
	f.Fuzz(func(t *testing.T, text string) {
		got := printable(text)
		if !utf8.ValidString(got) || len(got) > maxPrintable+len("…") || strings.ContainsAny(got, "\r\n\t\x1b\u0085\u009b\u2028\u2029\u202e") {
			t.Errorf("printable(%q) = %q", text, got)
		}
		if len(got) <= maxPrintable && printable(got) != got {
			t.Errorf("%q becomes %q and then %q", text, got, printable(got))
		}
	})
}
