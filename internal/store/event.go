package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"cis/api"
)

// keptEvents is how many events of an instance stay on record, the latest ones: in a VM
// that was taken over an agent may tell of as many as it likes.
const keptEvents = 1000

// AddEvent records an event, or counts it where the same one (instance,
// container, type, reason, message) is on record. It returns what is on record.
// then gets it before any later event is recorded.
func (s *Store) AddEvent(ctx context.Context, e api.Event, then func(api.Event)) (api.Event, error) {
	e.FirstSeen, e.Count = e.LastSeen, 1
	s.write.Lock()
	defer s.write.Unlock()
	err := transact(ctx, s.relaxed, func(tx *sql.Tx) error {
		var first int64
		err := tx.QueryRow(`SELECT id, first_seen, count FROM events
			WHERE instance=? AND reason=? AND container=? AND type=? AND message=?`,
			e.InstanceID, e.Reason, e.Container, e.Type, e.Message).Scan(&e.ID, &first, &e.Count)
		if err == nil {
			// A counted event gets a new ID, so that watches that go on from an ID see it.
			if _, err := tx.Exec("DELETE FROM events WHERE id=?", e.ID); err != nil {
				return err
			}
			e.FirstSeen = time.Unix(0, first).UTC()
			e.Count++
		} else if !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		res, err := tx.Exec(`INSERT INTO events (account,instance,name,container,type,reason,message,first_seen,last_seen,count)
			VALUES (?,?,?,?,?,?,?,?,?,?)`, e.Account, e.InstanceID, e.Instance, e.Container, e.Type, e.Reason, e.Message,
			e.FirstSeen.UnixNano(), e.LastSeen.UnixNano(), e.Count)
		if err != nil {
			return err
		}
		if e.ID, err = res.LastInsertId(); err != nil {
			return err
		}
		_, err = tx.Exec(`DELETE FROM events WHERE instance=? AND id<=
			(SELECT id FROM events WHERE instance=? ORDER BY id DESC LIMIT 1 OFFSET ?)`, e.InstanceID, e.InstanceID, keptEvents)
		return err
	})
	if err != nil {
		return e, fmt.Errorf("record event: %w", err)
	}
	then(e)
	return e, nil
}

// Events returns up to limit events of an account (empty: of all) with an ID after since,
// oldest first, of one instance (by ID) or (empty) of all.
func (s *Store) Events(ctx context.Context, account, instance string, since int64, limit int) ([]api.Event, error) {
	where, args := owned(account)
	if instance != "" {
		where, args = where+" AND instance=?", append(args, instance)
	}
	rows, err := s.read.QueryContext(ctx, `SELECT id,account,instance,name,container,type,reason,message,first_seen,last_seen,count
		FROM events WHERE id>? AND `+where+" ORDER BY id LIMIT ?", append(append([]any{since}, args...), limit)...)
	if err != nil {
		return nil, fmt.Errorf("read events: %w", err)
	}
	defer rows.Close()
	var all []api.Event
	for rows.Next() {
		var e api.Event
		var first, last int64
		if err := rows.Scan(&e.ID, &e.Account, &e.InstanceID, &e.Instance, &e.Container, &e.Type, &e.Reason, &e.Message, &first, &last, &e.Count); err != nil {
			return nil, fmt.Errorf("read events: %w", err)
		}
		e.FirstSeen, e.LastSeen = time.Unix(0, first).UTC(), time.Unix(0, last).UTC()
		all = append(all, e)
	}
	return all, rows.Err()
}

// ForgetEvents removes events last seen before the given time.
func (s *Store) ForgetEvents(ctx context.Context, before time.Time) error {
	return s.update(ctx, s.relaxed, func(tx *sql.Tx) error {
		_, err := tx.Exec("DELETE FROM events WHERE last_seen<?", before.UnixNano())
		return err
	})
}
