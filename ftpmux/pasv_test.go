package ftpmux

import (
	"net/netip"
	"testing"
)

func TestParsePASV(t *testing.T) {
	for _, tt := range []struct {
		reply string
		want  uint16 // 0: an error
	}{
		{"227 Entering Passive Mode (127,0,0,1,156,85).", 40021},
		{"227 Entering Passive Mode (127,0,0,1,156,85)", 40021},
		{"227 Entering Passive Mode. 127,0,0,1,156,85", 40021},
		{"227 =127,0,0,1,156,85", 40021},
		{"227 Data transfer will passively listen to 127,0,0,1,156,85", 40021},
		{"227 Entering Passive Mode [127, 0, 0, 1, 156, 85]", 40021},
		{"227 Passive (127,000,000,001,156,085)", 40021},
		{"227 OK 1.2,3 (127,0,0,1,156,85)", 40021},
		{"227 Entering Passive Mode ( 127 ,0,\t0,1 , 156,85 )", 40021},
		{"227 Entering Passive Mode <127,0,0,1,156,85>", 40021},
		{"227 Entering Passive Mode 127,0,0,1,156,85 in 3 seconds", 40021},
		{"227 mode. 127,0,0,1,156,85", 40021},
		{"227 (127,0,0,1,156,85) is for 10,000 bytes", 40021},
		{"227 10,000 bytes at (127,0,0,1,156,85)", 40021},
		{"227127,0,0,1,156,85", 40021},
		{"227 Entering Passive Mode (127,0,0,1,156,85,7)", 40021}, // the first six, as curl
		{"227 Entering Passive Mode (0,0,0,0,156,85).", 40021},    // no address, as vsftpd on IPv6
		{"227 Entering Passive Mode (::ffff:127,0,0,1,156,85)", 40021},
		{"227 Entering Passive Mode (::ffff:127.0.0.1,156,85)", 40021},
		{"227 Entering Passive Mode (127,0,0,1,4,0)", 1024},
		{"227 Entering Passive Mode (127,0,0,1,255,255)", 65535},
		// IPv6 servers have no six numbers to give.
		{"227 Entering Passive Mode (1,156,85).", 40021},
		{"227 Entering passive mode (::1,156,85).", 40021},
		{"227 Entering Passive Mode", 0},
		{"227 Entering Passive Mode ()", 0},
		{"227 Entering Passive Mode (127,0,0,1,0,0)", 0},
		{"227 Entering Passive Mode (127,0,0,1,0,22)", 0}, // ssh's
		{"227 Entering Passive Mode (127,0,0,1,3,255)", 0},
		{"227 Entering Passive Mode (300,0,0,1,156,85)", 0},
		{"227 Entering Passive Mode (127,0,0,1,156)", 0},
		{"227 Entering Passive Mode (0,1,156,85)", 0},
		{"227 1,156,85 or 1,156,86", 0},
		{"227 127.0.0.1.156.85", 0},
		{"227", 0},
		{"", 0},
		{"227 Entering Passive Mode (127,0,0,1,256,1)", 0},
		{"227 Entering Passive Mode (127,0,0,1,-1,1)", 0},
		{"227 99999999999999999999,99999999999999999999", 0},
	} {
		got, err := parsePASV(tt.reply)
		if got != tt.want || (err == nil) != (tt.want != 0) {
			t.Errorf("parsePASV(%q) = %d, %v; want %d", tt.reply, got, err, tt.want)
		}
	}
}

func TestParseEPSV(t *testing.T) {
	for _, tt := range []struct {
		reply string
		want  uint16
	}{
		{"229 Entering Extended Passive Mode (|||40021|)", 40021},
		{"229 Extended Passive mode OK (|||40021|)", 40021},
		{"229 Entering extended passive mode (|||40021|).", 40021},
		{"229 ok (!!!40021!)", 40021},
		{"229 ok (||40021|)", 40021}, // BulletProof FTP
		{"229 ok (~~~40021~)", 40021},
		{"229 ok ((((40021()", 40021},
		{"229 ok (((40021()", 40021},
		{"229 ok (|||040021|)", 40021},
		{"229 ok (|1|127.0.0.1|40021|)", 40021},
		{"229 ok (|2|::1|40021|)", 40021},
		{"229 Entering Passive Mode (EPSV) (|||40021|)", 40021},
		{"229 (|||40021|) or (|||40022|)", 40021},
		{"229 ok |||40021|", 0},
		{"229 ok (|||40021)", 0},
		{"229 ok (||||40021|)", 0},
		{"229 ok (|||0|)", 0},
		{"229 ok (|||22|)", 0},
		{"229 ok (|||1023|)", 0},
		{"229 ok (|||1024|)", 1024},
		{"229 ok ( 40021 )", 0},
		{"229 ok (|1|40021|)", 0},
		{"229 ok (\x7f\x7f\x7f40021\x7f)", 0},
		{"229 ok (|||65536|)", 0},
		{"229 ok (|||+4|)", 0},
		{"229 ok (", 0},
		{"229 ok (111211)", 0},
		{"229", 0},
	} {
		got, err := parseEPSV(tt.reply)
		if got != tt.want || (err == nil) != (tt.want != 0) {
			t.Errorf("parseEPSV(%q) = %d, %v; want %d", tt.reply, got, err, tt.want)
		}
	}
}

func TestParsePORT(t *testing.T) {
	good := netip.MustParseAddrPort("127.0.0.1:40021")
	for _, tt := range []struct {
		arg  string
		want netip.AddrPort
	}{
		{"127,0,0,1,156,85", good},
		{"127,0,0,001,156,085", good},
		{"127,0,0,1,156", netip.AddrPort{}},
		{"127,0,0,1,156,85,1", netip.AddrPort{}},
		{"127,0,0,1,156,256", netip.AddrPort{}},
		{"127,0,0,1,0,0", netip.AddrPort{}},
		{"127,0,0,0001,156,85", netip.AddrPort{}},
		{" 127, 0, 0, 1, 156, 85 ", good},
		{"127,0,0,1,15 6,85", netip.AddrPort{}},
		{"127,0,0,1,156,+5", netip.AddrPort{}},
		{"", netip.AddrPort{}},
	} {
		got, err := parsePORT(tt.arg)
		if got != tt.want || (err == nil) != tt.want.IsValid() {
			t.Errorf("parsePORT(%q) = %v, %v; want %v", tt.arg, got, err, tt.want)
		}
	}
}

func TestParseEPRT(t *testing.T) {
	for _, tt := range []struct{ arg, want string }{
		{"|1|127.0.0.1|40021|", "127.0.0.1:40021"},
		{"|2|::1|40021|", "[::1]:40021"},
		{"!1!127.0.0.1!40021!", "127.0.0.1:40021"},
		{"|1|::1|40021|", ""},
		{"|2|127.0.0.1|40021|", ""},
		{"|3|127.0.0.1|40021|", ""},
		{"|1|127.0.0.1|40021", ""},
		{"|1|127.0.0.1|0|", ""},
		{"|1|127.0.0.1|99999|", ""},
		{"|1|127.0.0.1|000021|", ""},
		{"|1|localhost|40021|", ""},
		{"|||40021|", ""},
		{"|", ""},
		{"", ""},
	} {
		got, err := parseEPRT(tt.arg)
		if (err == nil) != (tt.want != "") || err == nil && got.String() != tt.want {
			t.Errorf("parseEPRT(%q) = %v, %v; want %q", tt.arg, got, err, tt.want)
		}
	}
}

func FuzzParsePASV(f *testing.F) {
	f.Add("227 Entering Passive Mode (127,0,0,1,156,85).")
	f.Add("227 (::1,156,85)")
	f.Fuzz(func(t *testing.T, reply string) {
		port, err := parsePASV(reply)
		if err != nil {
			return
		}
		ap := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), port)
		if again, err := parsePASV(formatPASV(ap)); err != nil || again != port {
			t.Fatalf("%q: %d does not survive: %d, %v", reply, port, again, err)
		}
	})
}

func FuzzParseEPSV(f *testing.F) {
	f.Add("229 Entering Extended Passive Mode (|||40021|)")
	f.Fuzz(func(t *testing.T, reply string) {
		port, err := parseEPSV(reply)
		if err != nil {
			return
		}
		if again, err := parseEPSV(formatEPSV(port)); err != nil || again != port {
			t.Fatalf("%q: %d does not survive: %d, %v", reply, port, again, err)
		}
	})
}

func FuzzParsePORT(f *testing.F) {
	f.Add("127,0,0,1,156,85")
	f.Fuzz(func(t *testing.T, arg string) {
		ap, err := parsePORT(arg)
		if err != nil {
			return
		}
		if again, err := parsePORT(formatPORT(ap)); err != nil || again != ap {
			t.Fatalf("%q: %v does not survive: %v, %v", arg, ap, again, err)
		}
	})
}

func FuzzParseEPRT(f *testing.F) {
	f.Add("|1|127.0.0.1|40021|")
	f.Add("|2|fe80::1%eth0|40021|")
	f.Fuzz(func(t *testing.T, arg string) {
		ap, err := parseEPRT(arg)
		if err != nil {
			return
		}
		want := netip.AddrPortFrom(ap.Addr().WithZone(""), ap.Port())
		if again, err := parseEPRT(formatEPRT(ap)); err != nil || again != want {
			t.Fatalf("%q: %v does not survive: %v, %v", arg, ap, again, err)
		}
	})
}
