package wire

import "math/big"

// CompactToTarget expands nBits to the 256-bit target it stands for, as
// Bitcoin does. Negative, zero and larger targets are refused.
func CompactToTarget(bits uint32) (*big.Int, error) {
	exponent, mantissa := uint(bits>>24), int64(bits&0x007fffff)
	if bits&0x00800000 != 0 && mantissa != 0 {
		return nil, reject(RejectBadBits, "bits", "0x%08x is negative", bits)
	}
	target := big.NewInt(mantissa)
	if exponent <= 3 {
		target.Rsh(target, 8*(3-exponent))
	} else {
		target.Lsh(target, 8*(exponent-3))
	}
	if target.Sign() == 0 {
		return nil, reject(RejectBadBits, "bits", "0x%08x is zero", bits)
	}
	if target.BitLen() > 256 {
		return nil, reject(RejectBadBits, "bits", "0x%08x has more than 256 bits", bits)
	}
	return target, nil
}

// TargetToCompact is the nBits of a target of 0 to 256 bits: the three most
// significant bytes are kept, the rest is cut off.
func TargetToCompact(target *big.Int) uint32 {
	size := uint(target.BitLen()+7) / 8
	var mantissa uint32
	if size <= 3 {
		mantissa = uint32(target.Uint64() << (8 * (3 - size)))
	} else {
		mantissa = uint32(new(big.Int).Rsh(target, 8*(size-3)).Uint64())
	}
	if mantissa&0x00800000 != 0 {
		mantissa >>= 8
		size++
	}
	return uint32(size)<<24 | mantissa
}

// Work is the expected number of hashes a block with this target takes:
// 2^256 / (target + 1).
func Work(target *big.Int) *big.Int {
	limit := new(big.Int).Lsh(big.NewInt(1), 256)
	return limit.Div(limit, new(big.Int).Add(target, big.NewInt(1)))
}
