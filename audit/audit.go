package audit

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"github.com/gristmill-zk/gristmill/chain"
	"github.com/gristmill-zk/gristmill/wire"
)

// ErrNoBody says that a source has no body of that hash.
var ErrNoBody = errors.New("nobody serves this body")

// ErrNoProof says that no prover's record of a proof is within reach.
var ErrNoProof = errors.New("no record of this proof")

// ErrDamaged says that a place has a record, but cannot read it any more.
var ErrDamaged = errors.New("the record is damaged")

// End is the block of the EVM chain that the events were read up to.
type End struct {
	Number uint64
	Hash   common.Hash
}

// StoredBlock is a sequencer's own record of a mined block.
type StoredBlock struct {
	// Where says who keeps it, for people.
	Where string
	// Missing is a gap: the sequencer has later blocks and not this one.
	Missing               bool
	Height                uint64
	Hash                  wire.Hash
	Operator, Beneficiary wire.Address
	Tasks                 uint32
	Header                []byte
	// Coinbase is nil when the sequencer does not tell it.
	Coinbase []byte
}

// Source is where the audit reads. Everything it gives is checked, save what
// only the chain can know: the order of events and the time of its blocks.
type Source interface {
	// Params are the deployment and the minter's constants.
	Params(ctx context.Context) (Params, error)
	// Events calls yield for every event of the deployment in chain order and
	// says how far it read.
	Events(ctx context.Context, yield func(chain.Event) error) (End, error)
	// Version is a project version as registered; versions never change.
	Version(ctx context.Context, project uint64, version uint32) (chain.Version, error)
	// VerifyingKey gives the registered bytes of a key.
	VerifyingKey(ctx context.Context, id wire.Hash) ([]byte, error)
	// Body finds a body by its hash; ErrNoBody when nobody has it.
	Body(ctx context.Context, hash wire.Hash) ([]byte, error)
	// StoredBlocks are the records that known sequencers keep of the block at a
	// height, one for each that has come so far. Heights are asked in order. The
	// chain's copy is what counts, but a record that differs from it is a finding.
	StoredBlocks(ctx context.Context, height uint64) ([]StoredBlock, error)
	// StoredProof is the prover's own record of a settled proof; ErrNoProof when
	// there is none to ask, ErrDamaged when the prover cannot read it any more.
	// As with blocks, a record that differs from the chain is a finding.
	StoredProof(ctx context.Context, task wire.Hash) (*wire.ProofEnvelope, error)
	// BlockTime is the timestamp of a block of the EVM chain.
	BlockTime(ctx context.Context, number uint64) (uint64, error)
	// Tip is what the minter says the last mined block is, at the end of the events.
	Tip(ctx context.Context, at End) (hash wire.Hash, height uint64, err error)
	// Escrow is what the escrow says a project has in a token, at the end of
	// the events.
	Escrow(ctx context.Context, at End, project uint64, token wire.Address) (free, withheld *big.Int, err error)
}

// Params are the constants of a deployment.
type Params struct {
	Deployment    wire.Deployment
	Minter        wire.Address
	GenesisTime   uint32
	GenesisBits   uint32
	TargetSeconds uint32
	HalfLife      uint32
	PowLimit      uint32
	MaxTasks      uint16
	// ProtocolShareBps is the protocol's part of a reward, in 1/10000.
	ProtocolShareBps uint16
	// Treasury is the account that the protocol's part goes to.
	Treasury wire.Address
}

// Stage is the part of the audit in which something was found.
type Stage string

// The stages, in the order in which a task passes them.
const (
	StageHeader        Stage = "header"
	StageWork          Stage = "proof of work"
	StageDifficulty    Stage = "difficulty"
	StageRoot          Stage = "merkle root"
	StageCoinbase      Stage = "coinbase"
	StageTask          Stage = "task"
	StageAuthorisation Stage = "authorisation"
	StageData          Stage = "data"
	StageMessage       Stage = "message"
	StageProof         Stage = "proof"
	StagePayment       Stage = "payment"
)

// Finding is something wrong in the deployment.
type Finding struct {
	Stage  Stage      `json:"stage"`
	Height uint64     `json:"height,omitempty"`
	Task   *wire.Hash `json:"task,omitempty"`
	What   string     `json:"what"`
}

// Error names the stage, the place and what is wrong with it.
func (f *Finding) Error() string {
	where := ""
	if f.Height > 0 {
		where = fmt.Sprintf(" of block %d", f.Height)
	}
	if f.Task != nil {
		where += fmt.Sprintf(", task %s", *f.Task)
	}
	return fmt.Sprintf("%s%s: %s", f.Stage, where, f.What)
}

// Stored counts the records of sequencers and provers that were compared with
// the chain; none where nobody was asked.
type Stored struct {
	Blocks uint64 `json:"blocks"`
	Proofs uint64 `json:"proofs"`
}

// Report counts what was checked.
type Report struct {
	Blocks     uint64        `json:"blocks"`
	Tasks      uint64        `json:"tasks"`
	Skipped    uint64        `json:"skipped"`
	Bodies     uint64        `json:"bodies"`
	Missing    uint64        `json:"bodies_missing"`
	Messages   uint64        `json:"messages"`
	Signatures uint64        `json:"signatures"`
	Proofs     uint64        `json:"proofs"`
	Payments   uint64        `json:"payments"`
	Stored     Stored        `json:"stored"`
	Work       string        `json:"expected_hashes"`
	Took       time.Duration `json:"took_ns"`
}

// Config says what to audit.
type Config struct {
	Source Source
	// Progress is called now and then with what was checked so far. Nil: not.
	Progress func(Report)
}

// Run audits everything. The report says what was checked also when something
// was found: then err is a *Finding.
func Run(ctx context.Context, cfg Config) (Report, error) {
	if cfg.Source == nil {
		return Report{}, errors.New("audit: no source")
	}
	params, err := cfg.Source.Params(ctx)
	if err != nil {
		return Report{}, fmt.Errorf("audit: parameters: %w", err)
	}
	start := time.Now()
	a := newAuditor(params, cfg)
	err = a.run(ctx)
	a.report.Took = time.Since(start)
	a.report.Work = a.chain.work.String()
	return a.report, err
}
