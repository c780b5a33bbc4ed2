package engine

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"cis/api"
	"cis/internal/account"
)

// catalog has what instances are looked for by, oldest first, so that a page out of the
// middle of many costs no more than one of few.
type catalog struct {
	mu      sync.RWMutex
	entries map[string][]entry // by account
}

type entry struct {
	api.InstanceKeys
	created time.Time
}

func newCatalog() *catalog { return &catalog{entries: map[string][]entry{}} }

// publish tells of a change of an instance that is on record now.
func (e *Engine) publish(kind string, in api.Instance) {
	e.catalog.apply(kind, in)
	e.instances.publish(api.WatchEvent[api.Instance]{Type: kind, Object: in})
}

func (c *catalog) apply(kind string, in api.Instance) {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := c.entries[in.Account]
	at, there := slices.BinarySearchFunc(all, entryOf(in), func(a, b entry) int {
		if a.created.Equal(b.created) {
			return cmp.Compare(a.ID, b.ID)
		}
		return a.created.Compare(b.created)
	})
	switch {
	case kind == api.WatchDeleted && there:
		all = slices.Delete(all, at, at+1)
	case kind == api.WatchDeleted:
	case there:
		all[at] = entryOf(in)
	default:
		all = slices.Insert(all, at, entryOf(in))
	}
	c.entries[in.Account] = all
}

func entryOf(in api.Instance) entry {
	return entry{api.InstanceKeys{ID: in.ID, Name: in.Spec.Name, Labels: in.Spec.Labels, VPC: in.Spec.Network.VPC, Phase: in.Status.Phase,
		Address: in.Status.Address, PublicAddress: in.Status.PublicAddress}, in.CreatedAt}
}

// find returns the IDs of a page of those that match (nil: of all), and how many do.
func (c *catalog) find(owner string, match func(api.InstanceKeys) bool, offset, limit int) (ids []string, total int) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	all := c.entries[owner]
	if match == nil {
		for _, one := range all[min(offset, len(all)):min(offset+limit, len(all))] {
			ids = append(ids, one.ID)
		}
		return ids, len(all)
	}
	for _, one := range all {
		if !match(one.InstanceKeys) {
			continue
		}
		if total >= offset && len(ids) < limit {
			ids = append(ids, one.ID)
		}
		total++
	}
	return ids, total
}

// Search returns a page of the account's instances that match (nil: of all), oldest first,
// and how many match.
func (e *Engine) Search(ctx context.Context, match func(api.InstanceKeys) bool, offset, limit int) ([]api.Instance, int, error) {
	if err := oneAccount(ctx); err != nil {
		return nil, 0, err
	}
	ids, total := e.catalog.find(account.Of(ctx).Account, match, offset, limit)
	page, err := e.cfg.Store.InstancesByID(ctx, ids)
	return page, total, err
}
