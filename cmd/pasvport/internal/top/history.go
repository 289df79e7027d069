package top

import "time"

const (
	remembered = time.Minute     // what a sparkline shows
	smoothed   = 2 * time.Second // what a rate is taken over
)

// A history is how a counter of bytes grew over the last minute.
type history struct{ samples []sample }

type sample struct {
	at    time.Time
	bytes int64
}

// add takes the counter's value. A counter or a clock that went back starts anew.
func (h *history) add(at time.Time, bytes int64) {
	if n := len(h.samples); n > 0 && (!at.After(h.samples[n-1].at) || bytes < h.samples[n-1].bytes) {
		h.samples = nil
	}
	h.samples = append(h.samples, sample{at, bytes})
	for len(h.samples) > 2 && at.Sub(h.samples[1].at) > 2*remembered {
		h.samples = h.samples[1:]
	}
}

// rate is in bytes a second, over the last samples.
func (h *history) rate() float64 {
	if len(h.samples) < 2 {
		return 0
	}
	first, last := h.samples[0], h.samples[len(h.samples)-1]
	from := last.at.Add(-smoothed)
	if first.at.After(from) {
		from = first.at
	}
	return (float64(last.bytes) - h.value(from)) / last.at.Sub(from).Seconds()
}

// bars are the rates of n equal parts of the last minute. The parts begin at round
// times, so that the picture moves by whole parts.
func (h *history) bars(n int) []float64 {
	bars := make([]float64, n)
	if n == 0 || len(h.samples) == 0 {
		return bars
	}
	part := remembered / time.Duration(n)
	from := h.samples[len(h.samples)-1].at.Truncate(part).Add(-part * time.Duration(n))
	for i := range bars {
		to := from.Add(part)
		bars[i] = (h.value(to) - h.value(from)) / part.Seconds()
		from = to
	}
	return bars
}

// value is the counter at t, as if it had grown evenly between samples.
func (h *history) value(t time.Time) float64 {
	before := h.samples[0]
	for _, s := range h.samples {
		if s.at.After(t) {
			if before.at.Before(t) {
				share := t.Sub(before.at).Seconds() / s.at.Sub(before.at).Seconds()
				return float64(before.bytes) + share*float64(s.bytes-before.bytes)
			}
			break
		}
		before = s
	}
	return float64(before.bytes)
}
