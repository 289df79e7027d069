package view

import (
	"math"
	"testing"
	"time"
)

func TestBytes(t *testing.T) {
	for n, want := range map[int64]string{
		-1: "0 B", 0: "0 B", 1: "1 B", 999: "999 B", 1000: "1.0 KiB", 1024: "1.0 KiB", 1536: "1.5 KiB",
		1023948: "999.9 KiB", 1023949: "1.0 MiB", 1 << 20: "1.0 MiB", 5 << 30: "5.0 GiB", 3 << 40: "3.0 TiB", math.MaxInt64: "8.0 EiB",
	} {
		if got := Bytes(n); got != want {
			t.Errorf("Bytes(%d) = %q, want %q", n, got, want)
		}
	}
	for n := int64(1); n > 0; n = n*5/4 + 1 {
		if got := Bytes(n); len(got) > 9 {
			t.Errorf("Bytes(%d) = %q is longer than nine", n, got)
		}
	}
}

func TestRate(t *testing.T) {
	for v, want := range map[float64]string{0: "0 B/s", 0.9: "0 B/s", 1536: "1.5 KiB/s", 1 << 30: "1.0 GiB/s"} {
		if got := Rate(v); got != want {
			t.Errorf("Rate(%v) = %q, want %q", v, got, want)
		}
	}
}

func TestDuration(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second:                         "0s",
		999 * time.Millisecond:               "0s",
		45 * time.Second:                     "45s",
		time.Minute:                          "1m",
		61 * time.Second:                     "1m1s",
		59*time.Minute + 59*time.Second:      "59m59s",
		time.Hour + 59*time.Second:           "1h",
		2*time.Hour + 13*time.Minute:         "2h13m",
		76*time.Hour + 10*time.Minute:        "3d4h",
		999*24*time.Hour + 23*time.Hour:      "999d23h",
		24*time.Hour + 59*time.Minute:        "1d",
		23*time.Hour + 59*time.Minute + 59e9: "23h59m",
	} {
		if got := Duration(d); got != want {
			t.Errorf("Duration(%v) = %q, want %q", d, got, want)
		}
	}
}
