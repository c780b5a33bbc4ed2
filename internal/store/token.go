package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// Token is a client token: what it was used for, and when.
type Token struct {
	Token string
	// Instance is the ID of the one that it made, which may be gone by now.
	Instance string
	// Hash of what was asked for.
	Hash string
	// Created is when it was used; Expires says until when it counts: another use
	// after that makes another instance.
	Created, Expires time.Time
}

// insert records the token in the transaction that records its instance.
func (t *Token) insert(tx *sql.Tx, account, instance string) error {
	life := t.Expires.Sub(t.Created)
	if _, err := tx.Exec("DELETE FROM tokens WHERE account=? AND token=? AND created_at<=?", account, t.Token, t.Created.Add(-life).UnixNano()); err != nil {
		return err
	}
	_, err := tx.Exec("INSERT INTO tokens (account,token,instance,hash,created_at) VALUES (?,?,?,?,?)",
		account, t.Token, instance, t.Hash, t.Created.UnixNano())
	return err
}

// Token returns what an account used a client token for after the given time.
func (s *Store) Token(ctx context.Context, account, token string, after time.Time) (Token, error) {
	t := Token{Token: token}
	var created int64
	err := s.read.QueryRowContext(ctx, "SELECT instance,hash,created_at FROM tokens WHERE account=? AND token=? AND created_at>?",
		account, token, after.UnixNano()).Scan(&t.Instance, &t.Hash, &created)
	if errors.Is(err, sql.ErrNoRows) {
		return t, ErrNotFound
	}
	if err != nil {
		return t, fmt.Errorf("read client token: %w", err)
	}
	t.Created = time.Unix(0, created)
	return t, nil
}

// ForgetTokens frees the client tokens used before the given time.
func (s *Store) ForgetTokens(ctx context.Context, before time.Time) error {
	return s.update(ctx, s.relaxed, func(tx *sql.Tx) error {
		_, err := tx.Exec("DELETE FROM tokens WHERE created_at<=?", before.UnixNano())
		return err
	})
}
