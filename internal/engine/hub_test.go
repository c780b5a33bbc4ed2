package engine

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"

	"cis/api"
)

func TestEveryFollowerSeesEveryItemInOrder(t *testing.T) {
	h := newHub[int]()
	const items, followers = 3000, 4
	var wg sync.WaitGroup
	done := errors.New("done")
	for range followers {
		from := h.next()
		wg.Go(func() {
			want := 0
			err := h.follow(t.Context(), from, func(n int) error {
				if n != want {
					t.Errorf("got %d, want %d", n, want)
				}
				if want++; want == items {
					return done
				}
				return nil
			})
			if err != done {
				t.Error(err)
			}
		})
	}
	for n := range items {
		h.publish(n)
	}
	wg.Wait()
}

func TestFollowerThatFellBehindIsTold(t *testing.T) {
	h := newHub[int]()
	for n := range 3 * hubHistory {
		h.publish(n)
	}
	if err := h.follow(t.Context(), 0, func(int) error { return nil }); api.CodeOf(err) != api.Unavailable {
		t.Errorf("got %v", err)
	}
	first, at, ok := h.oldest()
	if !ok || int64(first) != at {
		t.Errorf("the oldest is %d at %d", first, at)
	}
}

func TestFollowEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHub[int]()
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- h.follow(ctx, 0, func(int) error { return nil }) }()
		synctest.Wait()
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	})
}
