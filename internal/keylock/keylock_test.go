package keylock

import (
	"context"
	"errors"
	"sync"
	"testing"
)

func TestOneAtATime(t *testing.T) {
	var l Lock
	var all sync.WaitGroup
	counts := map[string]*int{"a": new(int), "b": new(int)}
	for range 200 {
		for key, n := range counts {
			all.Go(func() {
				unlock, err := l.Lock(t.Context(), key)
				if err != nil {
					t.Error(err)
					return
				}
				*n++
				unlock()
			})
		}
	}
	all.Wait()
	if *counts["a"] != 200 || *counts["b"] != 200 {
		t.Errorf("counted %d and %d", *counts["a"], *counts["b"])
	}
	if !l.Idle() {
		t.Error("locks are left")
	}
}

func TestWaitingEndsWithItsContext(t *testing.T) {
	var l Lock
	unlock, err := l.Lock(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := l.Lock(ctx, "a"); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	unlock()
	unlock, err = l.Lock(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	unlock()
}
