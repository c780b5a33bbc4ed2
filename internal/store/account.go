package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"cis/api"
)

// PutAccount records an account, durably, in place of the one of that name.
func (s *Store) PutAccount(ctx context.Context, a api.Account) error {
	return s.putDoc(ctx, "account "+a.Name, a, "INSERT OR REPLACE INTO accounts (doc,name) VALUES (?,?)", a.Name)
}

// DeleteAccount removes an account with its users and keys, durably.
func (s *Store) DeleteAccount(ctx context.Context, name string) error {
	err := s.update(ctx, s.durable, func(tx *sql.Tx) error {
		_, err1 := tx.Exec("DELETE FROM keys WHERE account=?", name)
		_, err2 := tx.Exec("DELETE FROM users WHERE account=?", name)
		return errors.Join(err1, err2, affected(tx.Exec("DELETE FROM accounts WHERE name=?", name)))
	})
	if err != nil {
		return fmt.Errorf("remove account %s: %w", name, err)
	}
	return nil
}

// Accounts returns all of them by name.
func (s *Store) Accounts(ctx context.Context) ([]api.Account, error) {
	return docs[api.Account](ctx, s, "SELECT doc FROM accounts ORDER BY name")
}

// PutUser records a user, durably, in place of the one of that account and name.
func (s *Store) PutUser(ctx context.Context, u api.User) error {
	return s.putDoc(ctx, "user "+u.Name, u, "INSERT OR REPLACE INTO users (doc,account,name) VALUES (?,?,?)", u.Account, u.Name)
}

// DeleteUser removes a user with the user's keys, durably.
func (s *Store) DeleteUser(ctx context.Context, account, name string) error {
	err := s.update(ctx, s.durable, func(tx *sql.Tx) error {
		_, err := tx.Exec("DELETE FROM keys WHERE account=? AND user=?", account, name)
		return errors.Join(err, affected(tx.Exec("DELETE FROM users WHERE account=? AND name=?", account, name)))
	})
	if err != nil {
		return fmt.Errorf("remove user %s: %w", name, err)
	}
	return nil
}

// Users returns all of them by account and name.
func (s *Store) Users(ctx context.Context) ([]api.User, error) {
	return docs[api.User](ctx, s, "SELECT doc FROM users ORDER BY account, name")
}

// Key is a key on record: its secret sealed, or the SHA-256 sum of its token.
type Key struct {
	api.Key
	Secret, Sum []byte
}

// PutKeys records keys, durably and all or none, each in place of the one with its ID.
func (s *Store) PutKeys(ctx context.Context, keys ...Key) error {
	err := s.update(ctx, s.durable, func(tx *sql.Tx) error {
		for _, k := range keys {
			doc, err := json.Marshal(k.Key)
			if err != nil {
				return err
			}
			_, err = tx.Exec("INSERT OR REPLACE INTO keys (id,account,user,doc,secret,sum) VALUES (?,?,?,?,?,?)",
				k.ID, k.Account, k.User, string(doc), k.Secret, k.Sum)
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("record keys: %w", err)
	}
	return nil
}

// DeleteKey removes a key, durably.
func (s *Store) DeleteKey(ctx context.Context, id string) error {
	err := s.update(ctx, s.durable, func(tx *sql.Tx) error {
		return affected(tx.Exec("DELETE FROM keys WHERE id=?", id))
	})
	if err != nil {
		return fmt.Errorf("remove key %s: %w", id, err)
	}
	return nil
}

// Keys returns all of them by ID.
func (s *Store) Keys(ctx context.Context) (all []Key, err error) {
	rows, err := s.read.QueryContext(ctx, "SELECT doc,secret,sum FROM keys ORDER BY id")
	if err != nil {
		return nil, fmt.Errorf("read keys: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var k Key
		var doc []byte
		if err = rows.Scan(&doc, &k.Secret, &k.Sum); err == nil {
			err = json.Unmarshal(doc, &k.Key)
		}
		if err != nil {
			return nil, fmt.Errorf("read keys: %w", err)
		}
		all = append(all, k)
	}
	return all, rows.Err()
}

// putDoc records a document, durably; it is the statement's first argument.
func (s *Store) putDoc(ctx context.Context, what string, doc any, statement string, args ...any) error {
	data, err := json.Marshal(doc)
	if err == nil {
		err = s.update(ctx, s.durable, func(tx *sql.Tx) error {
			_, err := tx.Exec(statement, append([]any{string(data)}, args...)...)
			return err
		})
	}
	if err != nil {
		return fmt.Errorf("record %s: %w", what, err)
	}
	return nil
}

// docs reads documents of type T, the only column.
func docs[T any](ctx context.Context, s *Store, query string, args ...any) ([]T, error) {
	rows, err := s.read.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("read the record: %w", err)
	}
	defer rows.Close()
	var all []T
	for rows.Next() {
		var data []byte
		var doc T
		err := rows.Scan(&data)
		if err == nil {
			err = json.Unmarshal(data, &doc)
		}
		if err != nil {
			return nil, fmt.Errorf("read the record: %w", err)
		}
		all = append(all, doc)
	}
	return all, rows.Err()
}
