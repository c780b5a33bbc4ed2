package engine

import (
	"context"
	"encoding/base64"
	"fmt"
	"slices"
	"time"

	"cis/api"
	"cis/internal/account"
)

const (
	defaultPage = 500
	maxPage     = 1000
)

// pageLimit is how many items a page has at most, where so many are asked for; 0: the usual.
func pageLimit(asked int) (int, error) {
	if asked == 0 {
		return defaultPage, nil
	}
	if asked < 1 || asked > maxPage {
		return 0, api.FieldError("limit", "must be 1 to %d", maxPage)
	}
	return asked, nil
}

// eachPaged calls fn for what is on record, page by page until one is not full, and then for
// each item that a hub publishes from a place on. Items that come by both ways are fn's to
// know.
func eachPaged[T any](ctx context.Context, h *hub[T], from int64, page func() (api.List[T], error), fn func(T) error) error {
	for {
		items, err := page()
		if err != nil {
			return err
		}
		for _, one := range items.Items {
			if err := fn(one); err != nil {
				return err
			}
		}
		if len(items.Items) < maxPage {
			return h.follow(ctx, from, fn)
		}
	}
}

// List returns a page of the instances, oldest first.
func (e *Engine) List(ctx context.Context, opts api.ListOptions) (api.List[api.Instance], error) {
	page := api.List[api.Instance]{Items: []api.Instance{}, Revision: e.cfg.Store.Revision()}
	match, err := api.ParseSelector(opts.Selector)
	if err != nil {
		return page, err
	}
	limit, err := pageLimit(opts.Limit)
	if err != nil {
		return page, err
	}
	at, id, err := parseContinue(opts.Continue)
	if err != nil {
		return page, err
	}
	for {
		recs, err := e.cfg.Store.ListInstances(ctx, account.Of(ctx).Account, at, id, opts.Phases, limit)
		if err != nil {
			return page, err
		}
		for _, rec := range recs {
			at, id = rec.CreatedAt, rec.ID
			if !match.Matches(rec.Spec.Labels) {
				continue
			}
			if len(page.Items) == limit {
				last := page.Items[limit-1]
				page.Continue = continueToken(last.CreatedAt, last.ID)
				return page, nil
			}
			page.Items = append(page.Items, rec.Instance)
		}
		if len(recs) < limit {
			return page, nil
		}
	}
}

func continueToken(at time.Time, id string) string {
	return base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "%d %s", at.UnixNano(), id))
}

func parseContinue(token string) (at time.Time, id string, err error) {
	if token == "" {
		return at, "", nil
	}
	var nanos int64
	text, err := base64.RawURLEncoding.DecodeString(token)
	if err == nil {
		_, err = fmt.Sscanf(string(text), "%d %s", &nanos, &id)
	}
	if err != nil {
		return at, "", api.FieldError("continue", "is not a token of this server").WithNext("begin again without it")
	}
	return time.Unix(0, nanos), id, nil
}

// Watch calls fn for each change after the given revision, until fn fails or ctx
// ends. With revision 0 it first gives an ADDED for every instance there is.
func (e *Engine) Watch(ctx context.Context, opts api.ListOptions, since int64, fn func(api.WatchEvent[api.Instance]) error) error {
	match, err := api.ParseSelector(opts.Selector)
	if err != nil {
		return err
	}
	mine := account.Of(ctx)
	wanted := func(in api.Instance) bool {
		return match.Matches(in.Spec.Labels) && (len(opts.Phases) == 0 || slices.Contains(opts.Phases, in.Status.Phase))
	}
	from := e.instances.next()
	if since == 0 {
		if since, err = e.listAll(ctx, opts, fn); err != nil {
			return err
		}
	} else if from, err = e.seek(since); err != nil {
		return err
	}
	// Who was told of an instance is told too when it is none of the wanted any more.
	told := map[string]bool{}
	return e.instances.follow(ctx, from, func(ev api.WatchEvent[api.Instance]) error {
		id := ev.Object.ID
		if ev.Object.Revision <= since || !mine.Owns(ev.Object.Account) {
			return nil
		}
		if !wanted(ev.Object) {
			if !told[id] && len(opts.Phases) == 0 {
				return nil
			}
			delete(told, id)
			ev.Type = api.WatchDeleted
			return fn(ev)
		}
		told[id] = ev.Type != api.WatchDeleted
		return fn(ev)
	})
}

// listAll gives every instance as ADDED, and the revision up to which that holds.
func (e *Engine) listAll(ctx context.Context, opts api.ListOptions, fn func(api.WatchEvent[api.Instance]) error) (int64, error) {
	opts.Limit, opts.Continue = maxPage, ""
	var revision int64
	for {
		page, err := e.List(ctx, opts)
		if err != nil {
			return 0, err
		}
		if revision == 0 {
			revision = page.Revision
		}
		for _, in := range page.Items {
			if err := fn(api.WatchEvent[api.Instance]{Type: api.WatchAdded, Object: in}); err != nil {
				return 0, err
			}
		}
		if opts.Continue = page.Continue; opts.Continue == "" {
			return revision, nil
		}
	}
}

// seek finds where in the hub's history the changes after a revision begin.
func (e *Engine) seek(revision int64) (int64, error) {
	next, now := e.instances.next(), e.cfg.Store.Revision()
	if first, at, ok := e.instances.oldest(); ok && first.Object.Revision <= revision+1 {
		return at, nil
	}
	if revision >= now {
		return next, nil
	}
	err := api.FieldError("revision", "changes since %d are not kept any more", revision)
	return 0, err.WithNext("list again and watch from the list's revision")
}
