package store

import (
	"context"
	"database/sql"
	"fmt"

	"cis/api"
)

// Sandbox is one sandbox on record, with the address of its NIC.
type Sandbox struct {
	ID string
	// Instance is empty for a standby sandbox.
	Instance  string
	Isolation api.Isolation
	Address   string
	CPU       api.CPU
	Memory    api.Bytes
	// Ready: it was seen to answer.
	Ready bool
}

// CreateSandbox records a sandbox before anything of it is made. cursor is where
// the search for the next free address begins.
func (s *Store) CreateSandbox(ctx context.Context, b Sandbox, cursor uint32) error {
	err := s.update(ctx, s.relaxed, func(tx *sql.Tx) error {
		if _, err := tx.Exec("UPDATE counters SET value=? WHERE name='address'", cursor); err != nil {
			return err
		}
		_, err := tx.Exec("INSERT INTO sandboxes (id,instance,isolation,address,cpu,memory,ready) VALUES (?,?,?,?,?,?,?)",
			b.ID, b.Instance, b.Isolation, b.Address, b.CPU, b.Memory, b.Ready)
		return err
	})
	if err != nil {
		return fmt.Errorf("record sandbox %s: %w", b.ID, err)
	}
	return nil
}

// UpdateSandbox records whose sandbox it is and whether it answers.
func (s *Store) UpdateSandbox(ctx context.Context, id, instance string, ready bool) error {
	err := s.update(ctx, s.relaxed, func(tx *sql.Tx) error {
		return affected(tx.Exec("UPDATE sandboxes SET instance=?, ready=? WHERE id=?", instance, ready, id))
	})
	if err != nil {
		return fmt.Errorf("record sandbox %s: %w", id, err)
	}
	return nil
}

// DeleteSandbox removes a sandbox of which nothing is left.
func (s *Store) DeleteSandbox(ctx context.Context, id string) error {
	err := s.update(ctx, s.relaxed, func(tx *sql.Tx) error {
		_, err := tx.Exec("DELETE FROM sandboxes WHERE id=?", id)
		return err
	})
	if err != nil {
		return fmt.Errorf("remove sandbox %s: %w", id, err)
	}
	return nil
}

// Sandboxes returns all of them, and where the search for a free address begins.
func (s *Store) Sandboxes(ctx context.Context) (all []Sandbox, cursor uint32, err error) {
	if err := s.read.QueryRowContext(ctx, "SELECT value FROM counters WHERE name='address'").Scan(&cursor); err != nil {
		return nil, 0, fmt.Errorf("read sandboxes: %w", err)
	}
	rows, err := s.read.QueryContext(ctx, "SELECT id,instance,isolation,address,cpu,memory,ready FROM sandboxes ORDER BY id")
	if err != nil {
		return nil, 0, fmt.Errorf("read sandboxes: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var b Sandbox
		if err := rows.Scan(&b.ID, &b.Instance, &b.Isolation, &b.Address, &b.CPU, &b.Memory, &b.Ready); err != nil {
			return nil, 0, fmt.Errorf("read sandboxes: %w", err)
		}
		all = append(all, b)
	}
	return all, cursor, rows.Err()
}
