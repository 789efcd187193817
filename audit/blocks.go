package audit

import (
	"fmt"
	"math/big"

	"github.com/gristmill-zk/gristmill/wire"
)

// maxAhead is how far a header's time may be before the chain's, in seconds.
const maxAhead = 60

// header is one link of the proof-of-work chain as the minter recorded it.
type header struct {
	height   uint64
	hash     wire.Hash
	raw      []byte
	coinbase []byte
	operator wire.Address
	benefits wire.Address
	tasks    uint32
	leaves   [][]byte // task leaves, in order
	evmTime  uint64
}

// links checks that headers make one chain from genesis.
type links struct {
	params Params
	aserts wire.ASERT
	hash   wire.Hash
	height uint64
	time   uint32
	work   *big.Int
}

func newLinks(p Params) *links {
	return &links{
		params: p,
		aserts: wire.ASERT{
			ParentTime:    int64(p.GenesisTime) - int64(p.TargetSeconds),
			Bits:          p.GenesisBits,
			TargetSeconds: int64(p.TargetSeconds),
			HalfLife:      int64(p.HalfLife),
			PowLimit:      p.PowLimit,
		},
		hash: wire.GenesisHash(p.Deployment),
		time: p.GenesisTime,
		work: new(big.Int),
	}
}

// add checks a block on top of those before it.
func (l *links) add(b header) error {
	found := func(stage Stage, format string, args ...any) error {
		return &Finding{Stage: stage, Height: b.height, What: fmt.Sprintf(format, args...)}
	}
	h, err := wire.ParseHeader(b.raw)
	if err != nil {
		return found(StageHeader, "%v", err)
	}
	switch {
	case b.height != l.height+1:
		return found(StageHeader, "recorded at height %d, but follows height %d", b.height, l.height)
	case h.Prev != l.hash:
		return found(StageHeader, "parent is %s, the block before is %s", h.Prev.BlockString(), l.hash.BlockString())
	case h.Hash() != b.hash:
		return found(StageHeader, "hashes to %s, recorded as %s", h.Hash().BlockString(), b.hash.BlockString())
	case h.CheckVersion() != nil:
		return found(StageHeader, "%v", h.CheckVersion())
	case h.Time <= l.time:
		return found(StageHeader, "time %d is not after its parent's %d", h.Time, l.time)
	case uint64(h.Time) > b.evmTime+maxAhead:
		return found(StageHeader, "time %d is over %d s ahead of the chain's %d", h.Time, maxAhead, b.evmTime)
	}
	if want := l.aserts.NextBits(l.height, int64(l.time)); h.Bits != want {
		return found(StageDifficulty, "bits %08x, ASERT asks for %08x", h.Bits, want)
	}
	target, err := h.Target()
	if err != nil {
		return found(StageDifficulty, "%v", err)
	}
	if err := h.CheckWork(); err != nil {
		return found(StageWork, "%v", err)
	}
	if err := l.checkCoinbase(b); err != nil {
		return found(StageCoinbase, "%v", err)
	}
	root, err := wire.MerkleRoot(append([][]byte{b.coinbase}, b.leaves...))
	if err != nil {
		return found(StageRoot, "%v", err)
	}
	if root != h.MerkleRoot {
		return found(StageRoot, "%s, coinbase and %d tasks make %s", h.MerkleRoot.BlockString(), len(b.leaves), root.BlockString())
	}
	l.hash, l.height, l.time = b.hash, b.height, h.Time
	l.work.Add(l.work, wire.Work(target))
	return nil
}

func (l *links) checkCoinbase(b header) error {
	c, err := wire.ParseCoinbase(l.params.Deployment, b.coinbase)
	switch {
	case err != nil:
		return err
	case c.Minter != l.params.Minter:
		return fmt.Errorf("for minter %s, not %s", c.Minter, l.params.Minter)
	case c.Operator != b.operator:
		return fmt.Errorf("operator %s, recorded as %s", c.Operator, b.operator)
	case c.Beneficiary != b.benefits:
		return fmt.Errorf("beneficiary %s, recorded as %s", c.Beneficiary, b.benefits)
	case c.Height != b.height:
		return fmt.Errorf("height %d", c.Height)
	case c.TaskCount != b.tasks || int(c.TaskCount) != len(b.leaves):
		return fmt.Errorf("commits to %d tasks, %d recorded, %d seen", c.TaskCount, b.tasks, len(b.leaves))
	}
	return nil
}
