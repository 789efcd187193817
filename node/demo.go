package node

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/gristmill-zk/gristmill/audit"
	"github.com/gristmill-zk/gristmill/client"
	"github.com/gristmill-zk/gristmill/wire"
)

// DemoOptions is `gristmill demo`.
type DemoOptions struct {
	RoleOptions
	LocalOptions
	Tasks  int // full batches to send and see settled
	Blocks int // least number of blocks to mine
}

// DemoLocal is how a demo runs: on free ports, with blocks short enough to
// watch the difficulty move. It starts at 2^19 hashes a block, two doublings
// above the least, so that it moves both on a machine that is slow to start
// (blocks are late then) and on a quick one.
func DemoLocal() LocalOptions {
	const free = "127.0.0.1:0"
	return LocalOptions{
		RPCListen: free, SequencerListen: free, MiningListen: free, SchedulerListen: free,
		Engines: Engines{Slots: 1}, Threads: 1,
		Mining: Mining{Bits: "1e1fffff", BlockTime: 2 * time.Second, HalfLife: 20 * time.Second},
		Terms:  Terms{MaxWait: 2 * time.Second, AcceptWindow: 2 * time.Minute, ProveWindow: 10 * time.Minute},
	}
}

// DemoResult is the last line of `gristmill demo --json`: what this run did.
type DemoResult struct {
	Messages           int         `json:"messages"`
	Blocks             int         `json:"blocks"`
	Tasks              int         `json:"tasks"`
	Settled            int         `json:"settled"`
	Proofs             []DemoProof `json:"proofs"`
	SequencerRewardWei string      `json:"sequencer_reward_wei"`
	ProverReward       string      `json:"prover_reward"`
	AuditOK            bool        `json:"audit_ok"`
	AuditError         string      `json:"audit_error,omitempty"`
}

// DemoProof is one settled proof of a demo.
type DemoProof struct {
	TaskID  wire.Hash `json:"task_id"`
	TxHash  wire.Hash `json:"tx_hash"`
	GasUsed uint64    `json:"gas_used"`
	SolveMS float64   `json:"solve_ms"`
	ProveMS float64   `json:"prove_ms"`
	Engine  string    `json:"engine"`
}

// demoDevices are the meters of a demo.
var demoDevices = []string{"meter-north", "meter-roof", "meter-shed"}

// Demo sends signed readings through an embedded deployment, shows what
// happens to them and audits the result.
func Demo(ctx context.Context, opts DemoOptions) (DemoResult, error) {
	var result DemoResult
	if opts.Tasks < 1 || opts.Blocks < 0 {
		return result, fmt.Errorf("--tasks %d, --blocks %d: want at least 1 and 0", opts.Tasks, opts.Blocks)
	}
	stage := newStage(opts.Out)
	opts.Out = stage
	err := serveOnce(ctx, opts.RoleOptions, func(ctx context.Context, g *group) error {
		l, err := startLocal(ctx, g, opts.LocalOptions, stage.observers())
		if err != nil {
			return err
		}
		d := &demo{g: g, local: l, stage: stage, opts: opts, ended: map[int]uint64{}}
		ctx, cancel := context.WithCancelCause(ctx)
		defer cancel(nil)
		go func() {
			if err := g.Wait(ctx); err != nil {
				cancel(err)
			}
		}()
		if err = d.run(ctx, &result); err != nil && ctx.Err() != nil {
			err = errors.Join(context.Cause(ctx), err)
		}
		return err
	})
	return result, err
}

// demo is one run.
type demo struct {
	g       *group
	local   *local
	stage   *stage
	opts    DemoOptions
	devices []*client.Device
	ended   map[int]uint64 // when each device's last reading ended, Unix milliseconds
	api     *client.Client
}

func (d *demo) run(ctx context.Context, result *DemoResult) error {
	if err := d.prepare(ctx); err != nil {
		return err
	}
	sent, err := d.sendAll(ctx)
	if err != nil {
		return err
	}
	if err := d.waitSettled(ctx, sent); err != nil {
		return err
	}
	if err := d.waitBlocks(ctx); err != nil {
		return err
	}
	outcome, err := d.gather(ctx)
	if err != nil {
		return err
	}
	if err := outcome.write(d.g.opts.Out, d.names()); err != nil {
		return err
	}
	*result = outcome.result(len(sent))
	d.audit(ctx, result)
	return ctx.Err()
}

// prepare makes the devices and lists them with the project.
func (d *demo) prepare(ctx context.Context) (err error) {
	if d.api, err = client.NewWithConfig(d.local.info.Sequencer, client.Config{PollInterval: followEvery, Logger: d.g.opts.Logger}); err != nil {
		return err
	}
	store := NewDeviceStore(d.g.opts.Dir, d.local.ring)
	signers := make([]wire.Signer, len(demoDevices))
	ids := make([]wire.Hash, len(demoDevices))
	for i, name := range demoDevices {
		device, signer, err := store.Ensure(name, wire.SchemeEdDSABN254)
		if err != nil {
			return err
		}
		signers[i], ids[i] = signer, device.ID
	}
	d.stage.tell("devices", "%d meters with keys of their own, listed with project %d", len(ids), d.local.state.Project)
	if err := setDevices(ctx, d.local.deployment, d.local.from[keyOwner], d.local.state.Project, ids, true, intent("demo devices")); err != nil {
		return err
	}
	for _, signer := range signers {
		device, err := d.api.NewDevice(ctx, signer, d.local.state.Project)
		if err != nil {
			return err
		}
		d.devices = append(d.devices, device)
	}
	return nil
}

// sendAll sends a full batch for each task; the next when the one before is in
// a block, so that the tasks spread over blocks.
func (d *demo) sendAll(ctx context.Context) ([]wire.Hash, error) {
	project, err := d.api.Project(ctx, d.local.state.Project)
	if err != nil {
		return nil, err
	}
	var all []wire.Hash
	for range d.opts.Tasks {
		batch, err := d.sendBatch(ctx, int(project.BatchSize))
		if err != nil {
			return nil, err
		}
		all = append(all, batch...)
		if err := d.waitState(ctx, batch, client.StateMined, client.StateSettled); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// quarterHour is the time that a reading is about, in milliseconds.
const quarterHour = 900_000

// period is when a device's next reading begins: where the last one ended, since
// no time counts twice. The first is of a day ago.
func (d *demo) period(device int) (start uint64) {
	if d.ended[device] == 0 {
		d.ended[device] = uint64(time.Now().Add(-24 * time.Hour).UnixMilli())
	}
	start = d.ended[device]
	d.ended[device] += quarterHour
	return start
}

func (d *demo) sendBatch(ctx context.Context, size int) ([]wire.Hash, error) {
	ids := make([]wire.Hash, size)
	for i := range ids {
		at := i % len(d.devices)
		wh := 500 + rand.Uint64N(2000)
		payload, err := PackPayload(fmt.Sprintf("u8:1,u64:%d,u64:%d,u32:%d", wh, d.period(at), quarterHour))
		if err != nil {
			return nil, err
		}
		message, receipt, err := d.devices[at].Send(ctx, payload)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", demoDevices[at], err)
		}
		ids[i] = receipt.ID
		d.stage.tell("device", "%s signs %d Wh (%s, nonce %d), message %s", demoDevices[at], wh, message.Key.Scheme, message.Nonce, short(receipt.ID))
	}
	return ids, nil
}

// waitState waits until each message is in one of some states.
func (d *demo) waitState(ctx context.Context, ids []wire.Hash, states ...client.State) error {
	for _, id := range ids {
		if err := d.waitMessage(ctx, id, states); err != nil {
			return err
		}
	}
	return nil
}

func (d *demo) waitMessage(ctx context.Context, id wire.Hash, states []client.State) error {
	ticker := time.NewTicker(followEvery)
	defer ticker.Stop()
	for {
		m, err := d.api.Message(ctx, id)
		if err != nil {
			return err
		}
		for _, state := range states {
			if m.State == state {
				return nil
			}
		}
		if m.State == client.StateRefused {
			return fmt.Errorf("message %s was refused: %s", id, m.Reason)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
	}
}

func (d *demo) waitSettled(ctx context.Context, ids []wire.Hash) error {
	return d.waitState(ctx, ids, client.StateSettled)
}

// waitBlocks waits until enough blocks were mined in this run.
func (d *demo) waitBlocks(ctx context.Context) error {
	ticker := time.NewTicker(followEvery)
	defer ticker.Stop()
	told := false
	for {
		tip, err := d.local.deployment.Tip(ctx)
		if err != nil {
			return err
		}
		missing := int64(d.local.sinceHeight) + int64(d.opts.Blocks) - int64(tip.Height)
		if missing <= 0 {
			return nil
		}
		if !told {
			told = true
			d.stage.tell("demo", "all settled; mining %d more blocks to watch the difficulty", missing)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
	}
}

func (d *demo) audit(ctx context.Context, result *DemoResult) {
	d.stage.tell("audit", "checking everything again from the first block")
	last := time.Now()
	report, err := runAudit(ctx, d.local.deployment, func(r audit.Report) {
		if time.Since(last) > tellEvery {
			last = time.Now()
			d.stage.tell("audit", "%d blocks, %d messages, %d proofs so far", r.Blocks, r.Messages, r.Proofs)
		}
	}, []string{d.local.info.Sequencer}, []string{d.local.info.Scheduler})
	if err != nil {
		result.AuditError = err.Error()
		d.stage.tell("audit", "WRONG: %v", err)
		return
	}
	result.AuditOK = true
	d.stage.tell("audit", "ok: %d blocks, %d tasks, %d bodies, %d signatures, %d proofs, %d payments in %.1f s",
		report.Blocks, report.Tasks, report.Bodies, report.Signatures, report.Proofs, report.Payments, report.Took.Seconds())
}

// names tells accounts apart in the table.
func (d *demo) names() map[wire.Address]string {
	names := map[wire.Address]string{}
	for name, sender := range d.local.from {
		names[wire.Address(sender.Address())] = name
	}
	names[wire.Address(d.local.from[keyDeployer].Address())] = "protocol"
	return names
}

// short is the beginning of an id, enough to follow it with the eye.
func short(id wire.Hash) string { return id.String()[:10] }
