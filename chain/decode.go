package chain

import (
	"fmt"

	"github.com/ethereum/go-ethereum/accounts/abi"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"

	"github.com/gristmill-zk/gristmill/chain/bindings"
	"github.com/gristmill-zk/gristmill/wire"
)

// eventKey tells events apart: two contracts may emit the same one.
type eventKey struct {
	contract common.Address
	topic    common.Hash
}

type decoder func(*types.Log) (Event, error)

// DecodeEvents types the logs of this deployment's contracts, in the order
// given. Logs of other contracts and events without a type here are left out;
// a log that does not fit its event is an error.
func (d *Deployment) DecodeEvents(logs []types.Log) ([]Event, error) {
	var events []Event
	for i := range logs {
		l := &logs[i]
		if len(l.Topics) == 0 {
			continue
		}
		decode, ok := d.decoders[eventKey{l.Address, l.Topics[0]}]
		if !ok {
			continue
		}
		e, err := decode(l)
		if err != nil {
			return nil, fmt.Errorf("chain: log %d of block %d: %w", l.Index, l.BlockNumber, err)
		}
		events = append(events, e)
	}
	return events, nil
}

// table collects the decoders of one contract after another.
type table struct {
	list     map[eventKey]decoder
	contract common.Address
	abi      abi.ABI
}

// on adds the decoder of the current contract's event of that name.
func on[T any](t *table, name string, unpack func(*types.Log) (*T, error), convert func(Pos, *T) Event) {
	t.list[eventKey{t.contract, t.abi.Events[name].ID}] = func(l *types.Log) (Event, error) {
		e, err := unpack(l)
		if err != nil {
			return nil, fmt.Errorf("event %s: %w", name, err)
		}
		return convert(posOf(l), e), nil
	}
}

func decoders(p Parts) map[eventKey]decoder {
	t := &table{list: map[eventKey]decoder{}}
	t.blockMinter(p.Minter)
	t.taskManager(p.Tasks)
	t.projectRegistry(p.Projects)
	t.deviceRegistry(p.Devices)
	t.verifyingKeys(p.Keys)
	t.sequencerRegistry(p.Sequencers)
	t.proverRegistry(p.Provers)
	t.escrow(p.Escrow)
	t.rewardPool(p.Rewards)
	return t.list
}

func (t *table) blockMinter(at common.Address) {
	b := bindings.NewBlockMinter()
	t.contract, t.abi = at, b.GetABI()
	on(t, "BlockMined", b.UnpackBlockMinedEvent, func(at Pos, e *bindings.BlockMinterBlockMined) Event {
		return BlockMined{at, e.Height, e.Hash, wa(e.Operator), wa(e.Beneficiary), e.Tasks, e.Reward, e.Header, e.Coinbase}
	})
}

func (t *table) taskManager(at common.Address) {
	b := bindings.NewTaskManager()
	t.contract, t.abi = at, b.GetABI()
	on(t, "TaskMined", b.UnpackTaskMinedEvent, func(at Pos, e *bindings.TaskManagerTaskMined) Event {
		return TaskMined{at, e.TaskId, e.Height, wa(e.Operator), wireTask(e.Task)}
	})
	on(t, "TaskSkipped", b.UnpackTaskSkippedEvent, func(at Pos, e *bindings.TaskManagerTaskSkipped) Event {
		return TaskSkipped{at, e.TaskId, SkipReason(e.Reason)}
	})
	on(t, "TaskOffered", b.UnpackTaskOfferedEvent, func(at Pos, e *bindings.TaskManagerTaskOffered) Event {
		return TaskOffered{at, e.TaskId, wa(e.Prover), e.Attempt, e.AcceptBy}
	})
	on(t, "TaskWaiting", b.UnpackTaskWaitingEvent, func(at Pos, e *bindings.TaskManagerTaskWaiting) Event {
		return TaskWaiting{at, e.TaskId}
	})
	on(t, "TaskAccepted", b.UnpackTaskAcceptedEvent, func(at Pos, e *bindings.TaskManagerTaskAccepted) Event {
		return TaskAccepted{at, e.TaskId, wa(e.Prover), e.Deadline}
	})
	on(t, "TaskDeclined", b.UnpackTaskDeclinedEvent, func(at Pos, e *bindings.TaskManagerTaskDeclined) Event {
		return TaskDeclined{at, e.TaskId, wa(e.Prover)}
	})
	on(t, "OfferMissed", b.UnpackOfferMissedEvent, func(at Pos, e *bindings.TaskManagerOfferMissed) Event {
		return OfferMissed{at, e.TaskId, wa(e.Prover)}
	})
	on(t, "TaskReassigned", b.UnpackTaskReassignedEvent, func(at Pos, e *bindings.TaskManagerTaskReassigned) Event {
		return TaskReassigned{at, e.TaskId, wa(e.From), e.Slashed}
	})
	on(t, "TaskSettled", b.UnpackTaskSettledEvent, func(at Pos, e *bindings.TaskManagerTaskSettled) Event {
		// The contract verified it, so it has the words of a proof. A node that makes
		// one up has it refused wherever the proof matters.
		proof, _ := wire.ProofOfWords(words(e.Proof))
		return TaskSettled{at, e.TaskId, e.Project, wa(e.Prover), proof, words(e.Outputs), e.ProverAmount, e.SequencerAmount, e.ProtocolAmount}
	})
	on(t, "TaskRecalled", b.UnpackTaskRecalledEvent, func(at Pos, e *bindings.TaskManagerTaskRecalled) Event {
		return TaskRecalled{at, e.TaskId, e.Project}
	})
	on(t, "TaskDead", b.UnpackTaskDeadEvent, func(at Pos, e *bindings.TaskManagerTaskDead) Event {
		return TaskDead{at, e.TaskId, DeadReason(e.Reason)}
	})
	on(t, "DappCalled", b.UnpackDappCalledEvent, func(at Pos, e *bindings.TaskManagerDappCalled) Event {
		return DappCalled{at, e.TaskId, e.Ok}
	})
}

func (t *table) projectRegistry(at common.Address) {
	b := bindings.NewProjectRegistry()
	t.contract, t.abi = at, b.GetABI()
	on(t, "ProjectCreated", b.UnpackProjectCreatedEvent, func(at Pos, e *bindings.ProjectRegistryProjectCreated) Event {
		return ProjectCreated{at, e.Project, wa(e.Owner)}
	})
	on(t, "VersionAdded", b.UnpackVersionAddedEvent, func(at Pos, e *bindings.ProjectRegistryVersionAdded) Event {
		return VersionAdded{at, e.Project, e.Version, e.VkId, e.BundleDigest, e.BundleURI}
	})
	on(t, "SequencerSet", b.UnpackSequencerSetEvent, func(at Pos, e *bindings.ProjectRegistrySequencerSet) Event {
		return SequencerListed{at, e.Project, wa(e.Key), e.Allowed}
	})
	on(t, "PausedSet", b.UnpackPausedSetEvent, func(at Pos, e *bindings.ProjectRegistryPausedSet) Event {
		return ProjectPaused{at, e.Project, e.Paused}
	})
	on(t, "OwnershipTransferred", b.UnpackOwnershipTransferredEvent, func(at Pos, e *bindings.ProjectRegistryOwnershipTransferred) Event {
		return ProjectOwned{at, e.Project, wa(e.From), wa(e.To)}
	})
}

func (t *table) deviceRegistry(at common.Address) {
	b := bindings.NewDeviceRegistry()
	t.contract, t.abi = at, b.GetABI()
	on(t, "DeviceSet", b.UnpackDeviceSetEvent, func(at Pos, e *bindings.DeviceRegistryDeviceSet) Event {
		return DeviceSet{at, e.Project, e.DeviceId, e.Allowed}
	})
	on(t, "OpenSet", b.UnpackOpenSetEvent, func(at Pos, e *bindings.DeviceRegistryOpenSet) Event {
		return OpenSet{at, e.Project, e.Open}
	})
}

func (t *table) verifyingKeys(at common.Address) {
	b := bindings.NewVerifyingKeys()
	t.contract, t.abi = at, b.GetABI()
	on(t, "KeyRegistered", b.UnpackKeyRegisteredEvent, func(at Pos, e *bindings.VerifyingKeysKeyRegistered) Event {
		return KeyRegistered{at, e.VkId}
	})
}

func (t *table) sequencerRegistry(at common.Address) {
	b := bindings.NewSequencerRegistry()
	t.contract, t.abi = at, b.GetABI()
	on(t, "SequencerSet", b.UnpackSequencerSetEvent, func(at Pos, e *bindings.SequencerRegistrySequencerSet) Event {
		return EndpointsSet{at, wa(e.Operator), e.Urls}
	})
}

func (t *table) proverRegistry(at common.Address) {
	b := bindings.NewProverRegistry()
	t.contract, t.abi = at, b.GetABI()
	on(t, "ProverJoined", b.UnpackProverJoinedEvent, func(at Pos, e *bindings.ProverRegistryProverJoined) Event {
		return ProverJoined{at, wa(e.Operator), wa(e.Beneficiary), e.Capacity}
	})
	on(t, "BeneficiarySet", b.UnpackBeneficiarySetEvent, func(at Pos, e *bindings.ProverRegistryBeneficiarySet) Event {
		return BeneficiarySet{at, wa(e.Operator), wa(e.Beneficiary)}
	})
	on(t, "Staked", b.UnpackStakedEvent, func(at Pos, e *bindings.ProverRegistryStaked) Event {
		return Staked{at, wa(e.Operator), e.Amount, e.Stake}
	})
	on(t, "Unstaked", b.UnpackUnstakedEvent, func(at Pos, e *bindings.ProverRegistryUnstaked) Event {
		return Unstaked{at, wa(e.Operator), wa(e.To), e.Amount, e.Stake}
	})
	on(t, "OptedIn", b.UnpackOptedInEvent, func(at Pos, e *bindings.ProverRegistryOptedIn) Event {
		return OptedIn{at, e.Project, wa(e.Operator)}
	})
	on(t, "OptedOut", b.UnpackOptedOutEvent, func(at Pos, e *bindings.ProverRegistryOptedOut) Event {
		return OptedOut{at, e.Project, wa(e.Operator)}
	})
	on(t, "PausedSet", b.UnpackPausedSetEvent, func(at Pos, e *bindings.ProverRegistryPausedSet) Event {
		return ProverPaused{at, wa(e.Operator), e.Paused}
	})
	on(t, "IdleSet", b.UnpackIdleSetEvent, func(at Pos, e *bindings.ProverRegistryIdleSet) Event {
		return IdleSet{at, wa(e.Operator), e.Idle}
	})
	on(t, "Slashed", b.UnpackSlashedEvent, func(at Pos, e *bindings.ProverRegistrySlashed) Event {
		return Slashed{at, wa(e.Operator), wa(e.Caller), e.Amount, e.Bounty}
	})
}

func (t *table) escrow(at common.Address) {
	b := bindings.NewEscrow()
	t.contract, t.abi = at, b.GetABI()
	on(t, "Deposited", b.UnpackDepositedEvent, func(at Pos, e *bindings.EscrowDeposited) Event {
		return Deposited{at, e.Project, wa(e.Token), wa(e.From), e.Amount}
	})
	on(t, "Withdrawn", b.UnpackWithdrawnEvent, func(at Pos, e *bindings.EscrowWithdrawn) Event {
		return Withdrawn{at, e.Project, wa(e.Token), wa(e.To), e.Amount}
	})
	on(t, "Withheld", b.UnpackWithheldEvent, func(at Pos, e *bindings.EscrowWithheld) Event {
		return Withheld{at, e.TaskId, e.Project, wa(e.Token), e.Amount}
	})
	on(t, "Paid", b.UnpackPaidEvent, func(at Pos, e *bindings.EscrowPaid) Event {
		return Paid{at, e.TaskId, wa(e.Account), wa(e.Token), e.Amount}
	})
	on(t, "Refunded", b.UnpackRefundedEvent, func(at Pos, e *bindings.EscrowRefunded) Event {
		return Refunded{at, e.TaskId, e.Project, wa(e.Token), e.Amount}
	})
	on(t, "Claimed", b.UnpackClaimedEvent, func(at Pos, e *bindings.EscrowClaimed) Event {
		return Claimed{at, wa(e.Account), wa(e.Token), wa(e.To), e.Amount}
	})
}

func (t *table) rewardPool(at common.Address) {
	b := bindings.NewRewardPool()
	t.contract, t.abi = at, b.GetABI()
	on(t, "Funded", b.UnpackFundedEvent, func(at Pos, e *bindings.RewardPoolFunded) Event {
		return Funded{at, wa(e.From), e.Amount}
	})
	on(t, "RewardCredited", b.UnpackRewardCreditedEvent, func(at Pos, e *bindings.RewardPoolRewardCredited) Event {
		return RewardCredited{at, wa(e.Beneficiary), e.Amount}
	})
	on(t, "RewardClaimed", b.UnpackRewardClaimedEvent, func(at Pos, e *bindings.RewardPoolRewardClaimed) Event {
		return RewardClaimed{at, wa(e.Beneficiary), wa(e.To), e.Amount}
	})
}

func wa(a common.Address) wire.Address { return wire.Address(a) }

func wireTask(t bindings.Task) wire.Task {
	return wire.Task{
		Project: t.Project, Version: t.Version, Count: t.Count,
		DataCommitment: word(t.DataCommitment), DataHash: t.DataHash, Size: t.Size,
		Authorisation: wire.Authorisation{Expiry: t.Expiry, Signature: t.Signature},
	}
}
