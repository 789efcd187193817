package sequencer

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/gristmill-zk/gristmill/internal/failpoint"
	"github.com/gristmill-zk/gristmill/internal/store"
	"github.com/gristmill-zk/gristmill/wire"
)

// assembler packs messages into bodies, authorises them as tasks and frees the
// messages of bodies that keep failing. One goroutine runs it.
type assembler struct {
	cfg      *Config
	db       *store.DB
	projects *projects
	log      *slog.Logger
	tell     func(Event)
	// freed is told how many messages left the pool (negative: came back).
	freed func(int)
}

// waiting is a message without a batch.
type waiting struct {
	seq      int64
	device   wire.Hash
	encoded  []byte
	received int64
	cap      int
	msg      wire.Message
}

// step does everything that is due and says when something will be due again.
func (a *assembler) step(ctx context.Context) (time.Duration, error) {
	if err := a.split(ctx); err != nil {
		return 0, fmt.Errorf("sequencer: split: %w", err)
	}
	next, err := a.pack(ctx)
	if err != nil {
		return 0, fmt.Errorf("sequencer: assemble: %w", err)
	}
	if err := a.authorise(ctx); err != nil {
		return 0, fmt.Errorf("sequencer: authorise: %w", err)
	}
	return next, nil
}

const noHurry = time.Minute

// pack makes every batch that is due. Messages are packed under the project
// version they were acknowledged under: the signature may cover its payload
// limit, and the contracts take any version.
func (a *assembler) pack(ctx context.Context) (time.Duration, error) {
	next, key := noHurry, termsKey{}
	for {
		err := a.db.Read().QueryRowContext(ctx, `SELECT project, version FROM messages
			WHERE batch IS NULL AND refused IS NULL AND (project, version) > (?, ?) ORDER BY project, version LIMIT 1`,
			int64(key.project), key.version).Scan(&key.project, &key.version)
		if errors.Is(err, sql.ErrNoRows) {
			return next, nil
		}
		if err != nil {
			return 0, err
		}
		wait, err := a.packVersion(ctx, key)
		if err != nil {
			// One project's trouble (an endpoint that does not answer) is not the others'.
			a.log.WarnContext(ctx, "project not packed", "project", key.project, "version", key.version, "error", err)
			wait = a.cfg.RetryFirst
		}
		next = min(next, wait)
	}
}

// packVersion makes batches until the messages of a project version neither
// fill one nor have waited long enough.
func (a *assembler) packVersion(ctx context.Context, key termsKey) (time.Duration, error) {
	for {
		terms, err := a.projects.terms.get(ctx, key)
		if err != nil {
			return 0, err
		}
		messages, err := a.oldest(ctx, key, int(terms.BatchSize))
		if err != nil || len(messages) == 0 {
			return noHurry, err
		}
		good, err := a.recheck(ctx, key.project, messages)
		if err != nil {
			return 0, err
		}
		if len(good) < len(messages) {
			continue // the refused ones are out of the way now
		}
		chosen, full := fit(good, int(terms.BatchSize))
		age := time.Since(time.UnixMilli(good[0].received))
		if wait := time.Duration(terms.MaxWait)*time.Second - age; !full && wait > 0 {
			return wait, nil
		}
		if err := a.makeBatch(ctx, key, &terms.Terms, chosen, age); err != nil {
			return 0, err
		}
	}
}

func (a *assembler) oldest(ctx context.Context, key termsKey, n int) ([]waiting, error) {
	return collect(ctx, a.db.Read(), func(row func(...any) error) (w waiting, err error) {
		err = row(&w.seq, hashArg{&w.device}, &w.encoded, &w.received, &w.cap)
		if err == nil {
			err = w.msg.UnmarshalBinary(w.encoded)
		}
		return w, err
	}, `SELECT seq, device, encoded, received, batch_cap FROM messages
	    WHERE project = ? AND version = ? AND batch IS NULL AND refused IS NULL ORDER BY seq LIMIT ?`,
		int64(key.project), key.version, n)
}

// fit takes messages from the front until the body is full by count, by a
// message's own cap or by bytes.
func fit(messages []waiting, batchSize int) (chosen []waiting, full bool) {
	const bodyOverhead = 64
	most, size := batchSize, bodyOverhead
	for i, m := range messages {
		if m.cap > 0 {
			most = min(most, max(m.cap, i))
		}
		size += 4 + len(m.encoded)
		if i >= most || size > wire.MaxBodySize {
			return messages[:i], true
		}
	}
	return messages, len(messages) >= most
}

// recheck refuses messages of devices that the project took off its list after
// they were acknowledged: no prover would accept a task with them.
func (a *assembler) recheck(ctx context.Context, project uint64, messages []waiting) (good []waiting, err error) {
	for _, m := range messages {
		err := a.projects.admitDevice(ctx, project, m.device)
		switch {
		case err == nil:
			good = append(good, m)
		case wire.CodeOf(err) == wire.RejectDeviceNotAllowed:
			if err := a.refuse(ctx, project, m.seq, err.Error()); err != nil {
				return nil, err
			}
		default:
			return nil, err
		}
	}
	return good, nil
}

func (a *assembler) refuse(ctx context.Context, project uint64, seq int64, reason string) error {
	failpoint.Hit("sequencer.refuse.before")
	err := a.db.Update(ctx, func(tx *sql.Tx) error {
		return execute(ctx, tx, `UPDATE messages SET refused = ? WHERE seq = ? AND batch IS NULL`, reason, seq)
	})
	failpoint.Hit("sequencer.refuse.after")
	if err != nil {
		return err
	}
	a.freed(1)
	a.log.WarnContext(ctx, "acknowledged message refused", "project", project, "reason", reason)
	a.tell(MessagesRefused{Project: project, Count: 1, Reason: reason})
	return nil
}

// makeBatch stores the body by its hash, before anything authorises it.
func (a *assembler) makeBatch(ctx context.Context, key termsKey, terms *Terms, chosen []waiting, waited time.Duration) error {
	project := key.project
	body := wire.Body{Project: project, Version: key.version, Messages: make([]wire.Message, len(chosen))}
	for i := range chosen {
		body.Messages[i] = chosen[i].msg
	}
	encoded, err := body.MarshalBinary()
	if err != nil {
		return err
	}
	commitment, err := body.Commitment(a.cfg.Chain.Deployment(), terms.BatchSize, terms.PayloadLimit)
	if err != nil {
		return err
	}
	dataHash, element := wire.DataHash(encoded), wire.ElementHash(commitment)

	failpoint.Hit("sequencer.batch.before")
	err = a.db.Update(ctx, func(tx *sql.Tx) error {
		return insertBatch(ctx, tx, &body, encoded, dataHash, element, chosen)
	})
	failpoint.Hit("sequencer.batch.after")
	if err != nil {
		return err
	}
	a.freed(len(chosen))
	a.log.InfoContext(ctx, "batch made", "project", project, "messages", len(chosen), "bytes", len(encoded), "data", dataHash)
	a.tell(BatchMade{Project: project, Messages: len(chosen), Size: len(encoded), DataHash: dataHash, Waited: waited})
	return nil
}

func insertBatch(ctx context.Context, tx *sql.Tx, body *wire.Body, encoded []byte, dataHash, commitment wire.Hash, chosen []waiting) error {
	if err := execute(ctx, tx, `INSERT INTO bodies (data_hash, body) VALUES (?, ?)`, dataHash[:], encoded); err != nil {
		return err
	}
	res, err := tx.ExecContext(ctx,
		`INSERT INTO batches (project, version, count, size, data_hash, commitment, state, created) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
		int64(body.Project), body.Version, len(chosen), len(encoded), dataHash[:], commitment[:], batchOpen, time.Now().UnixMilli())
	if err != nil {
		return err
	}
	id, err := res.LastInsertId()
	if err != nil {
		return err
	}
	for i := range chosen {
		if err := execute(ctx, tx, `UPDATE messages SET batch = ? WHERE seq = ?`, id, chosen[i].seq); err != nil {
			return err
		}
	}
	return nil
}

// batchRow is a batch that may become a task.
type batchRow struct {
	id   int64
	task wire.Task
}

func scanBatch(row func(...any) error) (b batchRow, err error) {
	t := &b.task
	err = row(&b.id, &t.Project, &t.Version, &t.Count, &t.Size, hashArg{&t.DataHash}, hashArg{&t.DataCommitment},
		&t.Authorisation.Expiry, &t.Authorisation.Signature)
	return b, err
}

const batchColumns = `id, project, version, count, size, data_hash, commitment, expiry, signature`

// authorise signs the open batches that have no authorisation, or one that
// has used up half of its time.
func (a *assembler) authorise(ctx context.Context) error {
	now := time.Now()
	due := now.Add(a.cfg.AuthorisationTTL / 2).Unix()
	batches, err := collect(ctx, a.db.Read(), scanBatch, `SELECT `+batchColumns+` FROM batches WHERE state = 'open' AND expiry < ?`, due)
	if err != nil {
		return err
	}
	for _, b := range batches {
		if view, err := a.projects.views.get(ctx, b.task.Project); err != nil || !view.listed || view.Paused {
			continue // an authorisation would not help it now
		}
		b.task.Authorisation = wire.Authorisation{Expiry: uint64(now.Add(a.cfg.AuthorisationTTL).Unix())}
		if err := b.task.Authorise(a.cfg.Chain.Deployment(), a.cfg.Key); err != nil {
			return err
		}
		failpoint.Hit("sequencer.authorise.before")
		err := a.db.Update(ctx, func(tx *sql.Tx) error {
			return execute(ctx, tx, `UPDATE batches SET expiry = ?1, signature = ?2, max_expiry = max(max_expiry, ?1) WHERE id = ?3`,
				int64(b.task.Authorisation.Expiry), b.task.Authorisation.Signature, b.id)
		})
		failpoint.Hit("sequencer.authorise.after")
		if err != nil {
			return err
		}
	}
	return nil
}

// split frees the messages of batches that kept failing, for bodies of half
// the size: so that one message nobody can prove does not take its neighbours
// down. It waits until no authorisation of the old body can be used any more.
func (a *assembler) split(ctx context.Context) error {
	type row struct{ id, project, count, expiry int64 }
	batches, err := collect(ctx, a.db.Read(), func(scan func(...any) error) (r row, err error) {
		return r, scan(&r.id, &r.project, &r.count, &r.expiry)
	}, `SELECT id, project, count, max_expiry FROM batches WHERE state = 'splitting'`)
	if err != nil || len(batches) == 0 {
		return err
	}
	_, number, err := loadPosition(ctx, a.db.Read())
	if err != nil {
		return err
	}
	now, err := a.cfg.Chain.BlockTime(ctx, number)
	if err != nil {
		return err
	}
	for _, b := range batches {
		if uint64(b.expiry) >= now {
			continue
		}
		if err := a.splitOne(ctx, b.id, b.project, b.count); err != nil {
			return err
		}
	}
	return nil
}

func (a *assembler) splitOne(ctx context.Context, id, project, count int64) error {
	failpoint.Hit("sequencer.split.before")
	var changed int64
	err := a.db.Update(ctx, func(tx *sql.Tx) error {
		res, err := tx.ExecContext(ctx, `UPDATE batches SET state = 'split' WHERE id = ? AND state = 'splitting'
			AND NOT EXISTS (SELECT 1 FROM mint_batches mb JOIN mints m ON m.hash = mb.mint
			                WHERE mb.batch = batches.id AND m.state IN ('sending', 'landed'))`, id)
		if err != nil {
			return err
		}
		if changed, err = res.RowsAffected(); err != nil || changed == 0 {
			return err
		}
		return execute(ctx, tx, `UPDATE messages SET batch = NULL, batch_cap = ? WHERE batch = ?`, max(1, count/2), id)
	})
	failpoint.Hit("sequencer.split.after")
	if err != nil || changed == 0 {
		return err
	}
	a.freed(int(-count))
	a.log.WarnContext(ctx, "batch split", "project", project, "messages", count)
	return nil
}
