package qemu

import (
	"slices"
	"time"
)

// rdtsc reads the processor's time stamp counter.
func rdtsc() uint64

// tscKHz measures how fast the time stamp counter runs, in kHz. An emulated processor
// has the host's. A guest that has to measure it by itself fails on a busy host, and
// then waits for ever for its first tick (Linux 6.1, tsc_early_khz).
func tscKHz() int {
	const rounds, length = 5, 4 * time.Millisecond
	var found []int
	for range rounds {
		t0, c0 := reading()
		time.Sleep(length)
		t1, c1 := reading()
		found = append(found, int(float64(c1-c0)/t1.Sub(t0).Seconds()/1000))
	}
	slices.Sort(found)
	return found[rounds/2]
}

// reading is a time and the counter at that time, as close together as they were in
// some tries.
func reading() (at time.Time, count uint64) {
	best := ^uint64(0)
	for range 10 {
		before := rdtsc()
		now := time.Now()
		if apart := rdtsc() - before; apart < best {
			best, at, count = apart, now, before+apart/2
		}
	}
	return at, count
}
