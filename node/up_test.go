package node

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gristmill-zk/gristmill/client"
	"github.com/gristmill-zk/gristmill/scheduler"
	"github.com/gristmill-zk/gristmill/wire"
	"github.com/gristmill-zk/gristmill/worker"
)

// TestStoppedWhileProving stops a node at the moment at which its worker has
// solved a task and is about to prove it. The worker makes that proof before it
// ends, and the next start settles it instead of making another.
func TestStoppedWhileProving(t *testing.T) {
	if testing.Short() {
		t.Skip("runs for half a minute")
	}
	t.Parallel()
	dir := newDir(t)
	opts := DemoLocal()
	opts.Mining.Bits, opts.Terms.MaxWait = "1e7fffff", time.Second
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	run := func(watch observers, do func(ctx context.Context, l *local) error) {
		role := RoleOptions{Dir: dir, Logger: slog.New(slog.DiscardHandler)}
		require.NoError(t, serveOnce(ctx, role, func(ctx context.Context, g *group) error {
			l, err := startLocal(ctx, g, opts, watch)
			if err != nil {
				return err
			}
			return do(ctx, l)
		}))
	}
	wait := func(ctx context.Context, from <-chan wire.Hash, id *wire.Hash) error {
		select {
		case *id = <-from:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}

	var task, done wire.Hash
	solved, settled := make(chan wire.Hash, 1), make(chan wire.Hash, 1)
	run(observers{worker: func(e worker.Event) {
		if e.Kind == worker.EventSolved {
			solved <- e.TaskID
		}
	}}, func(ctx context.Context, l *local) error {
		if err := sendOne(ctx, l); err != nil {
			return err
		}
		return wait(ctx, solved, &task)
	})
	run(observers{scheduler: func(e scheduler.Event) {
		if e.Kind == scheduler.StateChanged && e.Task.State == scheduler.Settled {
			settled <- e.Task.ID
		}
	}}, func(ctx context.Context, l *local) error {
		if err := wait(ctx, settled, &done); err != nil {
			return err
		}
		require.Equal(t, task, done)
		kept, err := l.scheduler.Store().Task(ctx, done)
		require.NoError(t, err)
		require.EqualValues(t, 1, kept.Attempt, "the proof was made a second time")
		return nil
	})
}

// sendOne sends a reading of a device that is made and listed for it.
func sendOne(ctx context.Context, l *local) error {
	device, signer, err := NewDeviceStore(l.ring.dir, l.ring).Ensure("meter", wire.SchemeEdDSABN254)
	if err != nil {
		return err
	}
	if err := setDevices(ctx, l.deployment, l.from[keyOwner], l.state.Project, []wire.Hash{device.ID}, true, intent("device")); err != nil {
		return err
	}
	api, err := client.New(l.info.Sequencer)
	if err != nil {
		return err
	}
	sender, err := api.NewDevice(ctx, signer, l.state.Project)
	if err != nil {
		return err
	}
	payload, err := PackPayload("u8:1,u64:1500,u64:now-ms,u32:900000")
	if err != nil {
		return err
	}
	_, _, err = sender.Send(ctx, payload)
	return err
}
