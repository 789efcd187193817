package txmgr

import (
	"context"
	"fmt"
	"math/big"

	"github.com/ethereum/go-ethereum/core/types"
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
// parts at least an eighth higher. It says false when that is beyond limit.
func above(f fees, old *types.Transaction, limit *big.Int) (fees, bool) {
	tip, feeCap := eighthMore(old.GasTipCap()), eighthMore(old.GasFeeCap())
	if feeCap.Cmp(limit) > 0 {
		return f, false
	}
	f.tip = larger(f.tip, tip)
	f.cap = larger(new(big.Int).Add(f.cap, f.tip), feeCap)
	return f.within(limit), true
}

// bounded keeps a first bid within the configured limit.
func (m *Manager) bounded(f fees) fees {
	if m.cfg.MaxFeePerGas == nil {
		return f
	}
	return f.within(m.cfg.MaxFeePerGas)
}

func (f fees) within(limit *big.Int) fees {
	if f.cap.Cmp(limit) > 0 {
		f.cap = limit
	}
	if f.tip.Cmp(f.cap) > 0 {
		f.tip = f.cap
	}
	return f
}

// limitFactor is how many times its first bid a request may come to cost when
// no limit is configured.
const limitFactor = 10

// limit is the most that may be bid for the request with these attempts, the
// newest first.
func (m *Manager) limit(list []attempt) *big.Int {
	if m.cfg.MaxFeePerGas != nil {
		return m.cfg.MaxFeePerGas
	}
	first := list[len(list)-1].Tx.GasFeeCap()
	return new(big.Int).Mul(first, big.NewInt(limitFactor))
}

// cost is the most that a transaction can take from its sender.
func cost(value, feeCap *big.Int, gas uint64) *big.Int {
	c := new(big.Int).Mul(feeCap, new(big.Int).SetUint64(gas))
	return c.Add(c, value)
}

// affordable is the best paying of the attempts that the account can pay for,
// else the newest.
func affordable(list []attempt, balance *big.Int) attempt {
	best := -1
	for i := range list {
		tx := list[i].Tx
		if cost(tx.Value(), tx.GasFeeCap(), tx.Gas()).Cmp(balance) > 0 {
			continue
		}
		if best < 0 || tx.GasFeeCap().Cmp(list[best].Tx.GasFeeCap()) > 0 {
			best = i
		}
	}
	return list[max(best, 0)]
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
