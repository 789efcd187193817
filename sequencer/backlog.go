package sequencer

import (
	"context"
	"math/big"
	"sync"

	"github.com/gristmill-zk/gristmill/wire"
)

// backlog counts, by project, the acknowledged messages that no live task of
// the chain has: without a batch, or in one that is not mined. It follows the
// database with a short delay, so its limits are approximate.
type backlog struct {
	mu       sync.Mutex
	total    int64
	projects map[uint64]int64
}

func newBacklog() *backlog { return &backlog{projects: map[uint64]int64{}} }

// backlogQuery counts what a backlog holds.
const backlogQuery = `
	SELECT m.project, count(*) FROM messages m LEFT JOIN batches b ON b.id = m.batch
	WHERE m.refused IS NULL AND (m.batch IS NULL OR b.state IN ('open', 'splitting')) GROUP BY m.project`

// load counts anew, for a start.
func (b *backlog) load(ctx context.Context, q querier) error {
	type row struct {
		project uint64
		n       int64
	}
	rows, err := collect(ctx, q, func(scan func(...any) error) (r row, err error) {
		return r, scan(&r.project, &r.n)
	}, backlogQuery)
	if err != nil {
		return err
	}
	for _, r := range rows {
		b.add(r.project, r.n)
	}
	return nil
}

// waitingIn is 1 for a state of batches whose messages are in the backlog, else 0.
func waitingIn(state string) int {
	if state == batchOpen || state == batchSplitting {
		return 1
	}
	return 0
}

// add counts n more messages of a project, or fewer.
func (b *backlog) add(project uint64, n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.total += n
	if b.projects[project] += n; b.projects[project] == 0 {
		delete(b.projects, project)
	}
}

// size is the number of all messages.
func (b *backlog) size() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.total
}

func (b *backlog) of(project uint64) int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.projects[project]
}

// escrowTimes is how many times the messages that a project's escrow pays for
// may wait. More than once, for deposits come while a batch waits; not without
// end, for a project that pays for little would fill the pool of all.
const escrowTimes = 4

// limit is how many messages of a project may wait.
func (p *priced) limit(most int64) int64 {
	if p.Reward.Sign() <= 0 {
		return most
	}
	tasks := new(big.Int).Div(p.free, p.Reward)
	messages := tasks.Mul(tasks, big.NewInt(escrowTimes*int64(max(p.BatchSize, 1))))
	if !messages.IsInt64() {
		return most
	}
	return min(messages.Int64(), most)
}

// room says whether the backlog takes another message of a project.
func (b *backlog) room(project uint64, limit int64) error {
	if n := b.of(project); n >= limit {
		return refuse(wire.RejectOverloaded, "project",
			"%d messages of project %d wait, as many as its escrow and this sequencer let wait; try again later", n, project)
	}
	return nil
}
