package scheduler

import (
	"context"
	"math/big"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/stretchr/testify/require"

	"github.com/gristmill-zk/gristmill/chain"
	"github.com/gristmill-zk/gristmill/wire"
)

// recorder is a sender that notes what it is asked for.
type recorder struct {
	err      error
	requests []chain.Request
	forgot   []string
}

func (r *recorder) Address() common.Address { return common.Address{7} }

func (r *recorder) Send(_ context.Context, req chain.Request) (*types.Receipt, error) {
	r.requests = append(r.requests, req)
	return &types.Receipt{TxHash: common.Hash{1}, GasUsed: 5, EffectiveGasPrice: big.NewInt(1)}, r.err
}

func (r *recorder) Await(_ context.Context, key string) (*types.Receipt, error) {
	for _, req := range r.requests {
		if req.Key == key {
			return &types.Receipt{TxHash: common.Hash{1}, GasUsed: 5}, r.err
		}
	}
	return nil, chain.ErrUnknownKey
}

func (r *recorder) Forget(_ context.Context, key string) error {
	r.forgot = append(r.forgot, key)
	return nil
}

func TestCallsGoToTheirContracts(t *testing.T) {
	t.Parallel()
	task := wire.Hash{1}
	tasks, provers := common.Address{0x10}, common.Address{0x20}
	for kind, to := range map[CallKind]common.Address{
		CallAccept: tasks, CallDecline: tasks, CallSettle: tasks, CallAdvance: tasks,
		CallClaim: tasks, CallReassign: tasks, CallResume: provers,
	} {
		sender := &recorder{}
		c := &liveChain{sender: sender, tasks: tasks, provers: provers}
		call := Call{Kind: kind, Tasks: []wire.Hash{task}, Outputs: []wire.Hash{{31: 1}}}
		if kind == CallResume {
			call.Tasks = nil
		}
		receipt, err := c.Send(t.Context(), "key", call)
		require.NoError(t, err, kind)
		require.Equal(t, Receipt{Tx: wire.Hash{1}, Gas: 5}, receipt)
		require.Len(t, sender.requests, 1)
		require.Equal(t, to, *sender.requests[0].To, kind)
		require.Equal(t, "key", sender.requests[0].Key)
		require.GreaterOrEqual(t, len(sender.requests[0].Data), 4)
		require.Empty(t, sender.forgot)
	}
	for _, bad := range []Call{{Kind: "dance", Tasks: []wire.Hash{task}}, {Kind: CallSettle}, {Kind: CallClaim, Tasks: make([]wire.Hash, 2)}} {
		sender := &recorder{}
		_, err := (&liveChain{sender: sender}).Send(t.Context(), "key", bad)
		require.Error(t, err)
		require.Empty(t, sender.requests)
	}
}

func TestRefusedCallMayBeSentAgain(t *testing.T) {
	t.Parallel()
	sender := &recorder{err: &chain.RevertError{Name: "NotOffered"}}
	_, err := (&liveChain{sender: sender}).Send(t.Context(), "claim/1", Call{Kind: CallClaim, Tasks: []wire.Hash{{1}}})
	require.ErrorIs(t, err, chain.ErrReverted)
	require.Equal(t, []string{"claim/1"}, sender.forgot)
	sender.err = chain.ErrInsufficientFunds
	_, err = (&liveChain{sender: sender}).Send(t.Context(), "claim/2", Call{Kind: CallClaim, Tasks: []wire.Hash{{1}}})
	require.ErrorIs(t, err, chain.ErrInsufficientFunds)
	require.Len(t, sender.forgot, 1, "one that may still be mined keeps its key")
}

func TestAwaitTellsWhatBecameOfACall(t *testing.T) {
	t.Parallel()
	sender := &recorder{}
	c := &liveChain{sender: sender}
	none, err := c.Await(t.Context(), "settle/1")
	require.NoError(t, err)
	require.Zero(t, none)
	sent, err := c.Send(t.Context(), "settle/1", Call{Kind: CallSettle, Tasks: []wire.Hash{{1}}})
	require.NoError(t, err)
	got, err := c.Await(t.Context(), "settle/1")
	require.NoError(t, err)
	require.Equal(t, sent, got)
	sender.err = &chain.RevertError{Name: "NotAccepted"}
	_, err = c.Await(t.Context(), "settle/1")
	require.ErrorIs(t, err, chain.ErrReverted)
	require.Equal(t, []string{"settle/1"}, sender.forgot)
}

func TestEventsOfTasksAreTakenOver(t *testing.T) {
	t.Parallel()
	id, me := wire.Hash{1}, wire.Address{7}
	mined := chain.TaskMined{TaskID: id, Height: 3, Operator: wire.Address{5}, Task: wire.Task{
		Project: 1, Version: 2, Count: 3, DataCommitment: wire.Hash{4}, DataHash: wire.Hash{5}, Size: 6,
	}}
	e, ok := taskEvent(mined)
	require.True(t, ok)
	require.Equal(t, Mined{Project: 1, Version: 2, Count: 3, DataCommitment: wire.Hash{4}, DataHash: wire.Hash{5}, Size: 6,
		Height: 3, Operator: wire.Address{5}}, *e.Mined)
	for event, want := range map[chain.Event]ChainEvent{
		chain.TaskSkipped{TaskID: id, Reason: chain.SkipExpired}:           {Kind: EventSkipped, Reason: "expired"},
		chain.TaskWaiting{TaskID: id}:                                      {Kind: EventWaiting},
		chain.TaskOffered{TaskID: id, Prover: me, Attempt: 2, AcceptBy: 9}: {Kind: EventOffered, Prover: me, Draw: 2, AcceptBy: 9},
		chain.TaskAccepted{TaskID: id, Prover: me, Deadline: 8}:            {Kind: EventAccepted, Prover: me, Deadline: 8},
		chain.TaskDeclined{TaskID: id, Prover: me}:                         {Kind: EventDeclined, Prover: me},
		chain.OfferMissed{TaskID: id, Prover: me}:                          {Kind: EventMissed, Prover: me},
		chain.TaskReassigned{TaskID: id, From: me}:                         {Kind: EventReassigned, Prover: me},
		chain.TaskRecalled{TaskID: id}:                                     {Kind: EventRecalled},
		chain.TaskDead{TaskID: id, Reason: chain.DeadOffersExhausted}:      {Kind: EventDead, Reason: "offers exhausted"},
	} {
		want.Task = id
		got, ok := taskEvent(event)
		require.True(t, ok)
		require.Equal(t, want, got)
	}
	settled, ok := taskEvent(chain.TaskSettled{TaskID: id, Prover: me})
	require.True(t, ok)
	require.Equal(t, ChainEvent{Kind: EventSettled, Task: id, Prover: me}, settled)
	_, ok = taskEvent(chain.DappCalled{TaskID: id})
	require.False(t, ok)
}
