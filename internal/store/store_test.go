package store_test

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/gristmill-zk/gristmill/internal/store"
)

var first = fstest.MapFS{"00001_a.sql": {Data: []byte("-- +goose Up\nCREATE TABLE a (n INTEGER NOT NULL);\n")}}

func open(t *testing.T, path string, migrations fstest.MapFS) *store.DB {
	t.Helper()
	db, err := store.Open(t.Context(), path, migrations)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return db
}

func add(ctx context.Context, db *store.DB, n int) error {
	return db.Update(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "INSERT INTO a (n) VALUES (?)", n)
		return err
	})
}

func count(t *testing.T, db *store.DB) (n int) {
	t.Helper()
	require.NoError(t, db.Read().QueryRowContext(t.Context(), "SELECT count(*) FROM a").Scan(&n))
	return n
}

func TestDurableAndMigratedOnce(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "deep", "a.db")
	db, err := store.Open(t.Context(), path, first)
	require.NoError(t, err)
	require.NoError(t, add(t.Context(), db, 1))
	var mode, synchronous string
	require.NoError(t, db.Read().QueryRow("PRAGMA journal_mode").Scan(&mode))
	require.NoError(t, db.Read().QueryRow("PRAGMA synchronous").Scan(&synchronous))
	require.Equal(t, "wal", mode)
	require.Equal(t, "2", synchronous, "FULL")
	require.NoError(t, db.Close())

	second := fstest.MapFS{"00001_a.sql": first["00001_a.sql"], "00002_b.sql": {Data: []byte("-- +goose Up\nALTER TABLE a ADD COLUMN b TEXT;\n")}}
	again := open(t, path, second)
	require.Equal(t, 1, count(t, again))
	_, err = again.Read().ExecContext(t.Context(), "SELECT b FROM a")
	require.NoError(t, err)
}

func TestUpdateRollsBack(t *testing.T) {
	t.Parallel()
	db := open(t, filepath.Join(t.TempDir(), "a.db"), first)
	broken := errors.New("broken")
	err := db.Update(t.Context(), func(tx *sql.Tx) error {
		_, err := tx.Exec("INSERT INTO a (n) VALUES (1)")
		require.NoError(t, err)
		return broken
	})
	require.ErrorIs(t, err, broken)
	require.Zero(t, count(t, db))
}

func TestWritersTakeTurnsWhileOthersRead(t *testing.T) {
	t.Parallel()
	db := open(t, filepath.Join(t.TempDir(), "a.db"), first)
	var wg sync.WaitGroup
	errs := make(chan error, 40)
	for i := range 20 {
		wg.Go(func() { errs <- add(context.Background(), db, i) })
		wg.Go(func() {
			var n int
			errs <- db.Read().QueryRow("SELECT count(*) FROM a").Scan(&n)
		})
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		require.NoError(t, err)
	}
	require.Equal(t, 20, count(t, db))
}

func TestBadMigrationNamesTheFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "a.db")
	_, err := store.Open(t.Context(), path, fstest.MapFS{"00001_a.sql": {Data: []byte("-- +goose Up\nCREATE NONSENSE;\n")}})
	require.ErrorContains(t, err, path)
}
