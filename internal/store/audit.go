package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"math"
	"time"

	"cis/api"
)

// AddAudit records what was done, and gives it its ID. then gets it before any later entry
// is recorded. It is on disk with the next durable change, a crash of the process it
// survives.
func (s *Store) AddAudit(ctx context.Context, e api.AuditEntry, then func(api.AuditEntry)) error {
	s.write.Lock()
	defer s.write.Unlock()
	err := transact(ctx, s.relaxed, func(tx *sql.Tx) error {
		doc, err := json.Marshal(e)
		if err != nil {
			return err
		}
		res, err := tx.Exec("INSERT INTO audit (account,at,doc) VALUES (?,?,?)", e.Account, e.Time.UnixNano(), string(doc))
		if err == nil {
			e.ID, err = res.LastInsertId()
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("record what was done: %w", err)
	}
	then(e)
	return nil
}

// Audit returns up to limit entries of an account (empty: of all) with an ID after since and
// from one time to before another (zero: no bound), oldest first.
func (s *Store) Audit(ctx context.Context, account string, opts api.AuditOptions, limit int) ([]api.AuditEntry, error) {
	to := int64(math.MaxInt64)
	if !opts.To.IsZero() {
		to = opts.To.UnixNano()
	}
	where, args := owned(account)
	args = append([]any{opts.Since, nanos(opts.From), to}, args...)
	return docs[api.AuditEntry](ctx, s, "SELECT json_set(doc,'$.id',id) FROM audit WHERE id>? AND at>=? AND at<? AND "+where+
		" ORDER BY id LIMIT ?", append(args, limit)...)
}

// ForgetAudit removes the entries from before a time.
func (s *Store) ForgetAudit(ctx context.Context, before time.Time) error {
	return s.update(ctx, s.relaxed, func(tx *sql.Tx) error {
		_, err := tx.Exec("DELETE FROM audit WHERE at<?", before.UnixNano())
		return err
	})
}
