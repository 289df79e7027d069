//go:build !race

package ftpmux

import "testing"

// TestAllocations guards what is allocated for each command and each transfer. The race
// detector has allocations of its own.
func TestAllocations(t *testing.T) {
	const (
		perCommand  = 30 // 26 are needed, those of the network in memory included
		perTransfer = 4  // three buffers, each larger than the last
	)
	s := newExchangeStage(t)
	if got := testing.AllocsPerRun(1000, func() { s.exchange(t) }); got > perCommand {
		t.Errorf("%v allocations for a command and its reply, want at most %d", got, perCommand)
	}
	for _, mib := range []int{1, 64} {
		if got := testing.AllocsPerRun(10, func() { pumpMiB(t, mib) }); got > perTransfer {
			t.Errorf("%v allocations for %d MiB, want at most %d", got, mib, perTransfer)
		}
	}
}
