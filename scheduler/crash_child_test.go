//go:build failpoints

package scheduler_test

import (
	"bytes"
	"context"
	"encoding/gob"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"reflect"
	"strings"
	"time"

	"github.com/hibiken/asynq"

	"github.com/gristmill-zk/gristmill/chain"
	"github.com/gristmill-zk/gristmill/internal/service"
	"github.com/gristmill-zk/gristmill/scheduler"
	"github.com/gristmill-zk/gristmill/scheduler/queue"
	"github.com/gristmill-zk/gristmill/wire"
)

// childEnv makes the test binary a scheduler of the world that it names. It
// ends when every task has come to its end.
const childEnv = "GRISTMILL_SCHEDULER_CHILD"

const childPatience = time.Minute

type childConfig struct {
	Deployment       wire.Deployment
	Chain, DB, Redis string
	RedisDB          int
}

func init() { runChildIfAsked = runSchedulerChild }

func runSchedulerChild() bool {
	text := os.Getenv(childEnv)
	if text == "" {
		return false
	}
	var cfg childConfig
	err := json.Unmarshal([]byte(text), &cfg)
	if err == nil {
		ctx, cancel := context.WithTimeout(context.Background(), childPatience)
		defer cancel()
		err = cfg.run(ctx)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	return true
}

func (cfg childConfig) run(ctx context.Context) error {
	logger := slog.New(slog.DiscardHandler)
	remote := &remoteChain{deployment: cfg.Deployment, url: cfg.Chain}
	q, err := queue.New(queue.Config{
		Redis: asynq.RedisClientOpt{Addr: cfg.Redis, DB: cfg.RedisDB}, Deployment: cfg.Deployment, Prover: me,
		Poll: 20 * time.Millisecond, RetryDelay: 100 * time.Millisecond, Logger: logger,
	})
	if err != nil {
		return err
	}
	s, err := scheduler.New(ctx, scheduler.Config{
		Chain: remote, Dispatcher: q, Prover: me, DB: cfg.DB,
		LostAfter: 300 * time.Millisecond, RetryMin: 10 * time.Millisecond, RetryMax: 50 * time.Millisecond,
		Poll: 20 * time.Millisecond, ChainPoll: 10 * time.Millisecond, DutyPoll: 20 * time.Millisecond,
		Retention: 400 * time.Millisecond, Logger: logger,
	})
	if err != nil {
		return err
	}
	unit := service.New("scheduler", s.Run)
	if err := unit.Start(ctx); err != nil {
		return err
	}
	err = awaitGoals(ctx, s, remote)
	unit.Stop()
	return errors.Join(err, unit.Err(), s.Close(), q.Close())
}

// awaitGoals polls until every task is at its end.
func awaitGoals(ctx context.Context, s *scheduler.Scheduler, remote *remoteChain) error {
	goals, err := ask[map[wire.Hash]end](ctx, remote, "Goals")
	if err != nil {
		return err
	}
	rot, err := ask[wire.Hash](ctx, remote, "ToRot")
	if err != nil {
		return err
	}
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for {
		if err := damage(ctx, s.Store(), remote, rot); err != nil {
			return err
		}
		missing := missingGoals(ctx, s.Store(), remote, goals)
		if len(missing) == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("still missing: %s", strings.Join(missing, "; "))
		case <-ticker.C:
		}
	}
}

// damage rots a proof before its offer is accepted, and makes time fly for
// acceptances without an event.
func damage(ctx context.Context, store *scheduler.Store, remote *remoteChain, rot wire.Hash) error {
	if err := store.Exec(ctx, `UPDATE tasks SET updated_at = 1 WHERE answer = 'answered' AND status = 'offered' AND updated_at > 1`); err != nil {
		return err
	}
	task, err := store.Task(ctx, rot)
	if err != nil || task.State != scheduler.Proved || task.Status != scheduler.ChainOffered {
		return nil // it is not there yet, or not any more
	}
	if err := store.Exec(ctx, `UPDATE tasks SET envelope = substr(envelope, 1, 100) || x'ff' || substr(envelope, 102)
 WHERE id = ? AND state = 'proved'`, rot[:]); err != nil {
		return err
	}
	_, err = ask[bool](ctx, remote, "Rotted")
	return err
}

func missingGoals(ctx context.Context, store *scheduler.Store, remote *remoteChain, goals map[wire.Hash]end) []string {
	var missing []string
	for id, want := range goals {
		task, err := store.Task(ctx, id)
		if want == (end{}) {
			if !errors.Is(err, scheduler.ErrNotFound) {
				missing = append(missing, fmt.Sprintf("task %s is still known", id))
			}
			continue
		}
		if err != nil {
			missing = append(missing, fmt.Sprintf("task %s: %v", id, err))
			continue
		}
		if got := (end{task.State, task.Status}); got != want || (want == settled && task.Gas == 0) {
			missing = append(missing, fmt.Sprintf("task %s is %v with gas %d, wants %v: %s", id, got, task.Gas, want, task.Reason))
		}
		attempts, err := store.Attempts(ctx, id)
		for _, a := range attempts {
			if err != nil || a.State.Running() {
				missing = append(missing, fmt.Sprintf("attempt %d of task %s is %s: %v", a.Number, id, a.State, err))
			}
		}
	}
	if self, err := remote.Self(ctx); err != nil || self.Idle {
		missing = append(missing, fmt.Sprintf("the prover is idle: %v", err))
	}
	return missing
}

// remoteChain is the model chain in the parent's process.
type remoteChain struct {
	deployment wire.Deployment
	url        string
}

// remoteError is an error that crossed the processes.
type remoteError struct {
	Text   string
	Revert string
}

func (e remoteError) err() error {
	switch {
	case e.Revert != "":
		return &chain.RevertError{Name: e.Revert}
	case e.Text != "":
		return errors.New(e.Text)
	}
	return nil
}

// ask calls a method of the parent's scriptedChain.
func ask[T any](ctx context.Context, c *remoteChain, method string, args ...any) (answer T, err error) {
	var call bytes.Buffer
	enc := gob.NewEncoder(&call)
	for _, value := range append([]any{method}, args...) {
		if err := enc.Encode(value); err != nil {
			return answer, err
		}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, &call)
	if err != nil {
		return answer, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return answer, err
	}
	defer func() { _, _ = io.Copy(io.Discard, resp.Body); _ = resp.Body.Close() }()
	var failure remoteError
	dec := gob.NewDecoder(resp.Body)
	if err := errors.Join(dec.Decode(&failure), dec.Decode(&answer)); err != nil {
		return answer, fmt.Errorf("%s: %w", method, err)
	}
	return answer, failure.err()
}

// serveChain answers ask.
func (w *crashWorld) serveChain(rw http.ResponseWriter, r *http.Request) {
	dec := gob.NewDecoder(r.Body)
	var name string
	if err := dec.Decode(&name); err != nil {
		return // the child died while it asked
	}
	method := reflect.ValueOf(scriptedChain{w.chain, w}).MethodByName(name)
	args := []reflect.Value{reflect.ValueOf(context.Background())}
	for i := 1; i < method.Type().NumIn(); i++ {
		arg := reflect.New(method.Type().In(i))
		if err := dec.DecodeValue(arg); err != nil {
			return
		}
		args = append(args, arg.Elem())
	}
	out := method.Call(args)
	var failure remoteError
	if err, ok := out[1].Interface().(error); ok {
		failure.Text = err.Error()
		var revert *chain.RevertError
		if errors.As(err, &revert) {
			failure.Revert = revert.Name
		}
	}
	enc := gob.NewEncoder(rw)
	_ = errors.Join(enc.Encode(failure), enc.EncodeValue(out[0])) // it may have died meanwhile
}

func (c *remoteChain) Deployment() wire.Deployment { return c.deployment }

func (c *remoteChain) Next(ctx context.Context, position []byte) (scheduler.Batch, error) {
	return ask[scheduler.Batch](ctx, c, "Next", position)
}

func (c *remoteChain) Version(ctx context.Context, project uint64, version uint32) (scheduler.Version, error) {
	return ask[scheduler.Version](ctx, c, "Version", project, version)
}

func (c *remoteChain) VerifyingKey(ctx context.Context, id wire.Hash) ([]byte, error) {
	return ask[[]byte](ctx, c, "VerifyingKey", id)
}

func (c *remoteChain) DeviceAllowed(ctx context.Context, project uint64, device wire.Hash) (bool, error) {
	return ask[bool](ctx, c, "DeviceAllowed", project, device)
}

func (c *remoteChain) URLs(ctx context.Context, operator wire.Address) ([]string, error) {
	return ask[[]string](ctx, c, "URLs", operator)
}

func (c *remoteChain) Record(ctx context.Context, task wire.Hash) (scheduler.Record, error) {
	return ask[scheduler.Record](ctx, c, "Record", task)
}

func (c *remoteChain) Self(ctx context.Context) (scheduler.Self, error) {
	return ask[scheduler.Self](ctx, c, "Self")
}

func (c *remoteChain) OptedIn(ctx context.Context, project uint64) (bool, error) {
	return ask[bool](ctx, c, "OptedIn", project)
}

func (c *remoteChain) Time(ctx context.Context) (uint64, error) { return ask[uint64](ctx, c, "Time") }

func (c *remoteChain) Lag(ctx context.Context) (time.Duration, error) {
	return ask[time.Duration](ctx, c, "Lag")
}

func (c *remoteChain) Send(ctx context.Context, key string, call scheduler.Call) (scheduler.Receipt, error) {
	return ask[scheduler.Receipt](ctx, c, "Send", key, call)
}

func (c *remoteChain) Await(ctx context.Context, key string) (scheduler.Receipt, error) {
	return ask[scheduler.Receipt](ctx, c, "Await", key)
}

func (c *remoteChain) Receipt(ctx context.Context, tx wire.Hash) (scheduler.Receipt, error) {
	return ask[scheduler.Receipt](ctx, c, "Receipt", tx)
}
