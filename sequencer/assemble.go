package sequencer

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

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
	backlog  *backlog
	queues   *queues
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

// packTime is how long one project is packed before the others get their turn.
const packTime = 2 * time.Second

// packVersion makes batches until the messages of a project version neither
// fill one nor have waited long enough, or until its time is over.
func (a *assembler) packVersion(ctx context.Context, key termsKey) (time.Duration, error) {
	for start := time.Now(); time.Since(start) < packTime; {
		wait, err := a.packOne(ctx, key)
		if err != nil || wait > 0 {
			return wait, err
		}
	}
	return 0, nil
}

// packOne makes a batch if one is due, or says in how long one will be. Whether
// it is due is asked of the index first: reading the messages and asking for
// their devices is for a batch that leaves.
func (a *assembler) packOne(ctx context.Context, key termsKey) (time.Duration, error) {
	asking, cancel := context.WithTimeout(ctx, packTime)
	defer cancel()
	terms, err := a.projects.terms.get(asking, key)
	if err != nil {
		return 0, err
	}
	due, err := a.dueIn(ctx, key, &terms.Terms)
	if err != nil || due > 0 {
		return due, err
	}
	messages, err := a.oldest(ctx, key, int(terms.BatchSize))
	if err != nil {
		return 0, err
	}
	good, err := a.recheck(asking, key.project, messages)
	if err != nil {
		return 0, err
	}
	if len(good) < len(messages) {
		return 0, a.refuse(ctx, key.project, messages, good)
	}
	chosen, _ := fit(good, int(terms.BatchSize))
	return 0, a.makeBatch(ctx, key, &terms.Terms, chosen, time.Since(time.UnixMilli(chosen[0].received)))
}

// front sums up the messages that the next batch would have.
const front = `
	SELECT count(*), coalesce(min(received), 0), coalesce(sum(4 + length(encoded)), 0),
	       coalesce(min(CASE WHEN batch_cap > 0 THEN batch_cap END), 0)
	FROM (SELECT received, encoded, batch_cap FROM messages
	      WHERE project = ? AND version = ? AND batch IS NULL AND refused IS NULL ORDER BY seq LIMIT ?)`

// dueIn says in how long a batch must leave: 0 for one that is full or whose
// oldest message has waited long enough.
func (a *assembler) dueIn(ctx context.Context, key termsKey, terms *Terms) (time.Duration, error) {
	var count, received, size, least int64
	err := a.db.Read().QueryRowContext(ctx, front, int64(key.project), key.version, terms.BatchSize).
		Scan(&count, &received, &size, &least)
	switch {
	case err != nil:
		return 0, err
	case count == 0:
		return noHurry, nil
	case count >= int64(terms.BatchSize), least > 0 && least <= count, size+bodyOverhead > wire.MaxBodySize:
		return 0, nil
	}
	return max(0, time.Duration(terms.MaxWait)*time.Second-time.Since(time.UnixMilli(received))), nil
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

// bodyOverhead is what a body has at most besides its messages.
const bodyOverhead = 64

// fit takes messages from the front until the body is full by count, by a
// message's own cap or by bytes.
func fit(messages []waiting, batchSize int) (chosen []waiting, full bool) {
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

// recheck keeps the messages of devices that the project still lists: no prover
// would accept a task with others.
func (a *assembler) recheck(ctx context.Context, project uint64, messages []waiting) (good []waiting, err error) {
	errs := make([]error, len(messages))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(askers)
	for i := range messages {
		g.Go(func() error {
			errs[i] = a.projects.admitDevice(ctx, project, messages[i].device)
			if wire.CodeOf(errs[i]) == wire.RejectDeviceNotAllowed {
				return nil
			}
			return errs[i]
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	for i := range messages {
		if errs[i] == nil {
			good = append(good, messages[i])
		}
	}
	return good, nil
}

// refuse ends the messages that are not among the good ones.
func (a *assembler) refuse(ctx context.Context, project uint64, messages, good []waiting) error {
	stays := map[int64]bool{}
	for i := range good {
		stays[good[i].seq] = true
	}
	n := 0
	const reason = "its device is not listed by the project any more"
	failpoint.Hit("sequencer.refuse.before")
	err := a.db.Update(ctx, func(tx *sql.Tx) error {
		n = 0
		for i := range messages {
			if stays[messages[i].seq] {
				continue
			}
			n++
			if err := execute(ctx, tx, `UPDATE messages SET refused = ? WHERE seq = ? AND batch IS NULL`, reason, messages[i].seq); err != nil {
				return err
			}
		}
		return nil
	})
	failpoint.Hit("sequencer.refuse.after")
	if err != nil {
		return err
	}
	a.backlog.add(project, -int64(n))
	a.log.WarnContext(ctx, "acknowledged messages refused", "project", project, "messages", n, "reason", reason)
	a.tell(MessagesRefused{Project: project, Count: n, Reason: reason})
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

// authorise signs the batches that the next few blocks may carry and that have
// no authorisation, or one that has used up half of its time. The others wait
// for theirs until it is nearly their turn.
func (a *assembler) authorise(ctx context.Context) error {
	queues, err := a.queues.load(ctx, authoriseAhead*a.cfg.Chain.MaxTasks(), time.Time{})
	if err != nil {
		return err
	}
	now := time.Now()
	due := uint64(now.Add(a.cfg.AuthorisationTTL / 2).Unix())
	var signed []batchRow
	for _, b := range slices.Concat(queues...) {
		if b.task.Authorisation.Expiry >= due {
			continue
		}
		b.task.Authorisation = wire.Authorisation{Expiry: uint64(now.Add(a.cfg.AuthorisationTTL).Unix())}
		if err := b.task.Authorise(a.cfg.Chain.Deployment(), a.cfg.Key); err != nil {
			return err
		}
		signed = append(signed, b)
	}
	if len(signed) == 0 {
		return nil
	}
	failpoint.Hit("sequencer.authorise.before")
	err = a.db.Update(ctx, func(tx *sql.Tx) error {
		for _, b := range signed {
			if err := execute(ctx, tx, `UPDATE batches SET expiry = ?1, signature = ?2, max_expiry = max(max_expiry, ?1) WHERE id = ?3`,
				int64(b.task.Authorisation.Expiry), b.task.Authorisation.Signature, b.id); err != nil {
				return err
			}
		}
		return nil
	})
	failpoint.Hit("sequencer.authorise.after")
	return err
}

// authoriseAhead is for how many blocks' worth of each queue authorisations
// are kept ready.
const authoriseAhead = 2

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
	a.log.WarnContext(ctx, "batch split", "project", project, "messages", count)
	return nil
}
