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
	// Subnet is the ID of the one that Address, and Address6 if it has one, are of.
	Subnet            string
	Address, Address6 string
	CPU               api.CPU
	Memory            api.Bytes
	// Ready: it was seen to answer.
	Ready bool
}

// CreateSandbox records a sandbox before anything of it is made. cursor is where
// the search for the next free address of its subnet begins.
func (s *Store) CreateSandbox(ctx context.Context, b Sandbox, cursor uint32) error {
	err := s.update(ctx, s.relaxed, func(tx *sql.Tx) error {
		if err := setCursor(tx, b.Subnet, cursor); err != nil {
			return err
		}
		_, err := tx.Exec("INSERT INTO sandboxes (id,instance,isolation,subnet,address,address6,cpu,memory,ready) VALUES (?,?,?,?,?,?,?,?,?)",
			b.ID, b.Instance, b.Isolation, b.Subnet, b.Address, b.Address6, b.CPU, b.Memory, b.Ready)
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

// Sandboxes returns all of them.
func (s *Store) Sandboxes(ctx context.Context) (all []Sandbox, err error) {
	rows, err := s.read.QueryContext(ctx, "SELECT id,instance,isolation,subnet,address,address6,cpu,memory,ready FROM sandboxes ORDER BY id")
	if err != nil {
		return nil, fmt.Errorf("read sandboxes: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var b Sandbox
		if err := rows.Scan(&b.ID, &b.Instance, &b.Isolation, &b.Subnet, &b.Address, &b.Address6, &b.CPU, &b.Memory, &b.Ready); err != nil {
			return nil, fmt.Errorf("read sandboxes: %w", err)
		}
		all = append(all, b)
	}
	return all, rows.Err()
}
