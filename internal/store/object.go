package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"strings"
)

// Kind is a kind of objects: of what is recorded as users see it.
type Kind string

// The kinds.
const (
	KindVPC           Kind = "VPC"
	KindSubnet        Kind = "subnet"
	KindSecurityGroup Kind = "security group"
	KindAddress       Kind = "address"
	KindDisk          Kind = "disk"
	KindSnapshot      Kind = "snapshot"
)

// PutObject records an object of an account, durably, in place of the one with that ID. A
// name that another of its kind and account has is ErrNameTaken.
func (s *Store) PutObject(ctx context.Context, kind Kind, id, account, name string, doc any) error {
	data, err := json.Marshal(doc)
	if err == nil {
		err = s.update(ctx, s.durable, func(tx *sql.Tx) error {
			_, err := tx.Exec(`INSERT INTO objects (kind,id,account,name,doc) VALUES (?,?,?,?,?)
				ON CONFLICT (kind,id) DO UPDATE SET name=excluded.name, doc=excluded.doc`, kind, id, account, name, string(data))
			return err
		})
	}
	if err != nil && strings.Contains(err.Error(), "objects.account") {
		return ErrNameTaken
	}
	if err != nil {
		return fmt.Errorf("record %s %s: %w", kind, id, err)
	}
	return nil
}

// DeleteObject removes an object, durably; one that is not there is ErrNotFound.
func (s *Store) DeleteObject(ctx context.Context, kind Kind, id string) error {
	err := s.update(ctx, s.durable, func(tx *sql.Tx) error {
		return affected(tx.Exec("DELETE FROM objects WHERE kind=? AND id=?", kind, id))
	})
	if err != nil {
		return fmt.Errorf("remove %s %s: %w", kind, id, err)
	}
	return nil
}

// Objects returns all of a kind, which are of type T, by name, whoever owns them.
func Objects[T any](ctx context.Context, s *Store, kind Kind) ([]T, error) {
	return docs[T](ctx, s, "SELECT doc FROM objects WHERE kind=? ORDER BY name", kind)
}
