//go:build linux

package main

import (
	"fmt"
	"io"
	"slices"
)

// An outcome is what became of a goal.
type outcome struct {
	Way   string  `json:"way"`
	With  string  `json:"with,omitempty"` // the ratio is to this way; without one, the value itself is judged
	Goal  float64 `json:"goal"`
	Ratio spread  `json:"ratio"`
	Met   bool    `json:"met"`
}

// A spread is the median of several values, and what they lie between.
type spread struct {
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
}

func spreadOf(values []float64) spread {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	return spread{(sorted[(n-1)/2] + sorted[n/2]) / 2, sorted[0], sorted[n-1]}
}

func (s spread) String() string { return fmt.Sprintf("%.3g (%.3g–%.3g)", s.Median, s.Min, s.Max) }

// ratios compares two ways, round by round.
func (r *result) ratios(way, with string) spread {
	var ratios []float64
	for i, value := range r.Values[way] {
		ratios = append(ratios, value/r.Values[with][i])
	}
	return spreadOf(ratios)
}

// judge fills the goals.
func (r *result) judge() {
	for _, g := range r.work.goals {
		if g.at != 0 && g.at != r.rtt || r.Values[g.way] == nil || g.with != "" && r.Values[g.with] == nil {
			continue
		}
		o := outcome{Way: g.way, With: g.with, Goal: g.ratio}
		if g.with == "" {
			o.Ratio = spreadOf(r.Values[g.way])
		} else {
			o.Ratio = r.ratios(g.way, g.with)
		}
		o.Met = o.Ratio.Median <= g.ratio
		if r.Unit.moreIsBetter() {
			o.Met = o.Ratio.Median >= g.ratio
		}
		r.Goals = append(r.Goals, o)
	}
}

// printTable prints all results in Markdown: what was measured, then the goals.
func printTable(w io.Writer, results []*result) {
	fmt.Fprintf(w, "\n| work | server | link | way | median (min–max) |\n| --- | --- | --- | --- | --- |\n")
	for _, r := range results {
		for _, run := range r.work.runs {
			if values := r.Values[run.way.name]; values != nil {
				fmt.Fprintf(w, "| %s | %s | %s | %s | %v %s |\n", r.Work, r.Server, r.Link, run.way.name, spreadOf(values), r.Unit)
			}
		}
	}
	fmt.Fprintf(w, "\n| work | server | link | what | ratio (min–max) | goal | |\n| --- | --- | --- | --- | --- | --- | --- |\n")
	for _, r := range results {
		for _, o := range r.Goals {
			sign, verdict := "≤", "**missed**"
			if r.Unit.moreIsBetter() {
				sign = "≥"
			}
			if o.Met {
				verdict = "met"
			}
			what := o.Way + " / " + o.With
			if o.With == "" {
				what = o.Way + ", " + string(r.Unit)
			}
			fmt.Fprintf(w, "| %s | %s | %s | %s | %v | %s %v | %s |\n", r.Work, r.Server, r.Link, what, o.Ratio, sign, o.Goal, verdict)
		}
	}
}
