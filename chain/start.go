package chain

import (
	"context"
	"fmt"
	"math/big"
	"sync"
)

// began remembers where a deployment begins.
type began struct {
	mu    sync.Mutex
	known bool
	block uint64
}

// Start finds the EVM block that holds the registry, the first contract of a
// deployment: nothing before it concerns one. An endpoint that does not keep
// old states cannot say; then it is 0, and logs are read from the first block.
func (d *Deployment) Start(ctx context.Context) (uint64, error) {
	d.began.mu.Lock()
	defer d.began.mu.Unlock()
	if d.began.known {
		return d.began.block, nil
	}
	head, err := d.client.BlockNumber(ctx)
	if err != nil {
		return 0, fmt.Errorf("chain: start of the deployment: %w", err)
	}
	low, high := uint64(0), head // the registry is there at high
	for low < high {
		middle := low + (high-low)/2
		code, err := d.client.CodeAt(ctx, d.registry, new(big.Int).SetUint64(middle))
		if ctx.Err() != nil {
			return 0, fmt.Errorf("chain: start of the deployment: %w", ctx.Err())
		}
		if err != nil {
			return 0, nil // no such state any more; asked again next time
		}
		if len(code) > 0 {
			high = middle
		} else {
			low = middle + 1
		}
	}
	d.began.known, d.began.block = true, low
	return low, nil
}
