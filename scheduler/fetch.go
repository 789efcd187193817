package scheduler

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/gristmill-zk/gristmill/internal/failpoint"
	"github.com/gristmill-zk/gristmill/wire"
)

// errUnfit is data that is what the task names and yet must not be proved:
// asking again cannot help.
var errUnfit = errors.New("data is unfit")

// fetch gets the bodies of discovered tasks and checks them whole.
func (s *Scheduler) fetch(ctx context.Context, ready func()) error {
	wake, leave := s.bell.listen()
	defer leave()
	fetches := &pool[wire.Hash]{limit: s.cfg.Fetches}
	defer fetches.wait()
	ready()
	return s.loop(ctx, "fetch", wake, s.cfg.Poll, func(ctx context.Context) error { return s.startFetches(ctx, fetches) })
}

func (s *Scheduler) startFetches(ctx context.Context, fetches *pool[wire.Hash]) error {
	return s.eachDue(ctx, Discovered, func(t *Task) bool {
		return fetches.start(t.ID, func() { s.fetchOne(ctx, t) })
	})
}

// eachDue visits the tasks in a state whose time has come until visit has no
// room for another.
func (s *Scheduler) eachDue(ctx context.Context, state State, visit func(*Task) bool) error {
	due, err := listTasks(ctx, s.store.db.Read(), `state = ? AND next_at <= ? ORDER BY next_at, created_at LIMIT 200`, state, millis(time.Now()))
	if err != nil {
		return err
	}
	for _, t := range due {
		if !visit(t) {
			return nil
		}
	}
	return nil
}

func (s *Scheduler) fetchOne(ctx context.Context, t *Task) {
	body, err := s.checkedBody(ctx, t)
	if ctx.Err() != nil {
		return
	}
	failpoint.Hit("scheduler.body.before")
	storeErr := s.store.update(ctx, func(tx *txn) error { return s.fetched(tx, t.ID, body, err) })
	failpoint.Hit("scheduler.body.after")
	if storeErr != nil && ctx.Err() == nil {
		s.logger.ErrorContext(ctx, "store a body", "task", t.ID, "error", storeErr)
	}
}

// fetched writes what came of asking for a task's data.
func (s *Scheduler) fetched(tx *txn, id wire.Hash, body []byte, failed error) error {
	t, err := tx.task(id)
	if err != nil || t.State != Discovered {
		return err
	}
	if failed == nil {
		if err := tx.putBody(t.DataHash, body); err != nil {
			return err
		}
		t.failures, t.nextAt = 0, tx.now
		return tx.move(t, Fetched, fmt.Sprintf("%d bytes of data, all checks hold", len(body)))
	}
	t.failures++
	t.nextAt = tx.now.Add(s.backoff(t.failures))
	hopeless := errors.Is(failed, errUnfit) || int(t.failures) >= s.cfg.FetchTries
	if hopeless && t.Status != ChainAccepted {
		return tx.move(t, Declined, failed.Error())
	}
	t.Reason = failed.Error()
	if err := tx.save(t); err != nil {
		return err
	}
	return tx.note(t, failed.Error())
}

// checkedBody gets a task's body from the store or its sources and checks it.
func (s *Scheduler) checkedBody(ctx context.Context, t *Task) ([]byte, error) {
	version, err := s.version(ctx, t)
	if err != nil {
		return nil, err
	}
	// Once the task is accepted its terms do not matter: a bond is at stake.
	if t.Status != ChainAccepted {
		if err := s.cfg.worthwhile(version); err != nil {
			return nil, err
		}
	}
	if t.Size > wire.MaxBodySize {
		return nil, fmt.Errorf("%w: %d bytes, at most %d are fetched", errUnfit, t.Size, wire.MaxBodySize)
	}
	body, err := s.store.Body(ctx, t.DataHash)
	if isNotFound(err) {
		body, err = s.download(ctx, t)
	}
	if err != nil {
		return nil, err
	}
	return body, s.checkBody(ctx, t, body, version)
}

// worthwhile says whether this prover takes tasks on a version's terms.
func (c Config) worthwhile(v Version) error {
	if v.ProveWindow < c.MinProveWindow {
		return fmt.Errorf("%w: its prove window of %v is below the %v that this prover takes", errUnfit, v.ProveWindow, c.MinProveWindow)
	}
	reward := v.Reward
	if reward == nil {
		reward = new(big.Int)
	}
	if c.MinReward != nil && reward.Cmp(c.MinReward) < 0 {
		return fmt.Errorf("%w: its reward of %v is below the %v that this prover takes", errUnfit, reward, c.MinReward)
	}
	return nil
}

// download asks those who should have the task's data, then the other sources,
// for bytes with the right hash.
func (s *Scheduler) download(ctx context.Context, t *Task) ([]byte, error) {
	urls, err := s.sources(ctx, t)
	if err != nil {
		return nil, err
	}
	var errs []error
	for _, base := range urls {
		body, err := s.get(ctx, base, t)
		if err == nil {
			return body, nil
		}
		errs = append(errs, err)
	}
	if len(errs) == 0 {
		return nil, fmt.Errorf("nobody serves the data: neither operator %s nor the sequencer that authorised it registered an endpoint", t.Operator)
	}
	return nil, errors.Join(errs...)
}

// sources are the endpoints that the block's operator registered, those of the
// sequencer key that authorised the task, and the configured ones, each once.
// Any miner may put a task into a block of its own, also one without endpoints:
// the sequencer that took the messages is who wants them settled.
func (s *Scheduler) sources(ctx context.Context, t *Task) ([]string, error) {
	record, err := s.chain.Record(ctx, t.ID)
	if err != nil {
		return nil, fmt.Errorf("who authorised task %s: %w", t.ID, err)
	}
	accounts := []wire.Address{t.Operator}
	if !record.Sequencer.IsZero() && record.Sequencer != t.Operator {
		accounts = append(accounts, record.Sequencer)
	}
	var urls []string
	for _, account := range accounts {
		more, err := s.chain.URLs(ctx, account)
		if err != nil {
			return nil, fmt.Errorf("endpoints of %s: %w", account, err)
		}
		urls = append(urls, more...)
	}
	var once []string
	for _, base := range append(urls, s.cfg.DataURLs...) {
		if !slices.Contains(once, base) {
			once = append(once, base)
		}
	}
	return once, nil
}

// dataURL is where an endpoint serves the body of that hash.
func dataURL(base string, hash wire.Hash) string {
	return strings.TrimRight(base, "/") + "/v1/data/" + hash.String()
}

func (s *Scheduler) get(ctx context.Context, base string, t *Task) ([]byte, error) {
	if !isHTTP(base) {
		return nil, fmt.Errorf("data endpoint %q is not an http or https URL", base)
	}
	ctx, cancel := context.WithTimeout(ctx, s.cfg.FetchTimeout)
	defer cancel()
	url := dataURL(base, t.DataHash)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, fmt.Errorf("get data: %w", err)
	}
	failpoint.Hit("scheduler.fetch.before")
	resp, err := s.cfg.HTTP.Do(req)
	failpoint.Hit("scheduler.fetch.after")
	if err != nil {
		return nil, fmt.Errorf("get data: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("get %s: %s", url, resp.Status)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, int64(t.Size)+1))
	if err != nil {
		return nil, fmt.Errorf("get %s: %w", url, err)
	}
	if got := wire.DataHash(body); got != t.DataHash || len(body) != int(t.Size) {
		return nil, fmt.Errorf("get %s: answered with other data (%d bytes, hash %s), want %d bytes", url, len(body), got, t.Size)
	}
	return body, nil
}

// checkBody checks everything about the data that the contracts could not.
// Whether its sequencer may authorise tasks was the chain's to check.
func (s *Scheduler) checkBody(ctx context.Context, t *Task, body []byte, version Version) error {
	d := s.chain.Deployment()
	task := wire.Task{
		Project: t.Project, Version: t.Version, Count: t.Count,
		DataCommitment: t.DataCommitment, DataHash: t.DataHash, Size: t.Size,
	}
	decoded, err := task.CheckBody(d, body, version.BatchSize, version.PayloadLimit)
	if err != nil {
		return fmt.Errorf("%w: %w", errUnfit, err)
	}
	devices := map[wire.Hash]bool{}
	for i := range decoded.Messages {
		m := &decoded.Messages[i]
		if err := m.Verify(d, version.PayloadLimit); err != nil {
			return fmt.Errorf("%w: message %d: %w", errUnfit, i, err)
		}
		device, err := m.Key.ID()
		if err != nil {
			return fmt.Errorf("%w: message %d: %w", errUnfit, i, err)
		}
		devices[device] = true
	}
	for device := range devices {
		allowed, err := s.chain.DeviceAllowed(ctx, t.Project, device)
		if err != nil {
			return fmt.Errorf("device %s: %w", device, err)
		}
		if !allowed {
			return fmt.Errorf("%w: device %s is not allowed for project %d", errUnfit, device, t.Project)
		}
	}
	return nil
}
