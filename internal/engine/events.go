package engine

import (
	"context"

	"cis/api"
	"cis/internal/account"
)

// record writes an event down and tells the watchers. An event that cannot be
// written is logged: the instance goes on.
func (e *Engine) record(ev api.Event) {
	if _, err := e.cfg.Store.AddEvent(e.ctx, ev, e.events.publish); err != nil {
		e.log.Error("an event is not on record", "instance", ev.InstanceID, "reason", ev.Reason, "message", ev.Message, "error", err)
	}
}

// Events returns events, oldest first.
func (e *Engine) Events(ctx context.Context, opts api.EventOptions) (api.List[api.Event], error) {
	page := api.List[api.Event]{Items: []api.Event{}}
	limit, err := pageLimit(opts.Limit)
	if err != nil {
		return page, err
	}
	id, err := e.eventInstance(ctx, opts.Instance)
	if err != nil {
		return page, err
	}
	events, err := e.cfg.Store.Events(ctx, account.Of(ctx).Account, id, opts.Since, limit)
	if err == nil {
		page.Items = append(page.Items, events...)
	}
	return page, err
}

// WatchEvents calls fn for each event after opts.Since, until fn fails or ctx ends.
func (e *Engine) WatchEvents(ctx context.Context, opts api.EventOptions, fn func(api.Event) error) error {
	from, mine := e.events.next(), account.Of(ctx)
	opts.Limit = maxPage
	id, err := e.eventInstance(ctx, opts.Instance)
	if err != nil {
		return err
	}
	return eachPaged(ctx, e.events, from, func() (api.List[api.Event], error) { return e.Events(ctx, opts) }, func(ev api.Event) error {
		if ev.ID <= opts.Since || !mine.Owns(ev.Account) || id != "" && ev.InstanceID != id {
			return nil
		}
		opts.Since = ev.ID
		return fn(ev)
	})
}

// eventInstance is the ID behind a ref. Events outlive their instance, so a whole
// ID need not be on record.
func (e *Engine) eventInstance(ctx context.Context, ref string) (string, error) {
	if ref == "" {
		return "", nil
	}
	rec, err := e.find(ctx, ref)
	if api.CodeOf(err) == api.NotFound && len(ref) == len("i-")+12 {
		return ref, nil
	}
	if err != nil {
		return "", err
	}
	return rec.ID, nil
}
