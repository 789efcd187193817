package farm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/gristmill-zk/gristmill/bench/machine"
	"github.com/gristmill-zk/gristmill/internal/durable"
	"github.com/gristmill-zk/gristmill/node"
	"github.com/gristmill-zk/gristmill/plugins/circuits/meter/circuit"
	"github.com/gristmill-zk/gristmill/wire"
)

// Errors of a measurement. They come wrapped with what was wrong.
var (
	// ErrConfig is a setting that can not be.
	ErrConfig = errors.New("bad benchmark setting")
	// ErrNotSettled is a task or message that ended otherwise.
	ErrNotSettled = errors.New("not everything was settled")
)

// Config is what to measure.
type Config struct {
	// Up is how the deployment is run. Its data directory is used up: it should
	// be a fresh one.
	Up node.UpOptions
	// Tasks is how many full batches of messages are sent. Required.
	Tasks int
	// Progress is told a line at each step. Nil: nobody listens.
	Progress func(line string)
	// Command is what the report says was run.
	Command string
}

// Report is what was measured.
type Report struct {
	Machine  machine.Machine `json:"machine"`
	Command  string          `json:"command"`
	Started  time.Time       `json:"started"`
	Slots    int             `json:"slots"` // 0: the default
	Tasks    int             `json:"tasks"`
	Messages int             `json:"messages"`
	// Seconds is from the first message sent to the last task settled.
	Seconds           float64 `json:"seconds"`
	TasksPerSecond    float64 `json:"tasks_per_s"`
	MessagesPerSecond float64 `json:"messages_per_s"`
	Stages            []Stage `json:"stages"`
}

// Run measures.
func Run(ctx context.Context, cfg Config) (*Report, error) {
	if cfg.Tasks < 1 || cfg.Tasks > 100_000 {
		return nil, fmt.Errorf("%w: %d tasks, allowed are 1 to 100000", ErrConfig, cfg.Tasks)
	}
	if cfg.Progress == nil {
		cfg.Progress = func(string) {}
	}
	t := newTrace()
	report := &Report{Machine: machine.Describe(ctx), Command: cfg.Command, Slots: cfg.Up.Engines.Slots}
	err := node.RunEmbedded(ctx, cfg.Up, node.Observers{Sequencer: t.onSequencer, Scheduler: t.onScheduler, Worker: t.onWorker},
		func(ctx context.Context, e node.Embedded) error { return measure(ctx, cfg, e, t, report) })
	if cause := context.Cause(ctx); cause != nil {
		return nil, cause
	}
	if err != nil {
		return nil, fmt.Errorf("farm: %w", err)
	}
	return report, nil
}

func measure(ctx context.Context, cfg Config, e node.Embedded, t *trace, report *Report) error {
	report.Messages = cfg.Tasks * len(e.Devices)
	cfg.Progress(fmt.Sprintf("everything runs; sending %d messages of %d devices", report.Messages, len(e.Devices)))
	report.Started = time.Now().UTC()
	start := time.Now()
	sending, sendingCtx := errgroup.WithContext(ctx)
	for i := range e.Devices {
		sending.Go(func() error { return send(sendingCtx, e, i, cfg.Tasks) })
	}
	if err := sending.Wait(); err != nil {
		return err
	}
	cfg.Progress("all messages are on the sequencer's disk")
	if err := wait(ctx, cfg, t, report.Messages); err != nil {
		return err
	}
	report.Seconds = time.Since(start).Seconds()
	proofs, err := envelopes(ctx, e, t)
	if err != nil {
		return err
	}
	report.Tasks, report.Stages = len(proofs), t.stages(proofs)
	report.TasksPerSecond = float64(report.Tasks) / report.Seconds
	report.MessagesPerSecond = float64(report.Messages) / report.Seconds
	return nil
}

// send sends one message of a device for each task.
func send(ctx context.Context, e node.Embedded, device, tasks int) error {
	const quarterHour = 900_000
	began := time.Now().Add(-24 * time.Hour).UnixMilli()
	for n := range tasks {
		reading := circuit.Reading{
			EnergyWh: 500 + uint64(device*100+n), PeriodStart: uint64(began) + uint64(n)*quarterHour, PeriodMs: quarterHour,
		}
		if _, _, err := e.Devices[device].Send(ctx, reading.Encode()); err != nil {
			return fmt.Errorf("device %d: %w", device, err)
		}
	}
	return nil
}

// wait waits until all messages are settled, and tells how it goes.
func wait(ctx context.Context, cfg Config, t *trace, messages int) error {
	for {
		settled, failure, changed := t.progress()
		switch {
		case failure != "":
			return fmt.Errorf("%w: %s", ErrNotSettled, failure)
		case settled >= messages:
			return nil
		case settled > 0:
			cfg.Progress(fmt.Sprintf("%d of %d messages are settled", settled, messages))
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func envelopes(ctx context.Context, e node.Embedded, t *trace) (map[wire.Hash]*wire.ProofEnvelope, error) {
	t.mu.Lock()
	var ids []wire.Hash
	for id, one := range t.tasks {
		if !one.settled.IsZero() {
			ids = append(ids, id)
		}
	}
	t.mu.Unlock()
	proofs := map[wire.Hash]*wire.ProofEnvelope{}
	for _, id := range ids {
		proof, err := e.Proof(ctx, id)
		if err != nil {
			return nil, err
		}
		proofs[id] = proof
	}
	return proofs, nil
}

// Write puts farm.json into a folder, which is made when missing.
func (r *Report) Write(dir string) error {
	encoded, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("farm report: %w", err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("farm report: %w", err)
	}
	return durable.WriteFile(filepath.Join(dir, "farm.json"), append(encoded, '\n'))
}
