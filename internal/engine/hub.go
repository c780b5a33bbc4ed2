package engine

import (
	"context"
	"sync"

	"cis/api"
)

// hubHistory is how many changes a hub keeps for watches that go on from an
// earlier revision.
const hubHistory = 4096

// hub hands each published item, in order, to every watcher, and keeps the last
// ones. A watcher that falls behind its history is told so; it never slows the
// publisher.
type hub[T any] struct {
	mu      sync.Mutex
	items   []T   // the last hubHistory
	first   int64 // sequence number of items[0]
	changed chan struct{}
}

func newHub[T any]() *hub[T] { return &hub[T]{changed: make(chan struct{})} }

func (h *hub[T]) publish(item T) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.items) == hubHistory {
		h.items = append(h.items[:0], h.items[hubHistory/2:]...)
		h.first += hubHistory / 2
	}
	h.items = append(h.items, item)
	close(h.changed)
	h.changed = make(chan struct{})
}

// next is the sequence number that the next item will have.
func (h *hub[T]) next() int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.first + int64(len(h.items))
}

// oldest is the first item kept and its sequence number, if there is one.
func (h *hub[T]) oldest() (item T, at int64, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.items) == 0 {
		return item, 0, false
	}
	return h.items[0], h.first, true
}

// follow calls fn for each item from the sequence number on, until fn fails or
// ctx ends.
func (h *hub[T]) follow(ctx context.Context, from int64, fn func(T) error) error {
	for {
		h.mu.Lock()
		if from < h.first {
			h.mu.Unlock()
			return api.Errorf(api.Unavailable, "the watch fell too far behind").WithNext("list again and watch from the list's revision")
		}
		batch := append([]T(nil), h.items[from-h.first:]...)
		changed := h.changed
		h.mu.Unlock()
		for _, item := range batch {
			if err := fn(item); err != nil {
				return err
			}
		}
		from += int64(len(batch))
		if len(batch) > 0 {
			continue
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-changed:
		}
	}
}
