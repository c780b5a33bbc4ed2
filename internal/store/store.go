// Package store is the durable record: accounts, instances, the sandboxes made for them,
// events, secrets, the network and what was used, in one SQLite file.
//
// A write that a caller was told of survives a crash of the process and of the
// host (WAL, synchronous=FULL); status changes that can be seen again from the
// sandbox itself survive a crash of the process. It never decides anything and
// never touches the host beyond its own file.
package store

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"net/url"
	"os"
	"sync"

	_ "modernc.org/sqlite" // the driver "sqlite"
)

//go:embed schema
var schemas embed.FS

// version of the schema. schema/N.sql turns a record of version N-1 into one of version N,
// and is never changed once it was released; 0 is an empty file.
const version = 6

// Store is an open record. Its methods may be called at once.
type Store struct {
	// durable commits reach the disk before they return, relaxed ones the kernel.
	durable, relaxed *sql.DB
	read             *sql.DB
	byID             *sql.Stmt
	// write lets one writer in at a time: SQLite has a single one anyway, and
	// waiting here is fair and does not sleep.
	write sync.Mutex
	// revision is the last one given out; guarded by write.
	revision int64
}

// Open opens the record at path, making it if it does not exist (mode 0600).
func Open(ctx context.Context, path string) (*Store, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open record: %w", err)
	}
	f.Close()
	s := &Store{}
	if s.durable, err = open(path, "FULL", 1); err == nil {
		if s.relaxed, err = open(path, "NORMAL", 1); err == nil {
			s.read, err = open(path, "NORMAL", 4)
		}
	}
	if err == nil {
		err = s.migrate(ctx)
	}
	if err == nil {
		s.byID, err = s.read.PrepareContext(ctx, byID)
	}
	if err != nil {
		s.Close()
		return nil, fmt.Errorf("open record %s: %w", path, err)
	}
	return s, nil
}

func open(path, synchronous string, conns int) (*sql.DB, error) {
	pragmas := url.Values{"_pragma": {
		"busy_timeout(10000)", "journal_mode(WAL)", "synchronous(" + synchronous + ")", "foreign_keys(1)",
		// Bounds the write-ahead log and the page cache (KiB when negative).
		"journal_size_limit(16777216)", "cache_size(-1024)",
	}}
	db, err := sql.Open("sqlite", "file:"+path+"?"+pragmas.Encode())
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(conns)
	db.SetMaxIdleConns(conns)
	return db, nil
}

// migrate brings a new or older file to this version, a step at a time, and refuses
// that of a later cisd.
func (s *Store) migrate(ctx context.Context) error {
	var have int
	if err := s.durable.QueryRowContext(ctx, "PRAGMA user_version").Scan(&have); err != nil {
		return err
	}
	if have > version {
		return fmt.Errorf("the record has schema version %d and this cisd knows version %d: run the cisd that wrote it", have, version)
	}
	for ; have < version; have++ {
		if err := s.step(ctx, have+1); err != nil {
			return fmt.Errorf("bring the record to schema version %d: %w", have+1, err)
		}
	}
	return s.durable.QueryRowContext(ctx, "SELECT value FROM counters WHERE name='revision'").Scan(&s.revision)
}

// step brings the schema from the version before to this one, wholly or not at all.
func (s *Store) step(ctx context.Context, to int) error {
	statements, err := schemas.ReadFile(fmt.Sprintf("schema/%d.sql", to))
	if err != nil {
		return err
	}
	return s.update(ctx, s.durable, func(tx *sql.Tx) error {
		_, err := tx.Exec(fmt.Sprintf("%s; PRAGMA user_version=%d", statements, to))
		return err
	})
}

// Close closes the record.
func (s *Store) Close() error {
	var errs []error
	for _, db := range []*sql.DB{s.read, s.relaxed, s.durable} {
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	return errors.Join(errs...)
}

// update runs fn in a transaction of db, the only writer meanwhile.
func (s *Store) update(ctx context.Context, db *sql.DB, fn func(tx *sql.Tx) error) error {
	s.write.Lock()
	defer s.write.Unlock()
	return transact(ctx, db, fn)
}

// revise is update with the next revision, which counts only if it commits. then
// is called after the commit, before any other write begins: in the order of the
// revisions.
func (s *Store) revise(ctx context.Context, db *sql.DB, fn func(tx *sql.Tx, revision int64) error, then func()) error {
	s.write.Lock()
	defer s.write.Unlock()
	next := s.revision + 1
	err := transact(ctx, db, func(tx *sql.Tx) error {
		if err := fn(tx, next); err != nil {
			return err
		}
		_, err := tx.Exec("UPDATE counters SET value=? WHERE name='revision'", next)
		return err
	})
	if err != nil {
		return err
	}
	s.revision = next
	then()
	return nil
}

func transact(ctx context.Context, db *sql.DB, fn func(tx *sql.Tx) error) error {
	// A commit that has begun must not be torn by a client that goes away.
	tx, err := db.BeginTx(context.WithoutCancel(ctx), nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if err := fn(tx); err != nil {
		return err
	}
	return tx.Commit()
}

// Revision is the latest revision of the instances.
func (s *Store) Revision() int64 {
	s.write.Lock()
	defer s.write.Unlock()
	return s.revision
}
