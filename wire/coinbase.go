package wire

import "encoding/binary"

// Lengths of the bytes a miner may change freely at the coinbase's end.
const (
	MinExtraNonce = 8
	MaxExtraNonce = 32
)

// Coinbase is leaf 0 of every block. It fixes who is paid and how many tasks
// the block has, so that neither can be swapped after mining.
//
// Encoding: tag ‖ deploymentId 32 ‖ minter 20 ‖ operator 20 ‖ beneficiary 20 ‖
// height u64 ‖ taskCount u32 ‖ extraNonce, 8 to 32 bytes, to the end.
type Coinbase struct {
	// Minter is the contract that the block is for.
	Minter Address
	// Operator is the account that may submit the block.
	Operator Address
	// Beneficiary is credited with the block reward.
	Beneficiary Address
	Height      uint64
	TaskCount   uint32
	ExtraNonce  []byte
}

// Encode returns the leaf's bytes.
func (c *Coinbase) Encode(d Deployment) ([]byte, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	id := d.IDBytes()
	out := make([]byte, 0, len(tagCoinbase)+104+len(c.ExtraNonce))
	out = append(out, tagCoinbase...)
	out = append(out, id[:]...)
	out = append(out, c.Minter[:]...)
	out = append(out, c.Operator[:]...)
	out = append(out, c.Beneficiary[:]...)
	out = binary.BigEndian.AppendUint64(out, c.Height)
	out = binary.BigEndian.AppendUint32(out, c.TaskCount)
	return append(out, c.ExtraNonce...), nil
}

// ParseCoinbase reads a coinbase of this deployment.
func ParseCoinbase(d Deployment, data []byte) (Coinbase, error) {
	r := &reader{rest: append([]byte(nil), data...)}
	r.tag(tagCoinbase)
	if got := r.hash("deploymentId"); r.err == nil && got != d.IDBytes() {
		return Coinbase{}, reject(RejectWrongDeployment, "deploymentId", "%s, this deployment is %s", got, d.IDBytes())
	}
	c := Coinbase{
		Minter:      r.address("minter"),
		Operator:    r.address("operator"),
		Beneficiary: r.address("beneficiary"),
		Height:      r.u64("height"),
		TaskCount:   r.u32("taskCount"),
	}
	c.ExtraNonce = r.take("extraNonce", len(r.rest))
	if err := r.end(); err != nil {
		return Coinbase{}, err
	}
	return c, c.check()
}

func (c *Coinbase) check() error {
	if n := len(c.ExtraNonce); n < MinExtraNonce {
		return reject(RejectTruncated, "extraNonce", "has %d bytes, the least is %d", n, MinExtraNonce)
	} else if n > MaxExtraNonce {
		return reject(RejectTrailing, "extraNonce", "has %d bytes, the most is %d", n, MaxExtraNonce)
	}
	return nil
}
