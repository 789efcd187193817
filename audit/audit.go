package audit

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gristmill-zk/gristmill/chain"
	"github.com/gristmill-zk/gristmill/wire"
)

// ErrNoBody says that a source has no body of that hash.
var ErrNoBody = errors.New("nobody serves this body")

// ErrNoProof says that no prover's record of a proof is within reach.
var ErrNoProof = errors.New("no record of this proof")

// Source is where the audit reads. Everything it gives is checked, save what
// only the chain can know: the order of events and the time of its blocks.
type Source interface {
	// Params are the deployment and the minter's constants.
	Params(ctx context.Context) (Params, error)
	// Events calls yield for every event of the deployment in chain order.
	Events(ctx context.Context, yield func(chain.Event) error) error
	// Version is a project version as registered; versions never change.
	Version(ctx context.Context, project uint64, version uint32) (chain.Version, error)
	// VerifyingKey gives the registered bytes of a key.
	VerifyingKey(ctx context.Context, id wire.Hash) ([]byte, error)
	// Body finds a body by its hash; ErrNoBody when nobody has it.
	Body(ctx context.Context, hash wire.Hash) ([]byte, error)
	// StoredProof is the prover's own record of a settled proof; ErrNoProof when
	// it cannot be asked. The chain's copy is what counts, but a record that
	// differs from it is a finding.
	StoredProof(ctx context.Context, task wire.Hash) (*wire.ProofEnvelope, error)
	// BlockTime is the timestamp of a block of the EVM chain.
	BlockTime(ctx context.Context, number uint64) (uint64, error)
	// Tip is what the minter says the last mined block is.
	Tip(ctx context.Context) (hash wire.Hash, height uint64, err error)
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
