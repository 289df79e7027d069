//go:build linux

package main

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
)

// made is a result with two ways at two rounds.
func made(u unit, rtt condition, ftp, pasvport []float64, goals ...goal) *result {
	w := work{runs: by(nil, plainFTP, throughPasvport), goals: goals}
	r := &result{Work: "work <1>", Server: "vsftpd", Link: rtt.String(), Unit: u, work: w, rtt: rtt.rtt,
		Values: map[string][]float64{"FTP": ftp, "pasvport": pasvport}}
	r.judge()
	return r
}

func TestPicture(t *testing.T) {
	svg := string(picture([]*result{
		made(seconds, rtt80, []float64{10, 20, 10}, []float64{4, 10, 5}, toFTP(0.45, 0.5)...),
		made(seconds, rtt20, []float64{1, 1, 1}, []float64{1, 1, 1}),
		made(megabyte, rtt80, []float64{1, 1, 1}, []float64{1, 1, 1}),
	}))
	for d := xml.NewDecoder(strings.NewReader(svg)); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	for part, want := range map[string]int{
		`work &lt;1&gt;, vsftpd`:             1, // only the first one
		`width="600.0" height="14"`:          1, // FTP
		`width="300.0" height="14"`:          1, // pasvport: half of it, in the middle of the rounds
		`<rect x="419.0" y="87" width="2"`:   0,
		`<rect x="419.0" y="105" width="2" `: 1, // the goal
		`>50 %</text>`:                       1,
	} {
		if got := strings.Count(svg, part); got != want {
			t.Errorf("%q is there %d times, want %d", part, got, want)
		}
	}
}

// TestPictureScale has a way that takes longer than FTP: it has the full width.
func TestPictureScale(t *testing.T) {
	r := made(seconds, rtt80, []float64{10}, []float64{5})
	r.work.runs = append(r.work.runs, run{way: sftp})
	r.Values[sftp.name] = []float64{20}
	svg := picture([]*result{r})
	for _, part := range []string{`width="300.0" height="14"`, `width="150.0" height="14"`, `width="600.0" height="14"`, ">200 %</text>", ">sftp</text>"} {
		if !strings.Contains(string(svg), part) {
			t.Errorf("%q is not there", part)
		}
	}
	if again := picture([]*result{r}); string(again) != string(svg) {
		t.Error("the same results make another picture")
	}
}

// TestNoPicture has no FTP without a tunnel, as over a relay.
func TestNoPicture(t *testing.T) {
	r := made(seconds, rtt80, []float64{10}, []float64{5})
	delete(r.Values, plainFTP.name)
	if svg := picture([]*result{r}); svg != nil {
		t.Errorf("a picture of nothing: %s", svg)
	}
}

func TestJudge(t *testing.T) {
	for _, test := range []struct {
		unit  unit
		value []float64
		ratio float64
		met   bool
	}{
		{seconds, []float64{4, 5, 6}, 0.5, true},
		{seconds, []float64{4, 5.1, 6}, 0.5, false},
		{seconds, []float64{9, 4, 4}, 0.45, true}, // the middle counts
		{megabyte, []float64{4, 5, 6}, 0.5, true},
		{megabyte, []float64{4, 4.9, 6}, 0.5, false},
	} {
		r := made(test.unit, rtt80, []float64{10, 10, 10}, test.value, goal{way: "pasvport", with: "FTP", ratio: test.ratio})
		if len(r.Goals) != 1 || r.Goals[0].Met != test.met {
			t.Errorf("%v %s, goal %v: %+v", test.value, test.unit, test.ratio, r.Goals)
		}
	}
	r := made(seconds, rtt20, []float64{1, 1}, []float64{1, 1}, goal{way: "pasvport", with: "FTP", at: rtt80.rtt, ratio: 1})
	if len(r.Goals) != 0 {
		t.Errorf("a goal for another RTT was judged: %+v", r.Goals)
	}
}
