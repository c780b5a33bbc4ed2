package account

import (
	"testing"
	"time"
)

func TestLimiter(t *testing.T) {
	l := NewLimiter(3)
	allowed := func(key, action string) (n int) {
		for range 10 {
			if l.Allow(Caller{Key: key}, action) {
				n++
			}
		}
		return n
	}
	if n := allowed("a", "list"); n < 3 || n > 4 {
		t.Errorf("%d of 10 at once", n)
	}
	if allowed("a", "create") < 3 || allowed("b", "list") < 3 {
		t.Error("another action, or key, is held up")
	}
	if allowed("", "list") != 10 {
		t.Error("the socket is held up")
	}
	l.mu.Lock()
	l.sweep(l.swept.Add(time.Hour))
	left := len(l.buckets)
	l.mu.Unlock()
	if left != 0 {
		t.Errorf("%d buckets are kept", left)
	}
	l = NewLimiter(0)
	if allowed("a", "list") != 10 {
		t.Error("no bound bounds")
	}
}
