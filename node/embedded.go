package node

import (
	"context"
	"errors"
	"fmt"

	"github.com/gristmill-zk/gristmill/client"
	"github.com/gristmill-zk/gristmill/scheduler"
	"github.com/gristmill-zk/gristmill/sequencer"
	"github.com/gristmill-zk/gristmill/wire"
	"github.com/gristmill-zk/gristmill/worker"
)

// Observers are told what the parts of an embedded deployment do, each from a
// goroutine of its part, which waits for it. Nil: nobody listens.
type Observers struct {
	Sequencer func(sequencer.Event)
	Scheduler func(scheduler.Event)
	Worker    func(worker.Event)
}

// Embedded is an embedded deployment that runs.
type Embedded struct {
	Project   uint64
	BatchSize int
	// Devices are listed with the project.
	Devices []*client.Device
	// Proof is the verified proof that the scheduler keeps of a task.
	Proof func(ctx context.Context, task wire.Hash) (*wire.ProofEnvelope, error)
}

// RunEmbedded runs what Up does, calls use with the deployment and as many
// devices as a batch has messages, and stops when use returns. The context of
// use ends when a part of the deployment fails.
func RunEmbedded(ctx context.Context, opts UpOptions, watch Observers, use func(context.Context, Embedded) error) error {
	return serveOnce(ctx, opts.RoleOptions, func(ctx context.Context, g *group) error {
		l, err := startLocal(ctx, g, opts.LocalOptions, observers{sequencer: watch.Sequencer, scheduler: watch.Scheduler, worker: watch.Worker})
		if err != nil {
			return err
		}
		ctx, cancel := context.WithCancelCause(ctx)
		defer cancel(nil)
		go func() {
			if err := g.Wait(ctx); err != nil {
				cancel(err)
			}
		}()
		deployment := Embedded{Project: l.state.Project, Proof: l.scheduler.Store().Proof}
		if err = deployment.prepare(ctx, l, g); err == nil {
			err = use(ctx, deployment)
		}
		if err != nil && ctx.Err() != nil {
			err = errors.Join(context.Cause(ctx), err)
		}
		return err
	})
}

// prepare makes the devices and lists them.
func (e *Embedded) prepare(ctx context.Context, l *local, g *group) error {
	api, err := client.NewWithConfig(l.info.Sequencer, client.Config{PollInterval: followEvery, Logger: g.opts.Logger})
	if err != nil {
		return err
	}
	project, err := api.Project(ctx, e.Project)
	if err != nil {
		return err
	}
	e.BatchSize = int(project.BatchSize)
	store := NewDeviceStore(g.opts.Dir, l.ring)
	signers, ids := make([]wire.Signer, e.BatchSize), make([]wire.Hash, e.BatchSize)
	for i := range signers {
		device, signer, err := store.Ensure(fmt.Sprintf("meter-%d", i), wire.SchemeEdDSABN254)
		if err != nil {
			return err
		}
		signers[i], ids[i] = signer, device.ID
	}
	if err := setDevices(ctx, l.deployment, l.from[keyOwner], e.Project, ids, true, intent("devices")); err != nil {
		return err
	}
	for _, signer := range signers {
		device, err := api.NewDevice(ctx, signer, e.Project)
		if err != nil {
			return err
		}
		e.Devices = append(e.Devices, device)
	}
	return nil
}
