package txmgr

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"time"

	"github.com/ethereum/go-ethereum"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"

	"github.com/gristmill-zk/gristmill/chain"
)

const (
	// resendEvery is the least time between broadcasts of one transaction.
	resendEvery = time.Second
	// sureAfter is on how many heads in a row a nonce must look taken, or
	// missing, before something is done about it: endpoints lag.
	sureAfter = 3
)

// Run broadcasts what is in flight and follows it until ctx ends. It is ready
// at once: an endpoint that is away is waited for.
func (m *Manager) Run(ctx context.Context, ready func()) error {
	defer m.stop()
	ready()
	timer := time.NewTimer(0)
	defer timer.Stop()
	healthy := true
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-timer.C:
		case <-m.kick:
		}
		err := m.pass(ctx)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil && healthy:
			m.log.WarnContext(ctx, "cannot follow transactions, will keep trying", "error", err)
		}
		healthy = err == nil
		timer.Reset(m.cfg.Poll)
	}
}

// pass compares the journal with the chain once.
func (m *Manager) pass(ctx context.Context) error {
	head, err := m.cfg.Client.BlockRef(ctx, nil)
	if err != nil {
		return err
	}
	list, err := m.j.inFlight(ctx)
	if err != nil {
		return err
	}
	if len(list) == 0 && head.Hash == m.lastHead {
		return nil
	}
	mined, err := m.cfg.Client.NonceAt(ctx, m.addr, new(big.Int).SetUint64(head.Number))
	if err != nil {
		return fmt.Errorf("nonce at block %d: %w", head.Number, err)
	}
	lost, err := m.j.reopen(ctx, `nonce >= ?`, mined)
	if err != nil {
		return err
	}
	moved, err := m.recheck(ctx, head)
	if err != nil {
		return err
	}
	if lost+moved > 0 {
		m.log.WarnContext(ctx, "the chain lost or moved mined transactions: following them again", "lost", lost, "moved", moved, "from_nonce", mined)
		if list, err = m.j.inFlight(ctx); err != nil {
			return err
		}
	}
	if err := m.followAll(ctx, list, head, mined); err != nil {
		return err
	}
	m.lastHead = head.Hash
	m.wake()
	return nil
}

// recheckDepth is how many blocks below the head receipts are looked at again.
const recheckDepth = 64

// recheck takes receipts back whose block the chain has no more: their
// transactions may stand in another block, with another outcome. A head on top
// of the last one seen can have moved nothing but what the endpoint got wrong
// about its newest blocks.
func (m *Manager) recheck(ctx context.Context, head chain.BlockRef) (moved int64, err error) {
	if head.Hash == m.lastHead {
		return 0, nil
	}
	depth := uint64(recheckDepth)
	if head.Parent == m.lastHead {
		depth = 2
	}
	blocks, err := m.j.receiptBlocks(ctx, head.Number-min(head.Number, depth))
	if err != nil {
		return 0, err
	}
	for _, b := range blocks {
		now, err := m.cfg.Client.BlockRef(ctx, new(big.Int).SetUint64(b.number))
		if err != nil && !errors.Is(err, ethereum.NotFound) {
			return moved, err
		}
		if err == nil && now.Hash == b.hash {
			continue
		}
		n, err := m.j.reopen(ctx, `block_hash = ?`, b.hash[:])
		if err != nil {
			return moved, err
		}
		moved += n
	}
	return moved, nil
}

func (m *Manager) followAll(ctx context.Context, list []entry, head chain.BlockRef, mined uint64) error {
	var waiting []entry
	for _, e := range list {
		if e.Nonce >= mined {
			waiting = append(waiting, e)
			continue
		}
		if err := m.collect(ctx, e, head); err != nil {
			return err
		}
	}
	if len(waiting) == 0 {
		return nil
	}
	pending, err := m.cfg.Client.PendingNonceAt(ctx, m.addr)
	if err != nil {
		return fmt.Errorf("pending nonce: %w", err)
	}
	if waiting[0].Nonce > mined && pending == mined {
		if err := m.fillGap(ctx, mined, head); err != nil {
			return err
		}
	}
	for _, e := range waiting {
		if err := m.push(ctx, e, head, mined, pending); err != nil {
			return err
		}
	}
	return nil
}

// collect looks for the receipt of a request whose nonce is used up.
func (m *Manager) collect(ctx context.Context, e entry, head chain.BlockRef) error {
	list, err := m.j.attempts(ctx, e.Key)
	if err != nil {
		return err
	}
	for _, a := range list {
		r, err := m.cfg.Client.TransactionReceipt(ctx, a.Tx.Hash())
		if errors.Is(err, ethereum.NotFound) {
			continue
		}
		if err != nil {
			return fmt.Errorf("receipt of %q: %w", e.Key, err)
		}
		if r.BlockNumber.Uint64()+m.cfg.Confirmations > head.Number+1 {
			return nil // not deep enough
		}
		return m.conclude(ctx, e, r)
	}
	if m.taken.seen(e.Key, head.Hash) < sureAfter {
		return nil
	}
	return m.moveOn(ctx, e, head)
}

func (m *Manager) conclude(ctx context.Context, e entry, r *types.Receipt) error {
	var revert []byte
	if r.Status != types.ReceiptStatusSuccessful {
		revert = m.whyReverted(ctx, e, r)
		m.log.WarnContext(ctx, "transaction reverted", "key", e.Key, "tx", r.TxHash, "error", chain.DecodeRevert(revert))
	}
	if err := m.j.finish(ctx, e.Key, r, revert); err != nil {
		return err
	}
	m.forgetBroadcast(e.Key)
	m.log.DebugContext(ctx, "transaction confirmed", "key", e.Key, "nonce", e.Nonce, "tx", r.TxHash,
		"block", r.BlockNumber, "gas", r.GasUsed)
	return nil
}

// whyReverted repeats a failed call on the state before its block. The answer
// may differ from what happened within the block, or be missing.
func (m *Manager) whyReverted(ctx context.Context, e entry, r *types.Receipt) []byte {
	before := new(big.Int).Sub(r.BlockNumber, big.NewInt(1))
	_, err := m.cfg.Client.CallContract(ctx, ethereum.CallMsg{
		From: m.addr, To: e.Recipient, Data: e.Data, Value: e.Value, Gas: e.Gas,
	}, before)
	if revert := chain.AsRevert(err); revert != nil {
		return revert.Data
	}
	return nil
}

// moveOn gives a request another nonce after somebody else used its own.
func (m *Manager) moveOn(ctx context.Context, e entry, head chain.BlockRef) error {
	f, err := m.fees(ctx)
	if err != nil {
		return err
	}
	pending, err := m.cfg.Client.PendingNonceAt(ctx, m.addr)
	if err != nil {
		return fmt.Errorf("pending nonce: %w", err)
	}
	m.log.WarnContext(ctx, "the nonce was used by a transaction that is not ours: taking another",
		"key", e.Key, "nonce", e.Nonce, "block", head.Number)
	m.taken.forget(e.Key)
	return m.j.move(ctx, e.Key, pending, m.sign(e, f))
}

// push keeps a request that is not mined yet in the endpoint's pool. Only the
// request that all others wait for is made to pay more: the others' fees say
// nothing about why they wait.
func (m *Manager) push(ctx context.Context, e entry, head chain.BlockRef, mined, pending uint64) error {
	list, err := m.j.attempts(ctx, e.Key)
	if err != nil {
		return err
	}
	// Older forms may be signed for a nonce that somebody else took.
	list = slices.DeleteFunc(list, func(a attempt) bool { return a.Tx.Nonce() != e.Nonce })
	if len(list) == 0 {
		return fmt.Errorf("journal has no signed form of %q with nonce %d", e.Key, e.Nonce)
	}
	a := list[0]
	waited := time.Since(time.UnixMilli(a.Made))
	stuck := e.Nonce == mined && waited >= m.cfg.StuckAfter && head.Number >= a.Head+2
	last, known := m.lastSent(e.Key)
	if stuck {
		done, err := m.bump(ctx, e, list, waited)
		if err != nil || done {
			return err
		}
		if !known || time.Since(last.at) >= resendEvery {
			return m.resendBest(ctx, e, list)
		}
		return nil
	}
	if !known || e.Nonce >= pending && time.Since(last.at) >= resendEvery {
		m.broadcast(ctx, e.Key, a.Tx)
	}
	return nil
}

func (m *Manager) lastSent(key string) (broadcast, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	last, known := m.sent[key]
	return last, known
}

// bump replaces a transaction that waits too long by a better paying one, if
// the limit and the account's funds allow one that pools would take.
func (m *Manager) bump(ctx context.Context, e entry, list []attempt, waited time.Duration) (done bool, err error) {
	f, err := m.fees(ctx)
	if err != nil {
		return false, err
	}
	limit := m.limit(list)
	f, ok := above(f, list[0].Tx, limit)
	if !ok {
		m.stand(ctx, e, "its fees are at their limit", "fee_cap", list[0].Tx.GasFeeCap(), "limit", limit)
		return false, nil
	}
	balance, err := m.cfg.Client.BalanceAt(ctx, m.addr, nil)
	if err != nil {
		return false, fmt.Errorf("balance: %w", err)
	}
	if needs := cost(e.Value, f.cap, e.Gas); balance.Cmp(needs) < 0 {
		m.stand(ctx, e, "the account cannot pay more", "balance", balance, "needs", needs)
		return false, nil
	}
	next, err := m.sign(e, f)(e.Nonce)
	if err != nil {
		return false, err
	}
	m.log.WarnContext(ctx, "transaction waits: raising its fees", "key", e.Key, "nonce", e.Nonce,
		"waited", waited.Round(time.Second), "fee_cap", f.cap, "tip", f.tip)
	if err := m.j.replace(ctx, e.Key, next); err != nil {
		return false, err
	}
	m.broadcast(ctx, e.Key, next.Tx)
	return true, nil
}

// stand says, once per request, why its fees are not raised.
func (m *Manager) stand(ctx context.Context, e entry, why string, args ...any) {
	if m.standing == e.Key+why {
		return
	}
	m.standing = e.Key + why
	m.log.WarnContext(ctx, "transaction waits and stays as it is: "+why, append([]any{"key", e.Key, "nonce", e.Nonce}, args...)...)
}

// resendBest broadcasts the best form that the account can pay for.
func (m *Manager) resendBest(ctx context.Context, e entry, list []attempt) error {
	balance, err := m.cfg.Client.BalanceAt(ctx, m.addr, nil)
	if err != nil {
		return fmt.Errorf("balance: %w", err)
	}
	m.broadcast(ctx, e.Key, affordable(list, balance).Tx)
	return nil
}

// fillGap sends an empty transfer for a nonce that holds up everything of ours
// and that the journal knows nothing of.
func (m *Manager) fillGap(ctx context.Context, nonce uint64, head chain.BlockRef) error {
	key := "gap/" + strconv.FormatUint(nonce, 10)
	if m.gap.seen(key, head.Hash) < sureAfter {
		return nil
	}
	known, err := m.j.hasNonce(ctx, nonce)
	if err != nil || known {
		return err
	}
	f, err := m.fees(ctx)
	if err != nil {
		return err
	}
	m.log.WarnContext(ctx, "filling a nonce that holds up others", "nonce", nonce)
	m.gap.forget(key)
	e := entry{Key: key, Nonce: nonce, Recipient: &m.addr, Value: new(big.Int), Gas: 21000}
	e.Digest = digest(chain.Request{To: e.Recipient})
	return m.j.insertAt(ctx, e, m.sign(e, f))
}

func (m *Manager) forgetBroadcast(key string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.sent, key)
}

// seen counts one more head on which key was met and returns the count. A key
// that was not met on the head before starts over.
func (s *strikes) seen(key string, head common.Hash) int {
	if s.head != head {
		s.head, s.last, s.now = head, s.now, map[string]int{}
	}
	if s.now[key] == 0 {
		s.now[key] = s.last[key] + 1
	}
	return s.now[key]
}

func (s *strikes) forget(key string) {
	delete(s.now, key)
	delete(s.last, key)
}
