package store

import (
	"context"
	"database/sql"
	"fmt"
)

// Cursors tell where the search for a free address begins, by the subnet's ID or another
// name.
func (s *Store) Cursors(ctx context.Context) (map[string]uint32, error) {
	rows, err := s.read.QueryContext(ctx, "SELECT name,value FROM cursors")
	if err != nil {
		return nil, fmt.Errorf("read cursors: %w", err)
	}
	defer rows.Close()
	cursors := map[string]uint32{}
	for rows.Next() {
		var name string
		var value uint32
		if err := rows.Scan(&name, &value); err != nil {
			return nil, fmt.Errorf("read cursors: %w", err)
		}
		cursors[name] = value
	}
	return cursors, rows.Err()
}

// SetCursor records a cursor.
func (s *Store) SetCursor(ctx context.Context, name string, value uint32) error {
	err := s.update(ctx, s.relaxed, func(tx *sql.Tx) error { return setCursor(tx, name, value) })
	if err != nil {
		return fmt.Errorf("record cursor %s: %w", name, err)
	}
	return nil
}

// DeleteCursor removes the cursor of a subnet that is gone.
func (s *Store) DeleteCursor(ctx context.Context, name string) error {
	err := s.update(ctx, s.relaxed, func(tx *sql.Tx) error {
		_, err := tx.Exec("DELETE FROM cursors WHERE name=?", name)
		return err
	})
	if err != nil {
		return fmt.Errorf("remove cursor %s: %w", name, err)
	}
	return nil
}

func setCursor(tx *sql.Tx, name string, value uint32) error {
	_, err := tx.Exec("INSERT INTO cursors (name,value) VALUES (?,?) ON CONFLICT (name) DO UPDATE SET value=excluded.value", name, value)
	return err
}
