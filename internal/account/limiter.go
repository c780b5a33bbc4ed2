package account

import (
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Limiter bounds how often each key may do each action.
type Limiter struct {
	perSecond int

	mu      sync.Mutex
	buckets map[bucketOf]*rate.Limiter
	swept   time.Time
}

type bucketOf struct{ key, action string }

// NewLimiter allows so many requests a second, and as many at once. 0: any number.
func NewLimiter(perSecond int) *Limiter {
	return &Limiter{perSecond: perSecond, buckets: map[bucketOf]*rate.Limiter{}}
}

// Allow tells whether a key may do an action now, and counts it if so. Who has the socket
// has no key and is not bounded.
func (l *Limiter) Allow(c Caller, action string) bool {
	if l.perSecond == 0 || c.Key == "" {
		return true
	}
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sweep(now)
	b := l.buckets[bucketOf{c.Key, action}]
	if b == nil {
		b = rate.NewLimiter(rate.Limit(l.perSecond), l.perSecond)
		l.buckets[bucketOf{c.Key, action}] = b
	}
	return b.AllowN(now, 1)
}

// sweep forgets, once a minute, the buckets that are full again; mu is held.
func (l *Limiter) sweep(now time.Time) {
	if now.Sub(l.swept) < time.Minute {
		return
	}
	l.swept = now
	for of, b := range l.buckets {
		if b.TokensAt(now) >= float64(l.perSecond) {
			delete(l.buckets, of)
		}
	}
}
