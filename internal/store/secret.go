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

// PutSecret records a secret of an account, durably, in place of one of the same name.
func (s *Store) PutSecret(ctx context.Context, account string, sec api.Secret) error {
	data, err := json.Marshal(sec.Data)
	if err == nil {
		err = s.update(ctx, s.durable, func(tx *sql.Tx) error {
			_, err := tx.Exec(`INSERT INTO secrets (account,name,type,data,created_at) VALUES (?,?,?,?,?)
				ON CONFLICT (account,name) DO UPDATE SET type=excluded.type, data=excluded.data`,
				account, sec.Name, sec.Type, string(data), sec.CreatedAt.UnixNano())
			return err
		})
	}
	if err != nil {
		return fmt.Errorf("record secret %s: %w", sec.Name, err)
	}
	return nil
}

// Secret returns a secret of an account with its data.
func (s *Store) Secret(ctx context.Context, account, name string) (api.Secret, error) {
	row := s.read.QueryRowContext(ctx, "SELECT name,type,data,created_at FROM secrets WHERE account=? AND name=?", account, name)
	sec, err := scanSecret(row.Scan)
	if errors.Is(err, sql.ErrNoRows) {
		return sec, ErrNotFound
	}
	if err != nil {
		return sec, fmt.Errorf("read secret %s: %w", name, err)
	}
	return sec, nil
}

// Secrets returns those of an account by name, with their data.
func (s *Store) Secrets(ctx context.Context, account string) ([]api.Secret, error) {
	rows, err := s.read.QueryContext(ctx, "SELECT name,type,data,created_at FROM secrets WHERE account=? ORDER BY name", account)
	if err != nil {
		return nil, fmt.Errorf("read secrets: %w", err)
	}
	defer rows.Close()
	var all []api.Secret
	for rows.Next() {
		sec, err := scanSecret(rows.Scan)
		if err != nil {
			return nil, fmt.Errorf("read secrets: %w", err)
		}
		all = append(all, sec)
	}
	return all, rows.Err()
}

// DeleteSecret removes a secret of an account, durably.
func (s *Store) DeleteSecret(ctx context.Context, account, name string) error {
	return s.update(ctx, s.durable, func(tx *sql.Tx) error {
		return affected(tx.Exec("DELETE FROM secrets WHERE account=? AND name=?", account, name))
	})
}

func scanSecret(scan func(...any) error) (sec api.Secret, err error) {
	var data []byte
	var created int64
	if err := scan(&sec.Name, &sec.Type, &data, &created); err != nil {
		return sec, err
	}
	sec.CreatedAt = time.Unix(0, created).UTC()
	return sec, json.Unmarshal(data, &sec.Data)
}
