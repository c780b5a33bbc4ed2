// Package meter says what instances have used and what that costs. It adds up intervals
// that the record keeps, in whole numbers and fractions: nothing is rounded before it is
// shown, and no amount is a floating-point number.
//
// It never measures, records or decides when an interval begins or ends.
package meter

import (
	"slices"
	"time"

	"cis/api"
)

// Interval is the time in which programs of an instance ran in one sandbox, from the
// first start to the last end; or that in which a disk had one size.
type Interval struct {
	// Account that owned the instance or disk.
	Account string
	// Disk: Instance and Name are a disk's, Storage is its size, and it does not run.
	Disk                    bool
	Sandbox, Instance, Name string
	Labels                  map[string]string
	Isolation               api.Isolation
	// CPU and Memory are those that it began with.
	CPU             api.CPU
	Memory, Storage api.Bytes
	// Sizes are what it had of both, one after the other; none: it was never changed.
	Sizes []Size
	// Run is the number of the instance's run.
	Run   int
	Start time.Time
	// End is zero while it runs.
	End time.Time
	// Seen is the last time at which it was recorded as running.
	Seen time.Time
	// Addresses is when a public address was bound.
	Addresses []Span
	Sent      []Sent
}

// Span is a time from Start to End; it is open while End is zero.
type Span struct {
	Start time.Time `json:"start"`
	End   time.Time `json:"end,omitzero"`
}

// Size is what a sandbox has from a time on.
type Size struct {
	From   time.Time `json:"from"`
	CPU    api.CPU   `json:"cpu"`
	Memory api.Bytes `json:"memory"`
}

// Sent is what was sent within an hour.
type Sent struct {
	Hour  time.Time
	Bytes int64
}

// Clock is what an instance's record keeps of the interval of its current sandbox. A
// Clock is replaced, never changed.
type Clock struct {
	Start time.Time `json:"start"`
	End   time.Time `json:"end,omitzero"`
	// Addresses is when a public address was bound.
	Addresses []Span `json:"addresses,omitempty"`
	// Sizes are what the sandbox had, one after the other, the first from Start on.
	Sizes []Size `json:"sizes,omitempty"`
	// Sent is the count of the interface at the end, if it could be read.
	Sent *int64 `json:"sent,omitempty"`
}

// Open tells whether the interval goes on. There is none on a nil Clock.
func (c *Clock) Open() bool { return c != nil && c.End.IsZero() }

// Stop is the clock ended, at a time after its start.
func (c *Clock) Stop(at time.Time, sent *int64) *Clock {
	if !c.Open() {
		return c
	}
	if !at.After(c.Start) {
		at = c.Start.Add(1) // an interval has a length
	}
	return &Clock{Start: c.Start, End: at, Addresses: c.Addresses, Sizes: c.Sizes, Sent: sent}
}

// Resume is the clock as if it had not ended.
func (c *Clock) Resume() *Clock {
	return &Clock{Start: c.Start, Addresses: c.Addresses, Sizes: c.Sizes}
}

// Bind is the clock with a public address bound, or not, from then on.
func (c *Clock) Bind(bound bool, at time.Time) *Clock {
	n := 0
	if c != nil {
		n = len(c.Addresses)
	}
	if !c.Open() || bound == (n > 0 && c.Addresses[n-1].End.IsZero()) {
		return c
	}
	next := &Clock{Start: c.Start, Addresses: slices.Clone(c.Addresses), Sizes: c.Sizes}
	if bound {
		next.Addresses = append(next.Addresses, Span{Start: at})
	} else {
		next.Addresses[n-1].End = at
	}
	return next
}

// Resize is the clock of a sandbox that has a size from then on; the first one it is told it
// has had from its start.
func (c *Clock) Resize(size api.ResourceList, at time.Time) *Clock {
	if !c.Open() {
		return c
	}
	next := Size{From: c.Start, CPU: size.CPU, Memory: size.Memory}
	if n := len(c.Sizes); n > 0 {
		last := c.Sizes[n-1]
		if last.CPU == size.CPU && last.Memory == size.Memory {
			return c
		}
		next.From = later(at, last.From) // the host's clock may have been set back
	}
	return &Clock{Start: c.Start, Addresses: c.Addresses, Sizes: append(slices.Clone(c.Sizes), next)}
}

// pieces are the parts of an ended interval in which it had one size.
func (i Interval) pieces() []Interval {
	if len(i.Sizes) < 2 {
		return []Interval{i}
	}
	var all []Interval
	for n, size := range i.Sizes {
		piece := i
		piece.CPU, piece.Memory, piece.Sizes, piece.Sent = size.CPU, size.Memory, nil, nil
		piece.Start = later(size.From, i.Start)
		if n+1 < len(i.Sizes) {
			piece.End = earlier(i.Sizes[n+1].From, i.End)
		}
		if !piece.Start.Before(piece.End) {
			continue
		}
		for _, sent := range i.Sent {
			if at := i.placed(sent.Hour); !at.Before(piece.Start) && at.Before(piece.End) {
				piece.Sent = append(piece.Sent, sent)
			}
		}
		all = append(all, piece)
	}
	return all
}
