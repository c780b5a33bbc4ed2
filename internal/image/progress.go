package image

import (
	"sync"
	"time"
)

// Phase is what a pull is busy with.
type Phase string

// The phases, in order. Flattening begins while later layers still come in; the
// phase is Downloading until the last one is here.
const (
	Resolving   Phase = "resolving"
	Downloading Phase = "downloading"
	Flattening  Phase = "flattening"
)

// Progress is how far a pull has come.
type Progress struct {
	Phase Phase
	// Bytes of TotalBytes of compressed layers are here.
	Bytes, TotalBytes int64
	// LayersDone of Layers are flattened.
	LayersDone, Layers int
}

// progressStep is the shortest time between two reports of bytes alone.
const progressStep = 100 * time.Millisecond

// tracker is the progress of one pull, watched by any number of waiters.
type tracker struct {
	mu      sync.Mutex
	now     Progress
	changed chan struct{} // closed at the next change
	told    time.Time
}

func newTracker() *tracker {
	return &tracker{now: Progress{Phase: Resolving}, changed: make(chan struct{})}
}

// get returns the progress and a channel that is closed when it changes.
func (t *tracker) get() (Progress, <-chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.now, t.changed
}

// set edits the progress and tells the waiters.
func (t *tracker) set(edit func(*Progress)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	edit(&t.now)
	t.tell()
}

// add counts bytes, and tells the waiters now and then.
func (t *tracker) add(n int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.now.Bytes += n
	if time.Since(t.told) >= progressStep {
		t.tell()
	}
}

func (t *tracker) tell() {
	close(t.changed)
	t.changed = make(chan struct{})
	t.told = time.Now()
}
