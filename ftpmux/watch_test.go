package ftpmux

import (
	"strings"
	"testing"
	"testing/synctest"
)

// TestSharedSequence is about muxes of one process, whose sessions must not share a
// number.
func TestSharedSequence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ids := new(Sequence)
		for want := range int64(3) {
			m := &Mux{IDs: ids}
			client, server, _, done := stage(t, m)
			synctest.Wait()
			sessions := m.Sessions()
			if len(sessions) != 1 || sessions[0].ID != want+1 || sessions[0].Client != "127.0.0.1:40000" || len(sessions[0].Transfers) != 0 {
				t.Errorf("got %+v, want session %d alone", sessions, want+1)
			}
			if m.StopSession(want) || !m.StopSession(want+1) {
				t.Error("StopSession does not know which sessions there are")
			}
			<-done
			if got, _ := client.in.takeAll(); got != "421 stopped by pasvport's user\r\n" {
				t.Errorf("the client got %q", got)
			}
			if n := len(m.Sessions()); n != 0 || m.StopSession(want+1) || m.Totals() != (Totals{Sessions: 1}) {
				t.Errorf("%d sessions are left, totals %+v", n, m.Totals())
			}
			client.Close()
			server.Close()
		}
	})
}

// TestPrintable is about names that would draw on a terminal, or be two lines.
func TestPrintable(t *testing.T) {
	for text, want := range map[string]string{
		"report 1.txt":           "report 1.txt",
		" a  ":                   " a",
		"über/日本語.txt":           "über/日本語.txt",
		"a\tb\rc\u2028d":         "a b c d",
		"\x1b[2Jgone":            "\ufffd[2Jgone",
		"\xff\xffb":              "\ufffd\ufffdb",
		"gpj.\u202eexe":          "gpj.\ufffdexe",
		"\u0085\u009b31m":        " \ufffd31m",
		strings.Repeat("ü", 600): strings.Repeat("ü", 512) + "…",
		strings.Repeat("日", 400): strings.Repeat("日", 341) + "…",
	} {
		if got := printable(text); got != want {
			t.Errorf("printable(%q) = %q, want %q", text, got, want)
		}
	}
}
