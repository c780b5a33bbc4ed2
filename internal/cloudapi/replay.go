package cloudapi

import (
	"crypto/sha256"
	"sync"
	"time"

	"cis/internal/cloudapi/cloud"
)

// How many signatures are remembered at the same time: in all, and of one key. Whoever
// makes more changes than that in ten minutes has to wait.
const (
	maxSeen      = 1 << 18
	maxSeenByKey = 1 << 16
)

// replays remembers the signatures of requests that changed something for as long as they
// would be accepted. It forgets by halves: no signature is accepted for longer than twice
// the skew, so what is older than a half is.
type replays struct {
	mu       sync.Mutex
	now, old half
	since    time.Time
}

type half struct {
	seen  map[[16]byte]struct{}
	byKey map[string]int
}

func newHalf() half { return half{seen: map[[16]byte]struct{}{}, byKey: map[string]int{}} }

// note remembers a signature of a key, and refuses one that it remembers.
func (r *replays) note(key, action, signature string, now time.Time) error {
	id := seenID(key, action, signature)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.now.seen == nil || now.Sub(r.since) > 2*maxSkew {
		r.old, r.now, r.since = r.now, newHalf(), now
	}
	_, seen := r.now.seen[id]
	if _, before := r.old.seen[id]; seen || before {
		return cloud.Errorf(cloud.SignatureFailure, "this signed request was carried out already: sign anew to do it again, a second later")
	}
	if len(r.now.seen) >= maxSeen || r.now.byKey[key] >= maxSeenByKey {
		return cloud.Errorf(cloud.RequestLimitExceeded, "too many changes in ten minutes: try again later")
	}
	r.now.seen[id] = struct{}{}
	r.now.byKey[key]++
	return nil
}

// forget lets a request whose change was refused be sent again as it is.
func (r *replays) forget(key, action, signature string) {
	id := seenID(key, action, signature)
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.now.seen, id)
	delete(r.old.seen, id)
}

func seenID(key, action, signature string) [16]byte {
	sum := sha256.Sum256([]byte(key + "\n" + action + "\n" + signature))
	return [16]byte(sum[:16])
}
