package view

import (
	"fmt"
	"strconv"
	"time"
)

// units are the IEC's: each is 1024 times the one before.
var units = []string{"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"}

// Bytes is n in the unit that leaves three digits at most before the point: "0 B",
// "1.2 MiB". It is never longer than nine characters.
func Bytes(n int64) string {
	if n < 1000 {
		return strconv.FormatInt(max(n, 0), 10) + " B"
	}
	v, unit := float64(n), 0
	for v >= 999.95 || unit == 0 {
		v /= 1024
		unit++
	}
	return fmt.Sprintf("%.1f %s", v, units[unit])
}

// Rate is bytes a second: "1.2 MiB/s". It is never longer than eleven characters.
func Rate(perSecond float64) string { return Bytes(int64(perSecond)) + "/s" }

// Duration is d by its two greatest units, without what is below a second: "45s",
// "2h13m", "3d4h". It is "0s" for less, and never longer than six characters
// within three years.
func Duration(d time.Duration) string {
	s := int64(max(d, 0) / time.Second)
	for _, u := range []struct {
		seconds, below int64
		name, next     string
	}{
		{86400, 3600, "d", "h"},
		{3600, 60, "h", "m"},
		{60, 1, "m", "s"},
	} {
		if s < u.seconds {
			continue
		}
		text := strconv.FormatInt(s/u.seconds, 10) + u.name
		if rest := s % u.seconds / u.below; rest > 0 {
			text += strconv.FormatInt(rest, 10) + u.next
		}
		return text
	}
	return strconv.FormatInt(s, 10) + "s"
}

// seconds is how long a transfer took: "0.8 s", and as Duration from a minute on.
func seconds(d time.Duration) string {
	if d >= time.Minute {
		return Duration(d)
	}
	return fmt.Sprintf("%.1f s", max(d, 0).Seconds())
}
