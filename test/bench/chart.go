//go:build linux

package main

import (
	"fmt"
	"html"
	"strings"
)

// A chartRow is a work with a bar for each way.
type chartRow struct {
	work string
	bars []bar
}

// A bar is how long a way took, as a share of FTP without a tunnel.
type bar struct {
	way   string
	share float64
	goal  float64 // 0 for none
}

// chartRows are the works in seconds at an RTT of 80 ms that FTP did without a tunnel
// as well.
func chartRows(results []*result) []chartRow {
	var rows []chartRow
	for _, r := range results {
		if r.Unit != seconds || r.rtt != rtt80.rtt || r.Values[plainFTP.name] == nil {
			continue
		}
		row := chartRow{work: r.Work + ", " + r.Server}
		for _, run := range r.work.runs {
			name := run.way.name
			b := bar{way: name, share: r.ratios(name, plainFTP.name).Median}
			for _, o := range r.Goals {
				if o.Way == name && o.With == plainFTP.name {
					b.goal = o.Goal
				}
			}
			row.bars = append(row.bars, b)
		}
		rows = append(rows, row)
	}
	return rows
}

// Sizes in the picture, in pixels.
const (
	chartWidth = 820
	chartLeft  = 150 // where bars begin
	chartRight = 70  // behind the longest one
	barHeight  = 14
	barStep    = 18
	rowGap     = 34 // for the next work's name
	chartTop   = 56
)

// picture draws the works' times as bars, in SVG: the same results make the same bytes.
// It is nil where nothing was done by FTP without a tunnel.
func picture(results []*result) []byte {
	rows := chartRows(results)
	if len(rows) == 0 {
		return nil
	}
	longest, height := 1.0, chartTop
	for _, row := range rows {
		height += rowGap + len(row.bars)*barStep
		for _, b := range row.bars {
			longest = max(longest, b.share)
		}
	}
	height += barStep
	scale := (chartWidth - chartLeft - chartRight) / longest
	var out strings.Builder
	fmt.Fprintf(&out, `<svg xmlns="http://www.w3.org/2000/svg" width="%[1]d" height="%[2]d" viewBox="0 0 %[1]d %[2]d" font-family="system-ui, sans-serif" font-size="12" fill="#cdd6f4">`+"\n", chartWidth, height)
	fmt.Fprintf(&out, `<rect width="100%%" height="100%%" rx="8" fill="#1e1e2e"/>`+"\n")
	text := func(x, y int, style, words string) {
		fmt.Fprintf(&out, `<text x="%d" y="%d"%s>%s</text>`+"\n", x, y, style, html.EscapeString(words))
	}
	text(16, 28, ` font-size="15" font-weight="bold"`, "Time, where FTP without a tunnel takes 100 %")
	text(16, 46, ` fill="#9399b2"`, "RTT 80 ms, 1 Gbit/s; less is better; the line is the goal")
	y := chartTop
	for _, row := range rows {
		y += rowGap
		text(16, y-8, ` font-weight="bold"`, row.work)
		for _, b := range row.bars {
			text(16, y+barHeight-3, "", b.way)
			fill := "#585b70"
			if b.way == throughPasvport.name {
				fill = "#a6e3a1"
			}
			fmt.Fprintf(&out, `<rect x="%d" y="%d" width="%.1f" height="%d" rx="2" fill="%s"/>`+"\n", chartLeft, y, b.share*scale, barHeight, fill)
			if b.goal > 0 {
				fmt.Fprintf(&out, `<rect x="%.1f" y="%d" width="2" height="%d" fill="#f9e2af" stroke="#1e1e2e" stroke-width="2" paint-order="stroke"/>`+"\n", chartLeft+b.goal*scale-1, y-3, barHeight+6)
			}
			text(chartLeft+8+int(max(b.share, b.goal)*scale), y+barHeight-3, "", fmt.Sprintf("%.0f %%", b.share*100))
			y += barStep
		}
	}
	out.WriteString("</svg>\n")
	return []byte(out.String())
}
