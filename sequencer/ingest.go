package sequencer

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gristmill-zk/gristmill/internal/failpoint"
	"github.com/gristmill-zk/gristmill/internal/store"
	"github.com/gristmill-zk/gristmill/wire"
)

// Accepted is the answer to one message.
type Accepted struct {
	ID    wire.Hash
	State string
	// Duplicate says that the same bytes were acknowledged before.
	Duplicate bool
	// Err says why the message was not taken; a *wire.Reject when that is the
	// message's fault.
	Err error
}

// record is a checked message on its way to the disk.
type record struct {
	id       wire.Hash
	msg      *wire.Message
	encoded  []byte
	device   wire.Hash
	version  uint32
	received time.Time
}

// group is the messages of one request. They are committed together, in order.
type group struct {
	records []record
	answers []Accepted
	done    chan struct{}
}

const (
	commitMost   = 2048 // messages in one transaction
	commitQueue  = 1024 // requests waiting for the committer
	insertRecord = `INSERT INTO messages (id, project, version, device, nonce, encoded, received) VALUES (?, ?, ?, ?, ?, ?, ?)`
	lastNonce    = `SELECT nonce FROM messages WHERE project = ? AND device = ? ORDER BY nonce DESC LIMIT 1`
)

// ingest checks messages, many at once, and commits them, many in one
// transaction: while one group of requests is being fsync'd the next gathers.
type ingest struct {
	cfg      *Config
	db       *store.DB
	projects *projects
	devices  *deviceIDs
	exists   *sql.Stmt

	inFlight atomic.Int64
	backlog  *backlog
	verify   chan struct{}
	queue    chan *group
	stopped  chan struct{}
}

func newIngest(ctx context.Context, cfg *Config, db *store.DB, p *projects, b *backlog) (*ingest, error) {
	exists, err := db.Read().PrepareContext(ctx, `SELECT 1 FROM messages WHERE id = ?`)
	if err != nil {
		return nil, err
	}
	return &ingest{
		cfg: cfg, db: db, projects: p, backlog: b, devices: newDeviceIDs(), exists: exists,
		verify:  make(chan struct{}, cfg.Verifiers),
		queue:   make(chan *group, commitQueue),
		stopped: make(chan struct{}),
	}, nil
}

var errOverloaded = refuse(wire.RejectOverloaded, "", "too many messages at once; try again later")

// accept answers for every message, in order.
func (in *ingest) accept(ctx context.Context, msgs []*wire.Message) []Accepted {
	answers := make([]Accepted, len(msgs))
	n := int64(len(msgs))
	defer in.inFlight.Add(-n)
	if in.inFlight.Add(n) > int64(in.cfg.MaxInFlight) || in.backlog.size()+n > int64(in.cfg.MaxPending) {
		for i := range answers {
			answers[i].Err = errOverloaded
		}
		return answers
	}
	records := make([]*record, len(msgs))
	var wg sync.WaitGroup
	for i, m := range msgs {
		check := func() { records[i], answers[i] = in.check(ctx, m) }
		if len(msgs) == 1 {
			check()
		} else {
			wg.Go(check)
		}
	}
	wg.Wait()
	in.commit(ctx, records, answers)
	return answers
}

// check does everything that needs no write: known already, project, signature,
// device. A nil record with an answer without error is a duplicate.
func (in *ingest) check(ctx context.Context, m *wire.Message) (*record, Accepted) {
	encoded, err := m.MarshalBinary()
	if err != nil {
		return nil, Accepted{Err: err}
	}
	r := &record{id: wire.SHA256(encoded), msg: m, encoded: encoded, received: time.Now()}
	a := Accepted{ID: r.id, State: statePending}
	known, err := in.known(ctx, r.id)
	if err == nil {
		a.State, a.Duplicate = known.State, true
		return nil, a
	} else if !errors.Is(err, sql.ErrNoRows) {
		a.Err = fmt.Errorf("sequencer: look for message: %w", err)
		return nil, a
	}
	if r.device, r.version, a.Err = in.admit(ctx, m); a.Err != nil {
		return nil, a
	}
	return r, a
}

// known gives sql.ErrNoRows for a message that is new, which most are: that is
// asked with a prepared statement.
func (in *ingest) known(ctx context.Context, id wire.Hash) (v MessageView, err error) {
	var one int
	if err := in.exists.QueryRowContext(ctx, id[:]).Scan(&one); err != nil {
		return v, err
	}
	return loadMessage(ctx, in.db.Read(), id)
}

func (in *ingest) admit(ctx context.Context, m *wire.Message) (device wire.Hash, version uint32, err error) {
	view, err := in.projects.admit(ctx, m.Project)
	if err != nil {
		return device, 0, err
	}
	if err := in.backlog.room(m.Project, view.limit(int64(in.cfg.MaxPendingProject))); err != nil {
		return device, 0, err // before the signature, which costs most
	}
	if err := in.verified(ctx, m, view.PayloadLimit); err != nil {
		return device, 0, err
	}
	if device, err = in.devices.of(m.Key); err != nil {
		return device, 0, err
	}
	return device, view.Version, in.projects.admitDevice(ctx, m.Project, device)
}

// verified checks the signature, on as many cores as configured at once.
func (in *ingest) verified(ctx context.Context, m *wire.Message, payloadLimit uint32) error {
	select {
	case in.verify <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-in.verify }()
	return m.Verify(in.cfg.Chain.Deployment(), payloadLimit)
}

// commit hands the checked messages to the committer and waits for the disk.
func (in *ingest) commit(ctx context.Context, records []*record, answers []Accepted) {
	g := &group{done: make(chan struct{})}
	var at []int
	for i, r := range records {
		if r != nil {
			g.records, at = append(g.records, *r), append(at, i)
			g.answers = append(g.answers, answers[i])
		}
	}
	if len(at) == 0 {
		return
	}
	err := in.hand(ctx, g)
	for j, i := range at {
		if err != nil {
			answers[i].Err = err
		} else {
			answers[i] = g.answers[j]
		}
	}
}

func (in *ingest) hand(ctx context.Context, g *group) error {
	select {
	case in.queue <- g:
	case <-in.stopped:
		return errStopping
	default:
		return errOverloaded
	}
	select {
	case <-g.done:
		return nil
	case <-in.stopped:
		return errStopping
	case <-ctx.Done():
		return ctx.Err() // it may be committed all the same: nobody was told
	}
}

var errStopping = refuse(wire.RejectUnavailable, "", "the sequencer is stopping; try again")

// run is the committer. committed is told of what reached the disk.
func (in *ingest) run(ctx context.Context, committed func([]*group)) {
	defer close(in.stopped)
	for {
		select {
		case g := <-in.queue:
			groups := in.gather(g)
			in.write(ctx, groups)
			committed(groups)
			for _, g := range groups {
				close(g.done)
			}
		case <-ctx.Done():
			return
		}
	}
}

func (in *ingest) gather(first *group) []*group {
	groups, n := []*group{first}, len(first.records)
	for n < commitMost {
		select {
		case g := <-in.queue:
			groups, n = append(groups, g), n+len(g.records)
		default:
			return groups
		}
	}
	return groups
}

func (in *ingest) write(ctx context.Context, groups []*group) {
	failpoint.Hit("sequencer.messages.before")
	err := in.db.Update(ctx, func(tx *sql.Tx) error {
		w, err := newRecordWriter(ctx, tx)
		if err != nil {
			return err
		}
		defer w.close()
		for _, g := range groups {
			for i := range g.records {
				if err := w.write(ctx, &g.records[i], &g.answers[i]); err != nil {
					return err
				}
			}
		}
		return nil
	})
	failpoint.Hit("sequencer.messages.after")
	if err == nil {
		return
	}
	in.cfg.Logger.ErrorContext(ctx, "messages not stored", "error", err)
	for _, g := range groups {
		for i := range g.answers {
			g.answers[i].Err = fmt.Errorf("sequencer: store message: %w", err)
		}
	}
}

// recordWriter applies the nonce rule inside one transaction.
type recordWriter struct {
	tx           *sql.Tx
	last, insert *sql.Stmt
	nonces       map[deviceKey]uint64
}

func newRecordWriter(ctx context.Context, tx *sql.Tx) (*recordWriter, error) {
	last, err := tx.PrepareContext(ctx, lastNonce)
	if err != nil {
		return nil, err
	}
	insert, err := tx.PrepareContext(ctx, insertRecord)
	if err != nil {
		return nil, errors.Join(err, last.Close())
	}
	return &recordWriter{tx: tx, last: last, insert: insert, nonces: map[deviceKey]uint64{}}, nil
}

func (w *recordWriter) close() {
	_ = w.last.Close() // ends with the transaction anyway
	_ = w.insert.Close()
}

// write stores one message, or answers why not. Its error is the database's.
func (w *recordWriter) write(ctx context.Context, r *record, a *Accepted) error {
	key := deviceKey{r.msg.Project, r.device}
	highest, used, err := w.highest(ctx, key)
	if err != nil {
		return err
	}
	if used && r.msg.Nonce <= highest {
		return w.replayed(ctx, r, a, highest)
	}
	if _, err := w.insert.ExecContext(ctx, r.id[:], int64(key.project), r.version, r.device[:],
		nonceBytes(r.msg.Nonce), r.encoded, r.received.UnixMilli()); err != nil {
		return err
	}
	w.nonces[key] = r.msg.Nonce
	return nil
}

func (w *recordWriter) highest(ctx context.Context, key deviceKey) (nonce uint64, used bool, err error) {
	if nonce, used = w.nonces[key]; used {
		return nonce, true, nil
	}
	var raw []byte
	err = w.last.QueryRowContext(ctx, int64(key.project), key.device[:]).Scan(&raw)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, false, nil
	}
	return nonceOf(raw), err == nil, err
}

// replayed answers for a nonce that is used up: the same bytes are a success.
func (w *recordWriter) replayed(ctx context.Context, r *record, a *Accepted, highest uint64) error {
	known, err := loadMessage(ctx, w.tx, r.id)
	switch {
	case err == nil:
		a.State, a.Duplicate = known.State, true
	case errors.Is(err, sql.ErrNoRows):
		a.Err = refuse(wire.RejectStaleNonce, "nonce", "nonce %d is not above %d, the device's last in project %d",
			r.msg.Nonce, highest, r.msg.Project)
	default:
		return err
	}
	return nil
}
