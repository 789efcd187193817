package chain

import (
	"fmt"
	"math/big"

	"github.com/gristmill-zk/gristmill/chain/bindings"
	"github.com/gristmill-zk/gristmill/wire"
)

// The functions below make calldata; the contract it is for stands beside each.

// PackMint is BlockMinter.mint.
func PackMint(h wire.Header, coinbase []byte, tasks []wire.Task) ([]byte, error) {
	list := make([]bindings.Task, len(tasks))
	for i, t := range tasks {
		list[i] = bindings.Task{
			Project: t.Project, Version: t.Version, Count: t.Count,
			DataCommitment: number(t.DataCommitment), DataHash: t.DataHash, Size: t.Size,
			Expiry: t.Authorisation.Expiry, Signature: t.Authorisation.Signature,
		}
	}
	header := h.Encode()
	return packed(bindings.NewBlockMinter().TryPackMint(header[:], coinbase, list))
}

// PackAccept is TaskManager.accept.
func PackAccept(tasks []wire.Hash) ([]byte, error) {
	ids := make([][32]byte, len(tasks))
	for i, id := range tasks {
		ids[i] = id
	}
	return packed(bindings.NewTaskManager().TryPackAccept(ids))
}

// PackDecline is TaskManager.decline.
func PackDecline(task wire.Hash) ([]byte, error) {
	return packed(bindings.NewTaskManager().TryPackDecline(task))
}

// PackAdvance is TaskManager.advance.
func PackAdvance(task wire.Hash) ([]byte, error) {
	return packed(bindings.NewTaskManager().TryPackAdvance(task))
}

// PackClaim is TaskManager.claim.
func PackClaim(task wire.Hash) ([]byte, error) {
	return packed(bindings.NewTaskManager().TryPackClaim(task))
}

// PackReassign is TaskManager.reassign.
func PackReassign(task wire.Hash) ([]byte, error) {
	return packed(bindings.NewTaskManager().TryPackReassign(task))
}

// PackRecall is TaskManager.recall.
func PackRecall(task wire.Hash) ([]byte, error) {
	return packed(bindings.NewTaskManager().TryPackRecall(task))
}

// PackSettle is TaskManager.settle.
func PackSettle(task wire.Hash, proof wire.Proof, outputs []wire.Hash) ([]byte, error) {
	values := make([]*big.Int, len(outputs))
	for i, o := range outputs {
		values[i] = number(o)
	}
	return packed(bindings.NewTaskManager().TryPackSettle(task, proof.Words(), values))
}

// PackResume is ProverRegistry.resume.
func PackResume() ([]byte, error) {
	return packed(bindings.NewProverRegistry().TryPackResume())
}

// PackRegisterURLs is SequencerRegistry.register.
func PackRegisterURLs(urls []string) ([]byte, error) {
	return packed(bindings.NewSequencerRegistry().TryPackRegister(urls))
}

func packed(data []byte, err error) ([]byte, error) {
	if err != nil {
		return nil, fmt.Errorf("chain: calldata: %w", err)
	}
	return data, nil
}

func number(h wire.Hash) *big.Int { return new(big.Int).SetBytes(h[:]) }
