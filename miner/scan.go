package miner

import (
	"crypto/sha256"
	"encoding"
	"encoding/binary"
	"hash"

	"github.com/gristmill-zk/gristmill/wire"
)

// scanner tries nonces of one header.
type scanner interface {
	// scan tries up to count nonces from first on. It stops after the first
	// hash whose highest 64 bits do not exceed limit (hit) and says how many
	// it tried.
	scan(first, count uint32, limit uint64) (hit bool, tried uint32)
}

// kernel is one way to hash headers.
type kernel struct {
	name string
	make func(wire.Header) scanner
}

// stdKernel works everywhere. crypto/sha256 uses the processor's SHA
// instructions where there are any.
var stdKernel = kernel{"crypto/sha256", newStdScanner}

// stdScanner starts each try from the SHA-256 state after the header's first
// 64 bytes.
type stdScanner struct {
	tail [16]byte // the header's last 16 bytes, the nonce at the end

	digest  hash.Hash
	restore encoding.BinaryUnmarshaler
	state   []byte
	inner   []byte
}

func newStdScanner(h wire.Header) scanner {
	raw := h.Encode()
	s := &stdScanner{digest: sha256.New(), inner: make([]byte, 0, sha256.Size)}
	copy(s.tail[:], raw[64:])
	s.digest.Write(raw[:64])
	// crypto/sha256 documents that its hashes implement both interfaces and
	// neither fails on a state of its own.
	s.state, _ = s.digest.(encoding.BinaryAppender).AppendBinary(nil)
	s.restore = s.digest.(encoding.BinaryUnmarshaler)
	return s
}

func (s *stdScanner) scan(first, count uint32, limit uint64) (hit bool, tried uint32) {
	for i := range count {
		binary.LittleEndian.PutUint32(s.tail[12:], first+i)
		_ = s.restore.UnmarshalBinary(s.state)
		s.digest.Write(s.tail[:])
		s.inner = s.digest.Sum(s.inner[:0])
		sum := sha256.Sum256(s.inner)
		if binary.LittleEndian.Uint64(sum[24:]) <= limit {
			return true, i + 1
		}
	}
	return false, count
}

// kernels are the ways this machine can hash, the fastest first.
func kernels() []kernel { return []kernel{stdKernel} }
