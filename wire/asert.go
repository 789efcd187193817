package wire

import "math/big"

// ASERT is Bitcoin Cash's aserti3-2d difficulty rule around one anchor block.
// gristmill anchors at genesis: Height 0, ParentTime = genesis time − TargetSeconds.
type ASERT struct {
	// Height of the anchor block.
	Height uint64
	// ParentTime is the time of the anchor's parent, seconds.
	ParentTime int64
	// Bits of the anchor block.
	Bits uint32
	// TargetSeconds is the wished time between blocks, above 0.
	TargetSeconds int64
	// HalfLife is how late, in seconds, halves the difficulty; above 0.
	HalfLife int64
	// PowLimit is the easiest target, in compact form.
	PowLimit uint32
}

// Validate names what makes the parameters unusable.
func (a ASERT) Validate() error {
	if a.TargetSeconds <= 0 {
		return reject(RejectMalformed, "targetSeconds", "%d is not above 0", a.TargetSeconds)
	}
	if a.HalfLife <= 0 {
		return reject(RejectMalformed, "halfLife", "%d is not above 0", a.HalfLife)
	}
	if _, err := CompactToTarget(a.PowLimit); err != nil {
		return within("powLimit", err)
	}
	_, err := CompactToTarget(a.Bits)
	return err
}

// NextBits is the nBits of the block after one at height with that time. The
// arithmetic is exact for every height and time; the division truncates toward
// zero as the reference implementation's does. Parameters that do not pass
// Validate give 0, which no header satisfies.
func (a ASERT) NextBits(height uint64, time int64) uint32 {
	if a.Validate() != nil {
		return 0
	}
	anchor, _ := CompactToTarget(a.Bits)
	limit, _ := CompactToTarget(a.PowLimit)
	shifts, frac := a.exponent(height, time)
	target := scaleTarget(anchor, shifts, frac)
	if target.Sign() == 0 {
		target.SetUint64(1)
	}
	if target.Cmp(limit) > 0 {
		return a.PowLimit
	}
	return TargetToCompact(target)
}

// maxShift is beyond what moves any target past 1 or past 2^256.
const maxShift = 600

// exponent is (time − ParentTime − TargetSeconds·(heightDiff+1)) / HalfLife in
// 16-bit fixed point, split into its floor and fraction. The floor is clamped
// to ±maxShift.
func (a ASERT) exponent(height uint64, time int64) (shifts int, frac uint64) {
	blocks := new(big.Int).SetUint64(height)
	blocks.Sub(blocks, new(big.Int).SetUint64(a.Height))
	blocks.Add(blocks, big.NewInt(1))
	e := big.NewInt(time)
	e.Sub(e, big.NewInt(a.ParentTime))
	e.Sub(e, blocks.Mul(blocks, big.NewInt(a.TargetSeconds)))
	e.Lsh(e, 16)
	e.Quo(e, big.NewInt(a.HalfLife))
	frac = new(big.Int).And(e, big.NewInt(0xffff)).Uint64()
	e.Rsh(e, 16) // arithmetic: rounds toward minus infinity
	switch {
	case !e.IsInt64() && e.Sign() < 0, e.IsInt64() && e.Int64() < -maxShift:
		return -maxShift, frac
	case !e.IsInt64() || e.Int64() > maxShift:
		return maxShift, frac
	}
	return int(e.Int64()), frac
}

// scaleTarget is target · 2^(shifts + frac/65536) with the reference's cubic
// approximation of the fractional power.
func scaleTarget(target *big.Int, shifts int, frac uint64) *big.Int {
	factor := 65536 + (195766423245049*frac+971821376*frac*frac+5127*frac*frac*frac+1<<47)>>48
	out := new(big.Int).Mul(target, new(big.Int).SetUint64(factor))
	if shifts -= 16; shifts < 0 {
		return out.Rsh(out, uint(-shifts))
	}
	return out.Lsh(out, uint(shifts))
}
