package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"cis/api"
)

// diskRun is the number of a run in the intervals of disks, which have none.
const diskRun = 0

// MeterDisk records, durably, that a disk has its size from a time on, or with size 0 that
// it is gone. The first interval begins with the disk's creation. What is on record already
// stays, so doing it again changes nothing.
func (s *Store) MeterDisk(ctx context.Context, d api.Disk, at time.Time) error {
	err := s.update(ctx, s.durable, func(tx *sql.Tx) error { return meterDisk(tx, d, at) })
	if err != nil {
		return fmt.Errorf("meter disk %s: %w", d.ID, err)
	}
	return nil
}

func meterDisk(tx *sql.Tx, d api.Disk, at time.Time) error {
	var latest string
	var size api.Bytes
	var end sql.NullInt64
	err := tx.QueryRow("SELECT sandbox,storage,ended_at FROM usage WHERE instance=? AND run=? ORDER BY started_at DESC LIMIT 1", d.ID, diskRun).
		Scan(&latest, &size, &end)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		at = d.CreatedAt
	case err != nil:
		return err
	case !end.Valid && size == d.Size:
		return nil
	case !end.Valid:
		if _, err := tx.Exec("UPDATE usage SET ended_at=max(?,started_at+1) WHERE sandbox=?", at.UnixNano(), latest); err != nil {
			return err
		}
	}
	if d.Size == 0 {
		return nil
	}
	labels, err := json.Marshal(d.Labels)
	if err != nil {
		return err
	}
	start := at.UnixNano()
	_, err = tx.Exec(`INSERT INTO usage (account,sandbox,instance,name,labels,isolation,cpu,memory,storage,run,started_at,seen_at,addresses)
		VALUES (?,?,?,?,?,?,0,0,?,?,?,?,'[]')`, d.Account, fmt.Sprintf("%s/%d", d.ID, start), d.ID, d.Name, labels, d.Isolation, d.Size, diskRun, start, start)
	return err
}
