//go:build e2e

package e2e

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"math/rand"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite"
)

// stored is a column of a node's databases that has what was mined or proved.
type stored struct {
	file, table, key, column string
	stages                   []string // of the finding when it is damaged
}

var storedColumns = []stored{
	{"sequencer/sequencer.db", "bodies", "data_hash", "body", []string{"data"}},
	{"sequencer/sequencer.db", "blocks", "hash", "header", []string{"header"}},
	{"sequencer/sequencer.db", "blocks", "hash", "coinbase", []string{"coinbase"}},
	{"scheduler/scheduler.db", "bodies", "hash", "body", []string{"data"}},
	{"scheduler/scheduler.db", "tasks", "id", "envelope", []string{"proof"}},
}

// TestAuditFindsAFlippedBit stops a node, flips one bit of what it has stored,
// starts it again and audits; and so on for each thing it stores. With all bits
// as they were the audit passes.
func TestAuditFindsAFlippedBit(t *testing.T) {
	f := newFarm(t)
	l := &ledger{}
	f.start("")
	require.True(t, f.ready(3*time.Minute))
	sendAll(f.devices(4, l))
	f.requireAllSettledOnce(l, 2*time.Minute)
	f.command("audit")
	seed := time.Now().UnixNano()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewSource(seed))
	for _, s := range storedColumns {
		f.up.stop(t)
		restore := f.flip(s, rng)
		f.start("")
		require.True(t, f.ready(time.Minute))
		code, answer := f.audit()
		require.Equal(t, 1, code, "%s of %s in %s: %+v", s.column, s.table, s.file, answer)
		require.Contains(t, s.stages, answer.Finding.Stage, "%+v", answer)
		require.NotEmpty(t, answer.Finding.What)
		f.up.stop(t)
		restore()
		f.start("")
		require.True(t, f.ready(time.Minute))
	}
	code, answer := f.audit()
	require.Zero(t, code, "%+v", answer)
	require.True(t, answer.OK)
	require.NotZero(t, answer.Checked.Stored.Blocks)
	require.NotZero(t, answer.Checked.Stored.Proofs)
	f.up.stop(t)

	code, answer = f.audit("--rpc", "http://"+f.ports["rpc"])
	require.Equal(t, 2, code, "a chain that is away: nothing was checked")
	require.NotEmpty(t, answer.Error)
}

// flip flips one bit of any row of a column and gives what flips it back.
func (f *farm) flip(s stored, rng *rand.Rand) (restore func()) {
	f.t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(f.dir, s.file))
	require.NoError(f.t, err)
	defer func() { _ = db.Close() }()
	var key, value []byte
	row := db.QueryRow("SELECT " + s.key + ", " + s.column + " FROM " + s.table + " WHERE length(" + s.column + ") > 0 ORDER BY random() LIMIT 1")
	require.NoError(f.t, row.Scan(&key, &value), "%+v", s)
	set := func(db *sql.DB, value []byte) {
		result, err := db.Exec("UPDATE "+s.table+" SET "+s.column+" = ? WHERE "+s.key+" = ?", value, key)
		require.NoError(f.t, err)
		n, err := result.RowsAffected()
		require.NoError(f.t, err)
		require.EqualValues(f.t, 1, n)
	}
	flipped := slices.Clone(value)
	at, bit := rng.Intn(len(flipped)), rng.Intn(8)
	flipped[at] ^= 1 << bit
	f.t.Logf("%s of %s in %s: bit %d of byte %d", s.column, s.table, s.file, bit, at)
	set(db, flipped)
	return func() {
		db, err := sql.Open("sqlite", filepath.Join(f.dir, s.file))
		require.NoError(f.t, err)
		defer func() { _ = db.Close() }()
		set(db, value)
	}
}

// auditAnswer is what `audit --json` prints.
type auditAnswer struct {
	OK      bool `json:"audit_ok"`
	Finding struct {
		Stage string `json:"stage"`
		What  string `json:"what"`
	} `json:"finding"`
	Error   string `json:"error"`
	Checked struct {
		Stored struct {
			Blocks uint64 `json:"blocks"`
			Proofs uint64 `json:"proofs"`
		} `json:"stored"`
	} `json:"checked"`
}

// audit runs the command and says how it ended.
func (f *farm) audit(flags ...string) (code int, answer auditAnswer) {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, append([]string{"audit", "--json"}, flags...)...)
	cmd.Env = f.environ()
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		code, err = exit.ExitCode(), nil
	}
	require.NoError(f.t, err)
	require.NoError(f.t, json.Unmarshal(out, &answer), "%s", out)
	return code, answer
}
