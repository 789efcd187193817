package sequencer

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"math/big"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/gristmill-zk/gristmill/internal/store"
	"github.com/gristmill-zk/gristmill/wire"
)

// queues find the batches that a block may carry next. They look at the front
// of each project's queue only, however long it is.
type queues struct {
	db       *store.DB
	projects *projects
}

const (
	// askers is how many questions about projects are asked of the chain at once.
	askers = 16
	// askTime bounds one round of them: an endpoint that hangs on one project
	// holds the others up no longer than that.
	askTime = 5 * time.Second
)

// nextQueue names the queue after another one.
const nextQueue = `SELECT project, version FROM batches
	WHERE state = 'open' AND (project, version) > (?, ?) ORDER BY project, version LIMIT 1`

// queueFront are a queue's first batches: not resting, not in a block that is
// under way. The last argument is what the authorisation must outlast; 0 takes
// those without one, too.
const queueFront = `SELECT ` + batchColumns + ` FROM batches b
	WHERE state = 'open' AND project = ? AND version = ? AND not_before <= ? AND expiry >= ?
	  AND NOT EXISTS (SELECT 1 FROM mint_batches mb JOIN mints m ON m.hash = mb.mint
	                  WHERE mb.batch = b.id AND m.state IN ('sending', 'landed'))
	ORDER BY id LIMIT ?`

// load gives, of each queue whose project would not have its tasks skipped, at
// most n batches from the front, and no more than its escrow pays for. Their
// authorisations outlast a moment; zero for those without one, too.
func (q *queues) load(ctx context.Context, n int, outlast time.Time) ([][]batchRow, error) {
	keys, err := q.open(ctx)
	if err != nil {
		return nil, err
	}
	var expiry int64
	if !outlast.IsZero() {
		expiry = outlast.Unix() + 1
	}
	now := time.Now().UnixMilli()
	spend := purse{}
	var out [][]batchRow
	for i, terms := range q.standing(ctx, keys) {
		if terms == nil {
			continue
		}
		rows, err := collect(ctx, q.db.Read(), scanBatch, queueFront, int64(keys[i].project), keys[i].version, now, expiry, n)
		if err != nil {
			return nil, err
		}
		if rows = rows[:spend.pays(keys[i].project, terms, len(rows))]; len(rows) > 0 {
			out = append(out, rows)
		}
	}
	return out, nil
}

// open lists the queues that are not empty.
func (q *queues) open(ctx context.Context) (keys []termsKey, err error) {
	var key termsKey
	for {
		err := q.db.Read().QueryRowContext(ctx, nextQueue, int64(key.project), key.version).Scan(&key.project, &key.version)
		if errors.Is(err, sql.ErrNoRows) {
			return keys, nil
		}
		if err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
}

// standing are the terms of each queue, nil for one whose project is paused,
// does not list our key, or cannot be asked about now.
func (q *queues) standing(ctx context.Context, keys []termsKey) []*priced {
	out := make([]*priced, len(keys))
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	var g errgroup.Group
	g.SetLimit(askers)
	for i, key := range keys {
		g.Go(func() error {
			view, err := q.projects.views.get(ctx, key.project)
			if err != nil || view.Paused || !view.listed {
				return nil // it is not that project's turn; the next look asks again
			}
			if terms, err := q.projects.terms.get(ctx, key); err == nil {
				out[i] = &terms
			}
			return nil
		})
	}
	_ = g.Wait() // no member fails
	return out
}

// purse is what was spent of escrows while choosing. Versions of a project
// that pay in the same token share one.
type purse map[account]*big.Int

type account struct {
	project uint64
	token   wire.Address
}

// pays says how many of n tasks the escrow still pays for, and spends that.
func (p purse) pays(project uint64, terms *priced, n int) int {
	at := account{project, terms.Token}
	if p[at] == nil {
		p[at] = new(big.Int).Set(terms.free)
	}
	if terms.Reward.Sign() > 0 {
		if most := new(big.Int).Div(p[at], terms.Reward); most.IsInt64() {
			n = int(min(int64(n), max(most.Int64(), 0)))
		}
	}
	p[at].Sub(p[at], new(big.Int).Mul(terms.Reward, big.NewInt(int64(n))))
	return n
}

// takeTurns takes the first of each queue, then the second of each, and so on,
// until there are n.
func takeTurns(queues [][]batchRow, n int) (chosen []batchRow) {
	for turn := 0; len(chosen) < n; turn++ {
		var round []batchRow
		for _, q := range queues {
			if turn < len(q) {
				round = append(round, q[turn])
			}
		}
		if len(round) == 0 {
			break
		}
		slices.SortFunc(round, func(a, b batchRow) int { return cmp.Compare(a.id, b.id) })
		chosen = append(chosen, round[:min(len(round), n-len(chosen))]...)
	}
	return chosen
}
