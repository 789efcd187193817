package txmgr

import (
	"context"
	"fmt"
	"math/big"
)

// fees is a bid for gas at some head.
type fees struct {
	tip, cap *big.Int
	head     uint64
}

// fees bids the endpoint's tip and room for the base fee to double.
func (m *Manager) fees(ctx context.Context) (fees, error) {
	head, err := m.cfg.Client.HeaderByNumber(ctx, nil)
	if err != nil {
		return fees{}, fmt.Errorf("head: %w", err)
	}
	tip, err := m.cfg.Client.SuggestGasTipCap(ctx)
	if err != nil {
		return fees{}, fmt.Errorf("suggested tip: %w", err)
	}
	f := fees{tip: tip, cap: new(big.Int).Set(tip), head: head.Number.Uint64()}
	if head.BaseFee != nil {
		f.cap.Add(f.cap, new(big.Int).Lsh(head.BaseFee, 1))
	}
	return m.bounded(f), nil
}

// above raises a bid to one that pools take in place of an older one: both
// parts at least an eighth higher.
func (m *Manager) above(f fees, tip, feeCap *big.Int) fees {
	f.tip = larger(f.tip, eighthMore(tip))
	f.cap = larger(new(big.Int).Add(f.cap, f.tip), eighthMore(feeCap))
	return m.bounded(f)
}

func (m *Manager) bounded(f fees) fees {
	if limit := m.cfg.MaxFeePerGas; limit != nil && f.cap.Cmp(limit) > 0 {
		f.cap = limit
	}
	if f.tip.Cmp(f.cap) > 0 {
		f.tip = f.cap
	}
	return f
}

func eighthMore(v *big.Int) *big.Int {
	more := new(big.Int).Rsh(v, 3)
	more.Add(more, v)
	return more.Add(more, big.NewInt(1))
}

func larger(a, b *big.Int) *big.Int {
	if a.Cmp(b) > 0 {
		return a
	}
	return b
}
