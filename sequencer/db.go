package sequencer

import (
	"context"
	"database/sql"
	"embed"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"

	"github.com/gristmill-zk/gristmill/internal/store"
	"github.com/gristmill-zk/gristmill/wire"
)

//go:embed migrations/*.sql
var migrationFiles embed.FS

func openDB(ctx context.Context, path string) (*store.DB, error) {
	migrations, err := fs.Sub(migrationFiles, "migrations")
	if err != nil {
		return nil, err
	}
	return store.Open(ctx, path, migrations)
}

// querier is a transaction or the read pool.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// collect runs a query and scans every row.
func collect[T any](ctx context.Context, q querier, scan func(row func(dest ...any) error) (T, error), query string, args ...any) ([]T, error) {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []T
	for rows.Next() {
		v, err := scan(rows.Scan)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, rows.Err()
}

func scanOne[T any](row func(...any) error) (v T, err error) { return v, row(&v) }

// execute runs statements whose results do not matter.
func execute(ctx context.Context, tx *sql.Tx, query string, args ...any) error {
	_, err := tx.ExecContext(ctx, query, args...)
	return err
}

// hashArg reads 32-byte columns into a wire.Hash.
type hashArg struct{ h *wire.Hash }

func (a hashArg) Scan(src any) error {
	b, ok := src.([]byte)
	if !ok || len(b) != len(a.h) {
		return fmt.Errorf("column holds %T of %d bytes, not a hash", src, len(b))
	}
	copy(a.h[:], b)
	return nil
}

func nonceBytes(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

func nonceOf(b []byte) uint64 {
	if len(b) != 8 {
		return 0
	}
	return binary.BigEndian.Uint64(b)
}

func loadPosition(ctx context.Context, q querier) ([]byte, uint64, error) {
	position, err := loadMeta(ctx, q, "position")
	if err != nil {
		return nil, 0, err
	}
	number, err := loadMeta(ctx, q, "number")
	if err != nil || position == nil {
		return nil, 0, err
	}
	return position, nonceOf(number), nil
}

func loadMeta(ctx context.Context, q querier, key string) ([]byte, error) {
	var v []byte
	err := q.QueryRowContext(ctx, `SELECT value FROM meta WHERE key = ?`, key).Scan(&v)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	return v, err
}

func saveMeta(ctx context.Context, tx *sql.Tx, key string, value []byte) error {
	return execute(ctx, tx, `INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value`, key, value)
}
