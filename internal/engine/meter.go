package engine

import (
	"context"
	"slices"
	"strings"
	"time"

	"cis/api"
	"cis/internal/account"
	"cis/internal/agent/agentpb"
	"cis/internal/meter"
	"cis/internal/store"
)

// markEvery is how often it is recorded that programs run: when nobody can tell when
// they ended, they are paid for up to the last time.
const markEvery = 10 * time.Second

// meter marks what runs, again and again; Close does it a last time.
func (e *Engine) meter(ctx context.Context) {
	tick := time.NewTicker(markEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			e.mark(ctx)
			e.holdBudgets(ctx)
		}
	}
}

// mark records what is seen running, and what it has sent.
func (e *Engine) mark(ctx context.Context) {
	e.marking.Lock()
	defer e.marking.Unlock()
	now := time.Now().UTC()
	sent := map[string]int64{}
	for _, sandbox := range e.seenRunning() {
		sent[sandbox] = -1
		if _, tx, err := e.cfg.Network.Counters(ctx, sandbox); err == nil {
			sent[sandbox] = tx
		}
	}
	if len(sent) == 0 {
		return
	}
	if err := e.cfg.Store.MarkUsage(ctx, now, sent); err != nil {
		e.log.Error("usage cannot be recorded", "error", err)
	}
}

// seenRunning lists the sandboxes whose programs run and whose agent is connected.
func (e *Engine) seenRunning() (sandboxes []string) {
	e.mu.Lock()
	lives := make([]*life, 0, len(e.lives))
	for _, l := range e.lives {
		lives = append(lives, l)
	}
	e.mu.Unlock()
	for _, l := range lives {
		l.mu.Lock()
		run, client := l.rec.Run, l.client
		l.mu.Unlock()
		if !run.Clock.Open() || client == nil {
			continue
		}
		select {
		case <-client.Done():
		default:
			sandboxes = append(sandboxes, run.Sandbox)
		}
	}
	return sandboxes
}

// metered is the clock of the current sandbox, whose first program began then.
func (l *life) metered(in *store.Instance, began time.Time, s agentpb.State) *meter.Clock {
	c := in.Run.Clock
	switch {
	case c == nil:
		c = &meter.Clock{Start: began}
		return c.Bind(in.Status.PublicAddress != "", c.Start)
	case !c.Open() && !s.Finished && anyRuns(in.Status):
		return c.Resume() // it was given up, and lives
	}
	return c
}

// plausible is a time of the agent's, which has a clock of its own in a VM: not before
// it was given the programs, and not to come.
func (l *life) plausible(at time.Time) time.Time {
	if at.Before(l.issued) {
		at = l.issued
	}
	return earlier(at, time.Now()).Round(0).UTC() // the wall clock's time alone
}

// lastEnd is when the last program in the sandbox ended, as the agent has told, or else
// when it was last seen running. Zero: nothing is metered.
func (l *life) lastEnd(now time.Time) time.Time {
	rec, _ := l.snapshot()
	if !rec.Run.Clock.Open() {
		return time.Time{}
	}
	marked, err := l.e.cfg.Store.UsageSeen(context.WithoutCancel(l.e.ctx), rec.Run.Sandbox)
	if err != nil {
		l.e.log.Error("usage cannot be read", "instance", l.id, "error", err)
	}
	end := lastTold(rec.Status)
	if anyRuns(rec.Status) || end.IsZero() {
		if end = l.seen; end.IsZero() {
			end = marked // it was lost while nobody looked
		}
	}
	// An agent that was taken over in its VM cannot take back what was seen.
	if end.Before(marked.Add(-markEvery)) {
		end = marked
	}
	return earlier(end, now).UTC()
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// statusesOf are those of all containers.
func statusesOf(s api.InstanceStatus) []api.ContainerStatus {
	return slices.Concat(s.InitContainerStatuses, s.ContainerStatuses, s.EphemeralContainerStatuses)
}

func anyRuns(s api.InstanceStatus) bool {
	for _, c := range statusesOf(s) {
		if c.State.Running != nil {
			return true
		}
	}
	return false
}

// lastTold is the latest end of a program that was told.
func lastTold(s api.InstanceStatus) (last time.Time) {
	for _, c := range statusesOf(s) {
		for _, state := range []api.ContainerState{c.State, c.LastState} {
			if t := state.Terminated; t != nil && !t.StartedAt.IsZero() && t.FinishedAt.After(last) {
				last = t.FinishedAt
			}
		}
	}
	return last
}

// sent is the count of the sandbox's interface, or nil.
func (l *life) sent() *int64 {
	rec, _ := l.snapshot()
	if !rec.Run.Clock.Open() {
		return nil
	}
	_, tx, err := l.e.cfg.Network.Counters(context.WithoutCancel(l.e.ctx), rec.Run.Sandbox)
	if err != nil {
		return nil
	}
	return &tx
}

func idsOf(sandboxes []store.Sandbox) []string {
	ids := make([]string, len(sandboxes))
	for i, b := range sandboxes {
		ids[i] = b.ID
	}
	return ids
}

// Usage adds up what was used. The options are valid and have their defaults.
func (e *Engine) Usage(ctx context.Context, opts api.UsageOptions) (api.Usage, error) {
	id, err := e.eventInstance(ctx, opts.Instance)
	if isDiskID(opts.Instance) && api.CodeOf(err) == api.NotFound {
		id, err = opts.Instance, nil
	}
	if err != nil {
		return api.Usage{}, inField(err, "instance")
	}
	sum := meter.NewSum(opts, e.cfg.Prices, time.Now())
	if err := e.cfg.Store.Usage(ctx, account.Of(ctx).Account, opts.From, opts.To, id, sum.Add); err != nil {
		return api.Usage{}, err
	}
	return sum.Result(), nil
}

// isDiskID tells whether a name may be the ID of a disk, also of one that was removed.
func isDiskID(ref string) bool { return strings.HasPrefix(ref, "disk-") && len(ref) == len("disk-")+8 }

// Price says what an instance costs; auto is what that means here.
func (e *Engine) Price(_ context.Context, opts api.PriceOptions) (api.Price, error) {
	if opts.Isolation == api.IsolationAuto || opts.Isolation == "" {
		opts.Isolation = e.cfg.Default
	}
	return e.cfg.Prices.Price(opts), nil
}
