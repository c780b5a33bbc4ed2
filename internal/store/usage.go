package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"cis/api"
	"cis/internal/meter"
)

// meter writes down the interval of the instance's current sandbox as the clock in its
// record has it. Doing so again changes nothing.
func (in *Instance) meter(tx *sql.Tx) error {
	c := in.Run.Clock
	if c == nil || in.Run.Sandbox == "" {
		return nil
	}
	want, err := spansOf(c)
	if err != nil {
		return err
	}
	var end sql.NullInt64
	var have spans
	err = tx.QueryRow("SELECT ended_at, addresses, sizes FROM usage WHERE sandbox=?", in.Run.Sandbox).Scan(&end, &have.addresses, &have.sizes)
	if errors.Is(err, sql.ErrNoRows) {
		err = in.beginUsage(tx, want)
		have = want
	}
	if err != nil || have == want && end == endOf(c) {
		return err
	}
	_, err = tx.Exec("UPDATE usage SET ended_at=?, addresses=?, sizes=? WHERE sandbox=?", endOf(c), want.addresses, want.sizes, in.Run.Sandbox)
	if err == nil && !end.Valid && !c.Open() && c.Sent != nil {
		err = countSent(tx, in.Run.Sandbox, *c.Sent, c.End.Add(-1))
	}
	return err
}

// spans are what held for parts of an interval, as JSON.
type spans struct{ addresses, sizes string }

func spansOf(c *meter.Clock) (spans, error) {
	addresses, err := json.Marshal(c.Addresses)
	if err != nil {
		return spans{}, err
	}
	sizes, err := json.Marshal(c.Sizes)
	return spans{string(addresses), string(sizes)}, err
}

func (in *Instance) beginUsage(tx *sql.Tx, s spans) error {
	labels, err := json.Marshal(in.Spec.Labels)
	if err != nil {
		return err
	}
	start, size := in.Run.Clock.Start.UnixNano(), in.Spec.Resources()
	if sizes := in.Run.Clock.Sizes; len(sizes) > 0 {
		size = api.ResourceList{CPU: sizes[0].CPU, Memory: sizes[0].Memory}
	}
	_, err = tx.Exec(`INSERT INTO usage (account,sandbox,instance,name,labels,isolation,cpu,memory,storage,run,started_at,seen_at,addresses,sizes)
		VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?)`, in.Account, in.Run.Sandbox, in.ID, in.Spec.Name, labels, in.Status.Isolation, size.CPU, size.Memory,
		in.Spec.EphemeralStorage, in.Run.Number, start, start, s.addresses, s.sizes)
	return err
}

func endOf(c *meter.Clock) sql.NullInt64 {
	if c.Open() {
		return sql.NullInt64{}
	}
	return sql.NullInt64{Int64: c.End.UnixNano(), Valid: true}
}

// countSent takes over the count of a sandbox's interface. One that is lower than the
// last is of an interface that was made anew.
func countSent(tx *sql.Tx, sandbox string, count int64, at time.Time) error {
	var last int64
	if err := tx.QueryRow("SELECT counter FROM usage WHERE sandbox=?", sandbox).Scan(&last); err != nil {
		return err
	}
	more := count - last
	if more < 0 {
		more = count
	}
	if more == 0 {
		return nil
	}
	if _, err := tx.Exec("UPDATE usage SET counter=? WHERE sandbox=?", count, sandbox); err != nil {
		return err
	}
	_, err := tx.Exec("INSERT INTO usage_sent (sandbox,hour,bytes) VALUES (?,?,?) ON CONFLICT DO UPDATE SET bytes=bytes+excluded.bytes",
		sandbox, at.UTC().Truncate(time.Hour).UnixNano(), more)
	return err
}

// MarkUsage records, durably, that the programs in these sandboxes run at that time, and
// the counts of their interfaces (negative: unknown). An interval that has ended stays as
// it is.
func (s *Store) MarkUsage(ctx context.Context, at time.Time, sent map[string]int64) error {
	err := s.update(ctx, s.durable, func(tx *sql.Tx) error {
		for sandbox, count := range sent {
			err := affected(tx.Exec("UPDATE usage SET seen_at=max(seen_at,?) WHERE sandbox=? AND ended_at IS NULL", at.UnixNano(), sandbox))
			if errors.Is(err, ErrNotFound) {
				continue
			}
			if err == nil && count >= 0 {
				err = countSent(tx, sandbox, count, at)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("mark usage: %w", err)
	}
	return nil
}

// UsageSeen is when the programs in a sandbox were last recorded as running; zero if
// they never were.
func (s *Store) UsageSeen(ctx context.Context, sandbox string) (time.Time, error) {
	var at int64
	err := s.read.QueryRowContext(ctx, "SELECT seen_at FROM usage WHERE sandbox=?", sandbox).Scan(&at)
	if errors.Is(err, sql.ErrNoRows) {
		return time.Time{}, nil
	}
	if err != nil {
		return time.Time{}, fmt.Errorf("read usage: %w", err)
	}
	return time.Unix(0, at).UTC(), nil
}

// EndUsage ends, durably, what is metered of sandboxes that are none of these: when they
// were last recorded as running.
func (s *Store) EndUsage(ctx context.Context, kept []string) error {
	err := s.update(ctx, s.durable, func(tx *sql.Tx) error {
		open, err := openUsage(tx)
		if err != nil {
			return err
		}
		for _, sandbox := range open {
			if slices.Contains(kept, sandbox) {
				continue
			}
			if _, err := tx.Exec("UPDATE usage SET ended_at=max(seen_at,started_at+1) WHERE sandbox=?", sandbox); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("end usage: %w", err)
	}
	return nil
}

func openUsage(tx *sql.Tx) (open []string, err error) {
	rows, err := tx.Query("SELECT sandbox FROM usage WHERE ended_at IS NULL AND run<>?", diskRun)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var sandbox string
		if err := rows.Scan(&sandbox); err != nil {
			return nil, err
		}
		open = append(open, sandbox)
	}
	return open, rows.Err()
}

// Usage calls fn for each interval of an account (empty: of all), of one instance by ID or
// (empty) of all, that has a part from one time to before another.
func (s *Store) Usage(ctx context.Context, account string, from, to time.Time, instance string, fn func(meter.Interval)) error {
	query := `SELECT account,sandbox,instance,name,labels,isolation,cpu,memory,storage,run,started_at,ended_at,seen_at,addresses,sizes,
		(SELECT json_group_array(json_array(hour,bytes)) FROM usage_sent s WHERE s.sandbox=u.sandbox AND hour>? AND hour<?)
		FROM usage u WHERE started_at<? AND (ended_at IS NULL OR ended_at>?) AND `
	mine, whose := owned(account)
	// An hour may begin before what was sent in it.
	args := []any{nanos(from.Add(-time.Hour)), nanos(to.Add(time.Hour)), nanos(to), nanos(from)}
	query, args = query+mine, append(args, whose...)
	if instance != "" {
		query, args = query+" AND instance=?", append(args, instance)
	}
	rows, err := s.read.QueryContext(ctx, query, args...)
	if err != nil {
		return fmt.Errorf("read usage: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		i, err := scanUsage(rows)
		if err != nil {
			return fmt.Errorf("read usage: %w", err)
		}
		fn(i)
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("read usage: %w", err)
	}
	return nil
}

func scanUsage(rows *sql.Rows) (i meter.Interval, err error) {
	var start, seen int64
	var end sql.NullInt64
	var labels, addresses, sizes, sent []byte
	err = rows.Scan(&i.Account, &i.Sandbox, &i.Instance, &i.Name, &labels, &i.Isolation, &i.CPU, &i.Memory, &i.Storage, &i.Run,
		&start, &end, &seen, &addresses, &sizes, &sent)
	if err != nil {
		return i, err
	}
	i.Disk = i.Run == diskRun
	i.Start, i.Seen = time.Unix(0, start).UTC(), time.Unix(0, seen).UTC()
	if end.Valid {
		i.End = time.Unix(0, end.Int64).UTC()
	}
	var pairs [][2]int64
	err = errors.Join(json.Unmarshal(labels, &i.Labels), json.Unmarshal(addresses, &i.Addresses), json.Unmarshal(sizes, &i.Sizes), json.Unmarshal(sent, &pairs))
	for _, p := range pairs {
		i.Sent = append(i.Sent, meter.Sent{Hour: time.Unix(0, p[0]).UTC(), Bytes: p[1]})
	}
	return i, err
}

// ForgetUsage removes the intervals that ended before a time.
func (s *Store) ForgetUsage(ctx context.Context, before time.Time) error {
	err := s.update(ctx, s.relaxed, func(tx *sql.Tx) error {
		_, err := tx.Exec("DELETE FROM usage_sent WHERE sandbox IN (SELECT sandbox FROM usage WHERE ended_at<?)", before.UnixNano())
		if err == nil {
			_, err = tx.Exec("DELETE FROM usage WHERE ended_at<?", before.UnixNano())
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("forget usage: %w", err)
	}
	return nil
}
