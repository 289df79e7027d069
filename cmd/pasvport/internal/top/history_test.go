package top

import (
	"fmt"
	"math"
	"testing"
	"time"
)

func TestRate(t *testing.T) {
	var h history
	check := func(want float64) {
		t.Helper()
		if got := h.rate(); math.Abs(got-want) > 0.01 {
			t.Errorf("rate is %v, want %v", got, want)
		}
	}
	check(0)
	h.add(noon, 1000)
	check(0)
	h.add(noon.Add(time.Second), 2000)
	check(1000)
	h.add(noon.Add(2*time.Second), 2000)
	check(500)
	h.add(noon.Add(3*time.Second), 2000)
	check(0)
	h.add(noon.Add(7*time.Second), 6000) // a reply that took long: 1000 a second all the while
	check(1000)
	h.add(noon.Add(8*time.Second), 10) // the counter began anew
	check(0)
	h.add(noon.Add(9*time.Second), 1010)
	check(1000)
	h.add(noon, 5000) // the clock went back
	check(0)
}

func TestBars(t *testing.T) {
	var h history
	if got := fmt.Sprint(h.bars(3)); got != "[0 0 0]" {
		t.Errorf("nothing is %s", got)
	}
	for n := range 200 {
		bytes := int64(0)
		if n > 160 {
			bytes = int64(n-160) * 100
		}
		h.add(noon.Add(time.Duration(n)*time.Second), bytes)
	}
	// The last full part of 15 s ends at 195 s.
	if got, want := fmt.Sprint(h.bars(4)), "[0 33.333333333333336 100 100]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if n := len(h.samples); n > 125 {
		t.Errorf("%d samples are kept", n)
	}
}

func TestSparkline(t *testing.T) {
	if got, want := sparkline([]float64{0, 0.001, 1, 2, 4, 8, 7.9}), "▁▂▂▃▅██"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got, want := sparkline(make([]float64, 3)), "▁▁▁"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
