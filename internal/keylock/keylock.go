// Package keylock is a mutex for each key, made when it is needed and gone with its
// last user.
package keylock

import (
	"context"
	"sync"
)

// Lock is a mutex for each key. The zero value is ready.
type Lock struct {
	mu    sync.Mutex
	locks map[string]*entry
}

type entry struct {
	free  chan struct{} // holds one value while nobody has the lock
	users int           // who have it or wait for it
}

// Idle tells whether nobody has or waits for any key.
func (l *Lock) Idle() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.locks) == 0
}

// Lock waits until the key is free or ctx ends, then with ctx's error.
func (l *Lock) Lock(ctx context.Context, key string) (unlock func(), err error) {
	l.mu.Lock()
	if l.locks == nil {
		l.locks = map[string]*entry{}
	}
	k := l.locks[key]
	if k == nil {
		k = &entry{free: make(chan struct{}, 1)}
		k.free <- struct{}{}
		l.locks[key] = k
	}
	k.users++
	l.mu.Unlock()
	leave := func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if k.users--; k.users == 0 {
			delete(l.locks, key)
		}
	}
	select {
	case <-k.free:
		return func() { k.free <- struct{}{}; leave() }, nil
	case <-ctx.Done():
		leave()
		return nil, ctx.Err()
	}
}
