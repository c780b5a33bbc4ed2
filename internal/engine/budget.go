package engine

import (
	"context"
	"sync"
	"time"

	"cis/api"
	"cis/internal/meter"
	"cis/internal/store"
)

// spentFresh is how long what an account has spent need not be added up again.
const spentFresh = 10 * time.Second

// spending remembers what accounts have spent this month, for a moment.
type spending struct {
	mu   sync.Mutex
	last map[string]spentAt
}

type spentAt struct {
	at     time.Time
	amount api.Decimal
}

// checkBudget refuses a budget where nothing has a price.
func (e *Engine) checkBudget(b *api.Budget) error {
	if b != nil && b.Amount != "" && e.cfg.Prices == nil {
		return api.FieldError("budget", "needs prices, and this cisd has none").WithNext("start it with -prices FILE")
	}
	return nil
}

// spent is what an account has cost this month, in UTC.
func (e *Engine) spent(ctx context.Context, name string) (api.Decimal, error) {
	s := &e.spending
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now().UTC()
	if last, ok := s.last[name]; ok && now.Sub(last.at) < spentFresh && now.Month() == last.at.Month() {
		return last.amount, nil
	}
	var opts api.UsageOptions
	opts.Default(now)
	sum := meter.NewSum(opts, e.cfg.Prices, now)
	if err := e.cfg.Store.Usage(ctx, name, opts.From, opts.To, "", sum.Add); err != nil {
		return "", err
	}
	amount := sum.Result().Total.Cost
	if s.last == nil {
		s.last = map[string]spentAt{}
	}
	s.last[name] = spentAt{now, amount}
	return amount, nil
}

// overBudget tells whether an account has used its budget up, and how.
func (e *Engine) overBudget(ctx context.Context, a api.Account) (spent api.Decimal, over bool, err error) {
	if a.Budget == nil || e.cfg.Prices == nil {
		return "", false, nil
	}
	limit, ok := a.Budget.Amount.Rat()
	if spent, err = e.spent(ctx, a.Name); err != nil || !ok {
		return spent, false, err
	}
	amount, ok := spent.Rat()
	return spent, ok && amount.Cmp(limit) >= 0, nil
}

// withinBudget refuses to start something for an account that has used its budget up.
func (e *Engine) withinBudget(ctx context.Context, a api.Account) error {
	spent, over, err := e.overBudget(ctx, a)
	if err != nil || !over {
		return err
	}
	return api.Errorf(api.Exhausted, "account %s has spent %s of its budget of %s for this month", a.Name, spent, a.Budget.Amount).
		WithNext("wait for the next month, or have it raised: `cis account update %s --budget AMOUNT`", a.Name)
}

// holdBudgets stops what runs for accounts that have used their budget up, and want that.
func (e *Engine) holdBudgets(ctx context.Context) {
	accounts, _ := e.Accounts(ctx)
	for _, a := range accounts {
		if a.Budget == nil || !a.Budget.Stop {
			continue
		}
		spent, over, err := e.overBudget(ctx, a)
		if err != nil {
			e.log.Error("what an account has spent cannot be added up", "account", a.Name, "error", err)
		}
		if over {
			e.stopAll(a, "the budget of "+string(a.Budget.Amount)+" for this month is used up: "+string(spent))
		}
	}
}

// stopAll begins to stop everything of an account.
func (e *Engine) stopAll(a api.Account, why string) {
	e.mu.Lock()
	var theirs []*life
	for _, l := range e.lives {
		if rec, _ := l.snapshot(); rec.Account == a.Name && !rec.Run.Stop {
			theirs = append(theirs, l)
		}
	}
	e.mu.Unlock()
	for _, l := range theirs {
		err := l.requestStop(nil, func(r *store.Run) { r.Again, r.StopReason, r.StopMessage = false, api.ReasonBudgetSpent, why })
		if err != nil {
			e.log.Error("an instance cannot be stopped", "instance", l.id, "error", err)
		}
	}
}
