package wire

import (
	"encoding/binary"
	"math/big"
)

const (
	// HeaderSize is the length of Bitcoin's header.
	HeaderSize = 80
	// HeaderVersion is the version of our headers before BIP320's bits roll.
	HeaderVersion uint32 = 0x20000000
	// VersionMask are the version bits that BIP320 leaves to miners.
	VersionMask uint32 = 0x1fffe000
)

// Header is a block's header in Bitcoin's 80-byte form. Prev and MerkleRoot
// are in natural order, the order in which they stand in the header.
type Header struct {
	Version    uint32
	Prev       Hash
	MerkleRoot Hash
	// Time is seconds since 1970.
	Time uint32
	// Bits is the target in compact form.
	Bits  uint32
	Nonce uint32
}

// Encode returns the 80 bytes; integers are little-endian.
func (h *Header) Encode() (out [HeaderSize]byte) {
	binary.LittleEndian.PutUint32(out[0:], h.Version)
	copy(out[4:], h.Prev[:])
	copy(out[36:], h.MerkleRoot[:])
	binary.LittleEndian.PutUint32(out[68:], h.Time)
	binary.LittleEndian.PutUint32(out[72:], h.Bits)
	binary.LittleEndian.PutUint32(out[76:], h.Nonce)
	return out
}

// ParseHeader reads 80 bytes; any are a header, valid or not.
func ParseHeader(data []byte) (Header, error) {
	if len(data) < HeaderSize {
		return Header{}, reject(RejectTruncated, "header", "has %d bytes, not %d", len(data), HeaderSize)
	}
	if len(data) > HeaderSize {
		return Header{}, reject(RejectTrailing, "header", "has %d bytes, not %d", len(data), HeaderSize)
	}
	return Header{
		Version:    binary.LittleEndian.Uint32(data[0:]),
		Prev:       Hash(data[4:36]),
		MerkleRoot: Hash(data[36:68]),
		Time:       binary.LittleEndian.Uint32(data[68:]),
		Bits:       binary.LittleEndian.Uint32(data[72:]),
		Nonce:      binary.LittleEndian.Uint32(data[76:]),
	}, nil
}

// Hash is the block hash: SHA-256d of the 80 bytes, both identity and work.
func (h *Header) Hash() Hash {
	encoded := h.Encode()
	return SHA256D(encoded[:])
}

// Target is the target that Bits stand for.
func (h *Header) Target() (*big.Int, error) { return CompactToTarget(h.Bits) }

// CheckVersion refuses a version with other than BIP320's bits changed.
func (h *Header) CheckVersion() error {
	if h.Version&^VersionMask != HeaderVersion {
		return reject(RejectBadHeaderVersion, "version", "0x%08x changes more than BIP320's bits of 0x%08x", h.Version, HeaderVersion)
	}
	return nil
}

// CheckWork refuses a header whose version is wrong or whose hash is above the
// target of its own bits; which bits are due is the chain's matter.
func (h *Header) CheckWork() error {
	if err := h.CheckVersion(); err != nil {
		return err
	}
	target, err := h.Target()
	if err != nil {
		return err
	}
	if hash := h.Hash(); !hash.MeetsTarget(target) {
		return reject(RejectNotEnoughWork, "header", "hash %s is above the target of 0x%08x", hash.BlockString(), h.Bits)
	}
	return nil
}
