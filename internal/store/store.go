// Package store opens the SQLite databases that gristmill's services keep
// their state in.
//
// Each service owns one file. It is opened in WAL mode with synchronous=FULL,
// so a committed transaction survives a crash of the process and of the
// machine. Writes go through one connection (SQLite has one writer anyway),
// reads through several.
package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"runtime"

	"github.com/pressly/goose/v3"
	_ "modernc.org/sqlite" // the driver "sqlite"
)

// DB is one service's database.
type DB struct {
	write *sql.DB
	read  *sql.DB
}

// Open opens or makes the database file at path and applies the goose
// migrations found in the root of migrations that it has not seen yet.
func Open(ctx context.Context, path string, migrations fs.FS) (*DB, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("store %s: %w", path, err)
	}
	write, err := open(path, "immediate", 1)
	if err != nil {
		return nil, err
	}
	read, err := open(path, "deferred", max(4, runtime.NumCPU()))
	if err != nil {
		return nil, errors.Join(err, write.Close())
	}
	db := &DB{write: write, read: read}
	provider, err := goose.NewProvider(goose.DialectSQLite3, write, migrations)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("store %s: migrations: %w", path, err), db.Close())
	}
	if _, err := provider.Up(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("store %s: migrate: %w", path, err), db.Close())
	}
	return db, nil
}

func open(path, lock string, conns int) (*sql.DB, error) {
	q := url.Values{}
	for _, pragma := range []string{"journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(1)", "busy_timeout(10000)"} {
		q.Add("_pragma", pragma)
	}
	q.Set("_txlock", lock)
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Opaque: path, RawQuery: q.Encode()}).String())
	if err != nil {
		return nil, fmt.Errorf("store %s: %w", path, err)
	}
	db.SetMaxOpenConns(conns)
	db.SetMaxIdleConns(conns)
	return db, nil
}

// Read gives the pool for queries outside a transaction.
func (db *DB) Read() *sql.DB { return db.read }

// Update runs fn in a write transaction, committed (durably) when fn returns
// nil and rolled back otherwise.
func (db *DB) Update(ctx context.Context, fn func(tx *sql.Tx) error) error {
	tx, err := db.write.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("store: begin: %w", err)
	}
	if err := fn(tx); err != nil {
		return errors.Join(err, ignoreDone(tx.Rollback()))
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("store: commit: %w", err)
	}
	return nil
}

func ignoreDone(err error) error {
	if errors.Is(err, sql.ErrTxDone) {
		return nil
	}
	return err
}

// Close closes the database.
func (db *DB) Close() error { return errors.Join(db.read.Close(), db.write.Close()) }
