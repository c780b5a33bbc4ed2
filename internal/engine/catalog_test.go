package engine

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"cis/api"
	"cis/internal/account"
)

// The catalog finds what a list of everything finds, whatever came and went.
func TestCatalog(t *testing.T) {
	c := newCatalog()
	var have []api.Instance
	for n := range 2000 {
		switch k := rand.IntN(4); {
		case k < 2 || len(have) == 0:
			in := api.Instance{ID: fmt.Sprintf("i-%012x", rand.IntN(1<<30)), Account: "a", CreatedAt: time.Unix(int64(rand.IntN(50)), 0),
				Spec: api.InstanceSpec{Name: fmt.Sprintf("n%d", n)}}
			have = append(have, in)
			c.apply(api.WatchAdded, in)
		case k == 2:
			i := rand.IntN(len(have))
			have[i].Status.Phase = api.PhaseFailed
			c.apply(api.WatchModified, have[i])
		default:
			i := rand.IntN(len(have))
			c.apply(api.WatchDeleted, have[i])
			c.apply(api.WatchDeleted, have[i])
			have = slices.Delete(have, i, i+1)
		}
	}
	slices.SortFunc(have, func(a, b api.Instance) int {
		if a.CreatedAt.Equal(b.CreatedAt) {
			return strings.Compare(a.ID, b.ID)
		}
		return a.CreatedAt.Compare(b.CreatedAt)
	})
	for _, match := range []func(api.InstanceKeys) bool{nil, func(k api.InstanceKeys) bool { return k.Phase == api.PhaseFailed }} {
		var want []string
		for _, in := range have {
			if match == nil || in.Status.Phase == api.PhaseFailed {
				want = append(want, in.ID)
			}
		}
		for _, window := range [][2]int{{0, 10}, {7, 100}, {len(want) - 1, 5}, {len(want), 5}, {1 << 30, 1}} {
			got, total := c.find("a", match, window[0], window[1])
			from := min(window[0], len(want))
			if total != len(want) || !slices.Equal(got, want[from:min(from+window[1], len(want))]) {
				t.Errorf("%v: %d of %d, want %d", window, len(got), total, len(want))
			}
		}
	}
	if got, total := c.find("b", nil, 0, 10); len(got)+total != 0 {
		t.Errorf("another account finds %v", got)
	}
}

func TestSearch(t *testing.T) {
	b := newBench(t)
	for i := range 3 {
		b.create(request(fmt.Sprintf("n%d", i), "echo"))
	}
	b.remove("n1", true)
	b.reopen()
	page, total, err := b.Search(t.Context(), func(k api.InstanceKeys) bool { return strings.HasPrefix(k.Name, "n") && k.VPC == "default" }, 1, 5)
	if err != nil || total != 2 || len(page) != 1 || page[0].Spec.Name != "n2" || page[0].Account != account.Default {
		t.Errorf("%+v of %d, %v", page, total, err)
	}
}
