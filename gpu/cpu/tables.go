package cpu

import (
	"context"
	"errors"
	"fmt"

	"github.com/gristmill-zk/gristmill/gpu"
	"github.com/gristmill-zk/gristmill/gpu/internal/fixedbase"
)

// tableSizes are how many multiples of each point tables may hold, from the
// fastest, which has all that there is use for, to the smallest.
var tableSizes = []int{fixedbase.Windows(1), 8, 4, 2}

// Tabulate makes a key's tables of multiples, loading the key first when it is
// not resident, and returns when proofs use them. Proofs do the same by
// themselves, beside their work, after Config.TablesAfter of them under one key.
//
// Tables take memory that is free within the budget and give it back before any
// key is evicted. Fails as Load does, and with gpu.ErrBudget when not even the
// smallest tables find room; proofs go on without.
func (e *Engine) Tabulate(ctx context.Context, key gpu.Key) error {
	ctx, end, err := e.begin(ctx)
	if err != nil {
		return err
	}
	defer end()
	k, err := e.keys.Acquire(ctx, key)
	if err != nil {
		return err
	}
	defer e.keys.Release(key.ID)
	return e.tabulate(ctx, key.ID, k)
}

// proved counts a proof under a key and starts its tables when it is time.
func (e *Engine) proved(id gpu.KeyID, k *residentKey) {
	if e.cfg.TablesAfter < 0 || k.proofs.Add(1) != int64(e.cfg.TablesAfter) {
		return
	}
	ctx, end, err := e.begin(context.Background())
	if err != nil {
		return
	}
	go func() {
		defer end()
		_ = e.tabulate(ctx, id, k) // without tables the key is as good as before
	}()
}

// errTabled is why a second making of one key's tables ends.
var errTabled = errors.New("the key's tables are being made")

func (e *Engine) tabulate(ctx context.Context, id gpu.KeyID, k *residentKey) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	k.mu.Lock()
	switch {
	case k.tables != k.plain:
		k.mu.Unlock()
		return nil
	case k.stop != nil:
		k.mu.Unlock()
		return errTabled
	}
	k.stop = cancel
	k.mu.Unlock()
	made, err := e.makeTables(ctx, id, k)
	k.mu.Lock()
	if made != nil && ctx.Err() == nil {
		k.tables, k.stop = made, nil
		k.mu.Unlock()
		return nil
	}
	k.mu.Unlock()
	if made != nil { // called off at the last moment
		e.keys.Shrink(id, k)
		err = context.Cause(ctx)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.stop = nil
	return err
}

// makeTables reserves the memory of the fastest tables that fit and makes them.
func (e *Engine) makeTables(ctx context.Context, id gpu.KeyID, k *residentKey) (*tables, error) {
	for _, size := range tableSizes {
		shape := k.shape(e.cfg.Cores, size)
		if !e.keys.Grow(id, k, k.points()*int64(shape.Multiples()-1)) {
			continue
		}
		t, err := e.multiply(ctx, shape, k)
		if err != nil {
			e.keys.Shrink(id, k)
		}
		return t, err
	}
	return nil, fmt.Errorf("%w: no room for tables of key %s beside the resident keys", gpu.ErrBudget, id)
}

func (e *Engine) multiply(ctx context.Context, shape fixedbase.Shape, k *residentKey) (*tables, error) {
	piece := func(work func()) error { return e.job(ctx, 1, func() error { work(); return nil }) }
	t := &tables{shape: shape}
	p := k.plain
	var err error
	if t.a, err = fixedbase.TableG1(ctx, shape, p.a, piece); err != nil {
		return nil, err
	}
	if t.b, err = fixedbase.TableG1(ctx, shape, p.b, piece); err != nil {
		return nil, err
	}
	if t.z, err = fixedbase.TableG1(ctx, shape, p.z, piece); err != nil {
		return nil, err
	}
	if t.k, err = fixedbase.TableG1(ctx, shape, p.k, piece); err != nil {
		return nil, err
	}
	t.b2, err = fixedbase.TableG2(ctx, shape, p.b2, piece)
	return t, err
}
