package image

import (
	"context"
	"sync"
)

// flights lets callers that want the same thing share one run of the work. The
// zero value is ready.
type flights struct {
	mu     sync.Mutex
	flying map[string]*flight
}

// flight is one run. It ends early only when nobody waits for it any more.
type flight struct {
	progress *tracker
	cancel   context.CancelFunc
	waiters  int
	done     chan struct{}

	// Set before done is closed. The flight holds a lease of its own until
	// its last waiter has got one.
	lease *Lease
	err   error
}

// do joins the flight of that key, or starts it with work, and returns a lease
// of what it made. report gets the progress, in this goroutine. A caller whose
// ctx ends leaves alone.
func (g *flights) do(ctx context.Context, key string, report func(Progress), work func(context.Context, *tracker) (*Lease, error)) (*Lease, error) {
	f := g.join(ctx, key, work)
	defer g.leave(key, f)
	for {
		now, changed := f.progress.get()
		if report != nil {
			report(now)
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-changed:
		case <-f.done:
			if f.err != nil {
				return nil, f.err
			}
			if now, _ := f.progress.get(); report != nil {
				report(now)
			}
			return f.lease.again(), nil
		}
	}
}

func (g *flights) join(ctx context.Context, key string, work func(context.Context, *tracker) (*Lease, error)) *flight {
	g.mu.Lock()
	defer g.mu.Unlock()
	f := g.flying[key]
	if f == nil {
		if g.flying == nil {
			g.flying = map[string]*flight{}
		}
		ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
		f = &flight{progress: newTracker(), cancel: cancel, done: make(chan struct{})}
		g.flying[key] = f
		go g.run(ctx, key, f, work)
	}
	f.waiters++
	return f
}

func (g *flights) run(ctx context.Context, key string, f *flight, work func(context.Context, *tracker) (*Lease, error)) {
	lease, err := work(ctx, f.progress)
	g.mu.Lock()
	defer g.mu.Unlock()
	f.lease, f.err = lease, err
	close(f.done)
	g.forget(key, f)
	if f.waiters == 0 {
		f.end()
	}
}

func (g *flights) leave(key string, f *flight) {
	g.mu.Lock()
	defer g.mu.Unlock()
	f.waiters--
	if f.waiters > 0 {
		return
	}
	f.cancel()
	g.forget(key, f)
	select {
	case <-f.done:
		f.end()
	default: // run ends it
	}
}

// forget makes the next caller start anew. mu is held.
func (g *flights) forget(key string, f *flight) {
	if g.flying[key] == f {
		delete(g.flying, key)
	}
}

// end gives up the flight's own lease and context.
func (f *flight) end() {
	f.cancel()
	if f.lease != nil {
		f.lease.Release()
	}
}
