package txmgr

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"time"

	"github.com/ethereum/go-ethereum"
	"github.com/ethereum/go-ethereum/core/types"

	"github.com/gristmill-zk/gristmill/chain"
	"github.com/gristmill-zk/gristmill/internal/failpoint"
)

// maxTxGas is what EIP-7825 lets one transaction have.
const maxTxGas = 1 << 24

// Send implements chain.Sender. It waits for as long as ctx lets it; the
// transaction goes on without it. It needs Run to be running to return.
func (m *Manager) Send(ctx context.Context, r chain.Request) (*types.Receipt, error) {
	if r.Key == "" {
		return nil, errors.New("txmgr: Request.Key is empty")
	}
	if v := valueOf(r); v.Sign() < 0 || v.BitLen() > 256 {
		return nil, fmt.Errorf("txmgr: %q: Request.Value %s is no amount of wei", r.Key, v)
	}
	e, found, err := m.j.get(ctx, r.Key)
	if err != nil {
		return nil, err
	}
	if !found {
		if e, err = m.begin(ctx, r); err != nil {
			return nil, fmt.Errorf("txmgr: %q: %w", r.Key, err)
		}
	}
	if e.Digest != digest(r) {
		return nil, fmt.Errorf("txmgr: %q: %w", r.Key, chain.ErrKeyReused)
	}
	return m.await(ctx, r.Key)
}

// Await returns as Send did, or will, for the request that has the key: for a
// caller that knows the key but not what it sent. It is chain.ErrUnknownKey if
// there is none, and then no transaction can come of one either.
func (m *Manager) Await(ctx context.Context, key string) (*types.Receipt, error) {
	if _, found, err := m.j.get(ctx, key); err != nil {
		return nil, err
	} else if !found {
		return nil, fmt.Errorf("txmgr: %q: %w", key, chain.ErrUnknownKey)
	}
	return m.await(ctx, key)
}

// begin checks that a request can succeed, journals and broadcasts it.
func (m *Manager) begin(ctx context.Context, r chain.Request) (entry, error) {
	gas, err := m.gasFor(ctx, r)
	if err != nil {
		return entry{}, err
	}
	f, err := m.fees(ctx)
	if err != nil {
		return entry{}, err
	}
	if err := m.checkFunds(ctx, r, new(big.Int).Mul(f.cap, new(big.Int).SetUint64(gas))); err != nil {
		return entry{}, err
	}
	pending, err := m.cfg.Client.PendingNonceAt(ctx, m.addr)
	if err != nil {
		return entry{}, fmt.Errorf("nonce: %w", err)
	}
	e := entry{Key: r.Key, Digest: digest(r), Recipient: r.To, Data: r.Data, Value: valueOf(r), Gas: gas}
	e, first, err := m.j.insert(ctx, e, pending, m.sign(e, f))
	if err != nil {
		return entry{}, err
	}
	if first != nil {
		m.log.DebugContext(ctx, "sending", "key", e.Key, "nonce", e.Nonce, "tx", first.Tx.Hash(), "gas", gas)
		m.broadcast(ctx, e.Key, first.Tx)
	}
	select {
	case m.kick <- struct{}{}:
	default:
	}
	return e, nil
}

// gasFor is the gas limit asked for, or what the call needs now and a quarter.
func (m *Manager) gasFor(ctx context.Context, r chain.Request) (uint64, error) {
	if err := m.checkFunds(ctx, r, new(big.Int)); err != nil {
		return 0, err
	}
	if r.Gas > 0 {
		return r.Gas, nil
	}
	gas, err := m.cfg.Client.EstimateGas(ctx, ethereum.CallMsg{From: m.addr, To: r.To, Data: r.Data, Value: r.Value})
	if err != nil {
		if revert := chain.AsRevert(err); revert != nil {
			return 0, revert
		}
		return 0, fmt.Errorf("estimate gas: %w", err)
	}
	if gas > maxTxGas {
		return gas, nil // the chain may know no such limit
	}
	return min(gas+gas/4, maxTxGas), nil
}

func (m *Manager) checkFunds(ctx context.Context, r chain.Request, fees *big.Int) error {
	has, err := m.cfg.Client.BalanceAt(ctx, m.addr, nil)
	if err != nil {
		return fmt.Errorf("balance: %w", err)
	}
	if needs := fees.Add(fees, valueOf(r)); has.Cmp(needs) < 0 {
		return fmt.Errorf("%w: %s has %s wei and needs up to %s", chain.ErrInsufficientFunds, m.addr, has, needs)
	}
	return nil
}

// sign gives a function that signs e for whatever nonce it gets.
func (m *Manager) sign(e entry, f fees) signer {
	return func(nonce uint64) (attempt, error) {
		tx, err := types.SignNewTx(m.cfg.Key, m.signer, &types.DynamicFeeTx{
			ChainID: m.signer.ChainID(), Nonce: nonce, GasTipCap: f.tip, GasFeeCap: f.cap,
			Gas: e.Gas, To: e.Recipient, Value: e.Value, Data: e.Data,
		})
		if err != nil {
			return attempt{}, fmt.Errorf("sign: %w", err)
		}
		return attempt{Tx: tx, Head: f.head, Made: time.Now().UnixMilli()}, nil
	}
}

// broadcast hands a transaction to the endpoint. What it answers decides
// nothing, for the chain's nonce and receipts say what became of it; an answer
// not heard before is logged.
func (m *Manager) broadcast(ctx context.Context, key string, tx *types.Transaction) {
	failpoint.Hit("txmgr.broadcast.before")
	err := m.cfg.Client.SendTransaction(ctx, tx)
	failpoint.Hit("txmgr.broadcast.after")
	now := broadcast{at: time.Now()}
	if err != nil {
		now.err = err.Error()
	}
	m.mu.Lock()
	before := m.sent[key]
	m.sent[key] = now
	m.mu.Unlock()
	if err != nil && before.err != now.err && ctx.Err() == nil {
		m.log.InfoContext(ctx, "the endpoint did not take a transaction", "key", key, "nonce", tx.Nonce(), "error", err)
	}
}

// await returns when the request has ended.
func (m *Manager) await(ctx context.Context, key string) (*types.Receipt, error) {
	for {
		changed := m.changes()
		e, found, err := m.j.get(ctx, key)
		if err != nil {
			return nil, err
		}
		if !found {
			return nil, fmt.Errorf("txmgr: %q was forgotten while it was waited for", key)
		}
		if e.Receipt != nil {
			return e.Receipt, e.failure()
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, fmt.Errorf("txmgr: %q, nonce %d, is in flight: %w", key, e.Nonce, ctx.Err())
		case <-m.stopped:
			return nil, fmt.Errorf("txmgr: %q, nonce %d: %w", key, e.Nonce, ErrStopped)
		}
	}
}

// failure is the error of a request that was mined and failed.
func (e entry) failure() error {
	if e.Receipt.Status == types.ReceiptStatusSuccessful {
		return nil
	}
	return fmt.Errorf("txmgr: %q, transaction %s: %w", e.Key, e.Receipt.TxHash, chain.DecodeRevert(e.Revert))
}
