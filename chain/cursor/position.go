package cursor

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/ethereum/go-ethereum/common"
)

// ringSize is how many recent blocks a position remembers. A reorganisation
// deeper than that rolls back to the start.
const ringSize = 64

// Block names a block.
type Block struct {
	Number uint64      `json:"number"`
	Hash   common.Hash `json:"hash"`
}

// Position is how far a consumer has come. The zero value is before the first
// block. It marshals to JSON and, smaller, to bytes.
type Position struct {
	// Number and Hash name the last block whose logs were given out.
	Number uint64      `json:"number"`
	Hash   common.Hash `json:"hash"`
	// Recent are earlier blocks known to have been canonical, oldest first.
	Recent []Block `json:"recent,omitempty"`
}

// begun says whether any block was given out.
func (p Position) begun() bool { return p.Hash != common.Hash{} }

// advance moves to the last of blocks, which follow p in ascending order.
func (p Position) advance(blocks []Block) Position {
	ring := slices.Clone(p.Recent)
	if p.begun() {
		ring = append(ring, Block{p.Number, p.Hash})
	}
	last := len(blocks) - 1
	ring = append(ring, blocks[:last]...)
	if extra := len(ring) - ringSize; extra > 0 {
		ring = ring[extra:]
	}
	return Position{Number: blocks[last].Number, Hash: blocks[last].Hash, Recent: ring}
}

const (
	positionVersion = 1
	blockSize       = 8 + common.HashLength
)

// MarshalBinary is a version byte and 40 bytes a block, the newest last.
func (p Position) MarshalBinary() ([]byte, error) {
	b := make([]byte, 1, 1+blockSize*(len(p.Recent)+1))
	b[0] = positionVersion
	for _, r := range append(slices.Clone(p.Recent), Block{p.Number, p.Hash}) {
		b = binary.BigEndian.AppendUint64(b, r.Number)
		b = append(b, r.Hash[:]...)
	}
	return b, nil
}

// UnmarshalBinary reads what MarshalBinary wrote.
func (p *Position) UnmarshalBinary(b []byte) error {
	if len(b) < 1+blockSize || (len(b)-1)%blockSize != 0 {
		return fmt.Errorf("cursor: a position cannot have %d bytes", len(b))
	}
	if b[0] != positionVersion {
		return fmt.Errorf("cursor: position has version %d, this program reads %d", b[0], positionVersion)
	}
	var blocks []Block
	for b = b[1:]; len(b) > 0; b = b[blockSize:] {
		blocks = append(blocks, Block{binary.BigEndian.Uint64(b), common.BytesToHash(b[8:blockSize])})
		if n := len(blocks); n > 1 && blocks[n-1].Number <= blocks[n-2].Number {
			return fmt.Errorf("cursor: position lists block %d after block %d", blocks[n-1].Number, blocks[n-2].Number)
		}
	}
	last := len(blocks) - 1
	*p = Position{Number: blocks[last].Number, Hash: blocks[last].Hash}
	if last > 0 {
		p.Recent = blocks[:last]
	}
	return nil
}
