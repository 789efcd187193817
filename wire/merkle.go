package wire

import "crypto/sha256"

// MerkleRoot is Bitcoin's merkle root over the SHA-256d of each leaf's bytes:
// an odd level repeats its last hash. The coinbase names the number of tasks,
// so a repeated tail is not a second block.
func MerkleRoot(leaves [][]byte) (Hash, error) {
	hashes := make([]Hash, len(leaves))
	for i, leaf := range leaves {
		hashes[i] = SHA256D(leaf)
	}
	return MerkleRootOfHashes(hashes)
}

// MerkleRootOfHashes is MerkleRoot over leaves that are hashed already.
func MerkleRootOfHashes(leaves []Hash) (Hash, error) {
	if len(leaves) == 0 {
		return Hash{}, reject(RejectBadCount, "leaves", "a block has at least its coinbase")
	}
	level := append([]Hash(nil), leaves...)
	for len(level) > 1 {
		for i := 0; i < len(level); i += 2 {
			level[i/2] = merkleNode(level[i], level[min(i+1, len(level)-1)])
		}
		level = level[:(len(level)+1)/2]
	}
	return level[0], nil
}

func merkleNode(left, right Hash) Hash {
	var both [64]byte
	copy(both[:32], left[:])
	copy(both[32:], right[:])
	first := sha256.Sum256(both[:])
	return sha256.Sum256(first[:])
}
