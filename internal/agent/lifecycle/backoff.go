package lifecycle

import "time"

// The kubelet's restart back-off: none before the first restart, then doubling, and
// from the beginning again after a long run.
const (
	backoffFirst = 10 * time.Second
	backoffMax   = 5 * time.Minute
	backoffReset = 10 * time.Minute
)

// backoff decides how long a container waits for its next start.
type backoff struct{ next time.Duration }

// delay is the wait after a run that ended.
func (b *backoff) delay(started, finished time.Time) time.Duration {
	if !started.IsZero() && finished.Sub(started) > backoffReset {
		b.next = 0
	}
	d := b.next
	b.next = min(max(2*d, backoffFirst), backoffMax)
	return d
}
