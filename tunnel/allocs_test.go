//go:build !race

package tunnel

import "testing"

// TestAllocations guards what is allocated for each MiB, the server of the test included.
// The race detector has allocations of its own.
func TestAllocations(t *testing.T) {
	const (
		read    = 165 // 131 were measured, four for each of the library's packets
		written = 200 // 160
	)
	down, up, data := flood(t, true), flood(t, false), make([]byte, 128<<10)
	if got := testing.AllocsPerRun(50, func() { readMiB(t, down) }); got > read {
		t.Errorf("%v allocations for a MiB that is read, want at most %d", got, read)
	}
	if got := testing.AllocsPerRun(50, func() { writeMiB(t, up, data) }); got > written {
		t.Errorf("%v allocations for a MiB that is written, want at most %d", got, written)
	}
}
