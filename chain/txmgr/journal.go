package txmgr

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/big"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"

	"github.com/gristmill-zk/gristmill/chain"
	"github.com/gristmill-zk/gristmill/internal/failpoint"
	"github.com/gristmill-zk/gristmill/internal/store"
)

//go:embed migrations/*.sql
var migrations embed.FS

// entry is a journalled request.
type entry struct {
	Key       string
	Digest    [32]byte
	Nonce     uint64
	Recipient *common.Address
	Data      []byte
	Value     *big.Int
	Gas       uint64
	Receipt   *types.Receipt // nil while in flight
	Revert    []byte
}

// attempt is one signed form of a request.
type attempt struct {
	Tx   *types.Transaction
	Head uint64
	Made int64 // unix ms
}

// digest tells requests with the same key apart. The gas limit is advice and
// not part of it.
func digest(r chain.Request) [32]byte {
	h := sha256.New()
	if r.To != nil {
		h.Write(r.To[:])
	}
	value := valueOf(r).FillBytes(make([]byte, 32))
	data := sha256.Sum256(r.Data)
	h.Write(value)
	h.Write(data[:])
	return [32]byte(h.Sum(nil))
}

func valueOf(r chain.Request) *big.Int {
	if r.Value == nil {
		return new(big.Int)
	}
	return r.Value
}

// journal is the durable memory of a Manager.
type journal struct{ db *store.DB }

func openJournal(ctx context.Context, path string) (*journal, error) {
	sub, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, fmt.Errorf("txmgr: %w", err)
	}
	db, err := store.Open(ctx, path, sub)
	if err != nil {
		return nil, fmt.Errorf("txmgr: %w", err)
	}
	return &journal{db: db}, nil
}

// claim ties the journal to an account on a chain, or checks that it is.
func (j *journal) claim(ctx context.Context, chainID uint64, genesis common.Hash, account common.Address) error {
	return j.db.Update(ctx, func(tx *sql.Tx) error {
		var id uint64
		var gen, acc []byte
		err := tx.QueryRowContext(ctx, `SELECT chain_id, genesis, account FROM owner`).Scan(&id, &gen, &acc)
		if errors.Is(err, sql.ErrNoRows) {
			_, err = tx.ExecContext(ctx, `INSERT INTO owner (id, chain_id, genesis, account) VALUES (1, ?, ?, ?)`,
				chainID, genesis[:], account[:])
			return err
		}
		if err != nil {
			return err
		}
		if id != chainID || !bytes.Equal(gen, genesis[:]) {
			return fmt.Errorf("the journal belongs to chain %d with genesis 0x%x, not to chain %d with %s", id, gen, chainID, genesis)
		}
		if !bytes.Equal(acc, account[:]) {
			return fmt.Errorf("the journal belongs to account %s, not to %s", common.BytesToAddress(acc), account)
		}
		return nil
	})
}

type queryer interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

func entries(ctx context.Context, q queryer, where string, args ...any) ([]entry, error) {
	rows, err := q.QueryContext(ctx,
		`SELECT key, digest, nonce, recipient, data, value, gas, receipt, revert FROM request WHERE `+where, args...)
	if err != nil {
		return nil, fmt.Errorf("txmgr: journal: %w", err)
	}
	defer rows.Close()
	var list []entry
	for rows.Next() {
		e, err := scanEntry(rows)
		if err != nil {
			return nil, fmt.Errorf("txmgr: journal: %w", err)
		}
		list = append(list, e)
	}
	return list, rows.Err()
}

func scanEntry(rows *sql.Rows) (entry, error) {
	var e entry
	var sum, recipient, receipt []byte
	var value string
	if err := rows.Scan(&e.Key, &sum, &e.Nonce, &recipient, &e.Data, &value, &e.Gas, &receipt, &e.Revert); err != nil {
		return e, err
	}
	copy(e.Digest[:], sum)
	if recipient != nil {
		to := common.BytesToAddress(recipient)
		e.Recipient = &to
	}
	var ok bool
	if e.Value, ok = new(big.Int).SetString(value, 10); !ok {
		return e, fmt.Errorf("value %q of %q is no number", value, e.Key)
	}
	if receipt == nil {
		return e, nil
	}
	e.Receipt = new(types.Receipt)
	if err := json.Unmarshal(receipt, e.Receipt); err != nil {
		return e, fmt.Errorf("receipt of %q: %w", e.Key, err)
	}
	return e, nil
}

func (j *journal) get(ctx context.Context, key string) (entry, bool, error) {
	list, err := entries(ctx, j.db.Read(), `key = ?`, key)
	if err != nil || len(list) == 0 {
		return entry{}, false, err
	}
	return list[0], true, nil
}

// inFlight lists what has no receipt, lowest nonce first.
func (j *journal) inFlight(ctx context.Context) ([]entry, error) {
	return entries(ctx, j.db.Read(), `receipt IS NULL ORDER BY nonce`)
}

func (j *journal) hasNonce(ctx context.Context, nonce uint64) (bool, error) {
	list, err := entries(ctx, j.db.Read(), `nonce = ?`, nonce)
	return len(list) > 0, err
}

// attempts lists every signed form of a request, the newest first.
func (j *journal) attempts(ctx context.Context, key string) ([]attempt, error) {
	rows, err := j.db.Read().QueryContext(ctx,
		`SELECT raw, head, made FROM attempt WHERE key = ? ORDER BY made DESC, rowid DESC`, key)
	if err != nil {
		return nil, fmt.Errorf("txmgr: journal: %w", err)
	}
	defer rows.Close()
	var list []attempt
	for rows.Next() {
		a := attempt{Tx: new(types.Transaction)}
		var raw []byte
		if err := rows.Scan(&raw, &a.Head, &a.Made); err != nil {
			return nil, fmt.Errorf("txmgr: journal: %w", err)
		}
		if err := a.Tx.UnmarshalBinary(raw); err != nil {
			return nil, fmt.Errorf("txmgr: journal: attempt of %q: %w", key, err)
		}
		list = append(list, a)
	}
	return list, rows.Err()
}

// signer makes the signed form of a request for a nonce.
type signer func(nonce uint64) (attempt, error)

// insert gives a new request the next nonce and stores it with its first
// signed form. When the key is there already, the entry found is returned.
func (j *journal) insert(ctx context.Context, e entry, chainNonce uint64, sign signer) (entry, *attempt, error) {
	var first *attempt
	failpoint.Hit("txmgr.journal.before")
	err := j.db.Update(ctx, func(tx *sql.Tx) error {
		list, err := entries(ctx, tx, `key = ?`, e.Key)
		if err != nil {
			return err
		}
		if len(list) > 0 {
			e = list[0]
			return nil
		}
		if e.Nonce, err = nextNonce(ctx, tx, chainNonce); err != nil {
			return err
		}
		if first, err = storeEntry(ctx, tx, e, sign); err != nil {
			first = nil
		}
		return err
	})
	if err != nil {
		return entry{}, nil, fmt.Errorf("txmgr: journal %q: %w", e.Key, err)
	}
	failpoint.Hit("txmgr.journal.after")
	return e, first, nil
}

// insertAt stores a request at a nonce that nothing else has.
func (j *journal) insertAt(ctx context.Context, e entry, sign signer) error {
	failpoint.Hit("txmgr.gap.before")
	err := j.db.Update(ctx, func(tx *sql.Tx) error {
		_, err := storeEntry(ctx, tx, e, sign)
		return err
	})
	if err != nil {
		return fmt.Errorf("txmgr: journal %q: %w", e.Key, err)
	}
	failpoint.Hit("txmgr.gap.after")
	return nil
}

func nextNonce(ctx context.Context, tx *sql.Tx, chainNonce uint64) (uint64, error) {
	var next uint64
	if err := tx.QueryRowContext(ctx, `SELECT COALESCE(MAX(nonce) + 1, 0) FROM request`).Scan(&next); err != nil {
		return 0, err
	}
	return max(next, chainNonce), nil
}

func storeEntry(ctx context.Context, tx *sql.Tx, e entry, sign signer) (*attempt, error) {
	a, err := sign(e.Nonce)
	if err != nil {
		return nil, err
	}
	var recipient []byte
	if e.Recipient != nil {
		recipient = e.Recipient[:]
	}
	if e.Data == nil {
		e.Data = []byte{}
	}
	if _, err := tx.ExecContext(ctx,
		`INSERT INTO request (key, digest, nonce, recipient, data, value, gas) VALUES (?, ?, ?, ?, ?, ?, ?)`,
		e.Key, e.Digest[:], e.Nonce, recipient, e.Data, e.Value.String(), e.Gas); err != nil {
		return nil, err
	}
	return &a, storeAttempt(ctx, tx, e.Key, a)
}

func storeAttempt(ctx context.Context, tx *sql.Tx, key string, a attempt) error {
	raw, err := a.Tx.MarshalBinary()
	if err != nil {
		return err
	}
	hash := a.Tx.Hash()
	_, err = tx.ExecContext(ctx,
		`INSERT INTO attempt (hash, key, nonce, raw, tip, fee_cap, head, made) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (hash) DO UPDATE SET head = excluded.head, made = excluded.made`,
		hash[:], key, a.Tx.Nonce(), raw, a.Tx.GasTipCap().String(), a.Tx.GasFeeCap().String(), a.Head, a.Made)
	return err
}

// replace adds a signed form with the same nonce.
func (j *journal) replace(ctx context.Context, key string, a attempt) error {
	failpoint.Hit("txmgr.bump.before")
	if err := j.db.Update(ctx, func(tx *sql.Tx) error { return storeAttempt(ctx, tx, key, a) }); err != nil {
		return fmt.Errorf("txmgr: journal %q: %w", key, err)
	}
	failpoint.Hit("txmgr.bump.after")
	return nil
}

// move gives a request whose nonce somebody else used the next free one.
func (j *journal) move(ctx context.Context, key string, chainNonce uint64, sign signer) error {
	failpoint.Hit("txmgr.move.before")
	err := j.db.Update(ctx, func(tx *sql.Tx) error {
		nonce, err := nextNonce(ctx, tx, chainNonce)
		if err != nil {
			return err
		}
		a, err := sign(nonce)
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `UPDATE request SET nonce = ? WHERE key = ?`, nonce, key); err != nil {
			return err
		}
		return storeAttempt(ctx, tx, key, a)
	})
	if err != nil {
		return fmt.Errorf("txmgr: journal %q: %w", key, err)
	}
	failpoint.Hit("txmgr.move.after")
	return nil
}

// finish stores how a request ended.
func (j *journal) finish(ctx context.Context, key string, r *types.Receipt, revert []byte) error {
	text, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("txmgr: receipt of %q: %w", key, err)
	}
	failpoint.Hit("txmgr.finish.before")
	err = j.db.Update(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE request SET receipt = ?, revert = ?, block = ?, block_hash = ? WHERE key = ?`,
			text, revert, r.BlockNumber.Uint64(), r.BlockHash[:], key)
		return err
	})
	if err != nil {
		return fmt.Errorf("txmgr: journal %q: %w", key, err)
	}
	failpoint.Hit("txmgr.finish.after")
	return nil
}

// receiptBlock is a block that a receipt is of.
type receiptBlock struct {
	number uint64
	hash   common.Hash
}

// receiptBlocks lists the blocks from a number on that receipts are of.
func (j *journal) receiptBlocks(ctx context.Context, from uint64) (blocks []receiptBlock, err error) {
	rows, err := j.db.Read().QueryContext(ctx, `SELECT DISTINCT block, block_hash FROM request WHERE block >= ?`, from)
	if err != nil {
		return nil, fmt.Errorf("txmgr: journal: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var b receiptBlock
		var hash []byte
		if err := rows.Scan(&b.number, &hash); err != nil {
			return nil, fmt.Errorf("txmgr: journal: %w", err)
		}
		b.hash = common.BytesToHash(hash)
		blocks = append(blocks, b)
	}
	return blocks, rows.Err()
}

// reopen puts finished requests that match a condition back in flight, for a
// chain that no longer has them where they were, and says how many there were.
func (j *journal) reopen(ctx context.Context, where string, arg any) (int64, error) {
	var found bool
	err := j.db.Read().QueryRowContext(ctx,
		`SELECT EXISTS (SELECT 1 FROM request WHERE receipt IS NOT NULL AND `+where+`)`, arg).Scan(&found)
	if err != nil || !found {
		return 0, err
	}
	var n int64
	failpoint.Hit("txmgr.reopen.before")
	err = j.db.Update(ctx, func(tx *sql.Tx) error {
		res, err := tx.ExecContext(ctx,
			`UPDATE request SET receipt = NULL, revert = NULL, block = NULL, block_hash = NULL WHERE receipt IS NOT NULL AND `+where, arg)
		if err != nil {
			return err
		}
		n, err = res.RowsAffected()
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("txmgr: journal: reopen: %w", err)
	}
	failpoint.Hit("txmgr.reopen.after")
	return n, nil
}

// forget drops a failed request.
func (j *journal) forget(ctx context.Context, key string) error {
	failpoint.Hit("txmgr.forget.before")
	err := j.db.Update(ctx, func(tx *sql.Tx) error {
		list, err := entries(ctx, tx, `key = ?`, key)
		if err != nil || len(list) == 0 {
			return err
		}
		r := list[0].Receipt
		if r == nil {
			return fmt.Errorf("txmgr: %q is in flight and cannot be forgotten", key)
		}
		if r.Status == types.ReceiptStatusSuccessful {
			return fmt.Errorf("txmgr: %q succeeded and cannot be forgotten", key)
		}
		_, err = tx.ExecContext(ctx, `DELETE FROM request WHERE key = ?`, key)
		return err
	})
	failpoint.Hit("txmgr.forget.after")
	return err
}

func (j *journal) close() error { return j.db.Close() }
