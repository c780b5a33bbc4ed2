package pods

import (
	"context"
	"log/slog"
	"maps"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"cis-kubelet/internal/translate"
	"cis/api"
)

// mirror holds the node's instances as cis tells them, by the UID of their pods.
type mirror struct {
	cis     Cis
	options api.ListOptions
	log     *slog.Logger
	changed func(types.UID)
	// connected is told of each list and of each end of a watch.
	connected func(error)
	// listed is closed after the first list.
	listed chan struct{}
	once   sync.Once

	mu   sync.Mutex
	byID map[types.UID]api.Instance
}

func newMirror(cis Cis, node string, log *slog.Logger, changed func(types.UID), connected func(error)) *mirror {
	return &mirror{
		cis: cis, options: api.ListOptions{Selector: translate.LabelNode + "=" + node, Limit: 1000}, log: log,
		changed: changed, connected: connected, listed: make(chan struct{}), byID: map[types.UID]api.Instance{},
	}
}

// run lists and watches until ctx ends; after a broken watch it begins again.
func (m *mirror) run(ctx context.Context) {
	for wait := retryMin; ctx.Err() == nil; wait = min(2*wait, retryMax) {
		revision, err := m.list(ctx)
		m.connected(err)
		if err == nil {
			m.once.Do(func() { close(m.listed) })
			wait = retryMin
			err = m.cis.Watch(ctx, api.ListOptions{Selector: m.options.Selector}, revision, m.take)
		}
		if ctx.Err() != nil {
			return
		}
		m.log.Warn("the instances are not watched", "error", err, "again in", wait)
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
}

const (
	retryMin = 200 * time.Millisecond
	retryMax = 5 * time.Second
)

// list takes over all there are, and returns the revision to watch from.
func (m *mirror) list(ctx context.Context) (revision int64, err error) {
	seen := map[types.UID]bool{}
	for opts := m.options; ; {
		page, err := m.cis.List(ctx, opts)
		if err != nil {
			return 0, err
		}
		if revision == 0 {
			revision = page.Revision
		}
		for _, in := range page.Items {
			seen[uidOf(in)] = true
			m.put(in)
		}
		if opts.Continue = page.Continue; opts.Continue == "" {
			m.keepOnly(seen, revision)
			return revision, nil
		}
	}
}

// keepOnly drops what is not on the list, but for what is younger than it.
func (m *mirror) keepOnly(seen map[types.UID]bool, revision int64) {
	for uid, in := range m.all() {
		if !seen[uid] && in.Revision <= revision {
			m.drop(uid, in.ID)
		}
	}
}

func (m *mirror) take(ev api.WatchEvent[api.Instance]) error {
	if ev.Type == api.WatchDeleted {
		m.drop(uidOf(ev.Object), ev.Object.ID)
	} else {
		m.put(ev.Object)
	}
	return nil
}

// put takes an instance over, unless a later state of it is known.
func (m *mirror) put(in api.Instance) {
	uid := uidOf(in)
	m.mu.Lock()
	old, ok := m.byID[uid]
	newer := !ok || old.ID != in.ID || in.Revision > old.Revision
	if newer {
		m.byID[uid] = in
	}
	m.mu.Unlock()
	if newer {
		m.changed(uid)
	}
}

func (m *mirror) drop(uid types.UID, id string) {
	m.mu.Lock()
	gone := m.byID[uid].ID == id
	if gone {
		delete(m.byID, uid)
	}
	m.mu.Unlock()
	if gone {
		m.changed(uid)
	}
}

func (m *mirror) get(uid types.UID) (api.Instance, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	in, ok := m.byID[uid]
	return in, ok
}

func (m *mirror) all() map[types.UID]api.Instance {
	m.mu.Lock()
	defer m.mu.Unlock()
	return maps.Clone(m.byID)
}

func uidOf(in api.Instance) types.UID { return types.UID(in.Spec.Labels[translate.LabelUID]) }
