package wire

import (
	"encoding/binary"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
)

// Byte tags that separate the uses of SHA-256 and Keccak from one another.
const (
	tagMessageBytes = "gristmill message v1"
	tagTaskID       = "gristmill task id v1"
	tagTaskLeaf     = "gristmill task leaf v1"
	tagCoinbase     = "gristmill coinbase v1"
	tagGenesis      = "gristmill genesis v1"
)

// Deployment is one set of contracts on one chain, named by its registry. Its
// id stands in every digest, so nothing replays across chains or deployments.
type Deployment struct {
	ChainID  uint64  `json:"chain_id"`
	Registry Address `json:"registry"`
}

// ID is keccak256(chain id as uint256 ‖ registry) modulo the scalar field.
func (d Deployment) ID() fr.Element {
	var chainID [32]byte
	binary.BigEndian.PutUint64(chainID[24:], d.ChainID)
	return reduce(Keccak256(chainID[:], d.Registry[:]))
}

// IDBytes is ID as 32 canonical big-endian bytes.
func (d Deployment) IDBytes() Hash { return ElementHash(d.ID()) }

// GenesisHash is the parent of a deployment's first block.
func GenesisHash(d Deployment) Hash {
	id := d.IDBytes()
	return SHA256D(append([]byte(tagGenesis), id[:]...))
}

// TaskID names the payment for one body in one block: parent is the hash of
// the block before the one that carries the task.
func TaskID(d Deployment, parent Hash, project uint64, dataHash Hash) Hash {
	id := d.IDBytes()
	return SHA256([]byte(tagTaskID), id[:], parent[:], u64(project), dataHash[:])
}

// Binding is public input 0 of every proof: it ties the proof to one task of
// one deployment and to the prover that is paid for it.
func Binding(d Deployment, task Hash, prover Address) fr.Element {
	id := d.IDBytes()
	return reduce(SHA256(id[:], task[:], prover[:]))
}

// PublicInputs are [binding, dataCommitment, outputs…], the order in which
// every circuit, the contract and the verifier take them.
func PublicInputs(d Deployment, task Hash, prover Address, dataCommitment Hash, outputs []Hash) ([]fr.Element, error) {
	inputs := make([]fr.Element, 2+len(outputs))
	inputs[0] = Binding(d, task, prover)
	var err error
	if inputs[1], err = dataCommitment.Element(); err != nil {
		return nil, within("dataCommitment", err)
	}
	for i, out := range outputs {
		if inputs[2+i], err = out.Element(); err != nil {
			return nil, within(indexed("outputs", i), err)
		}
	}
	return inputs, nil
}

func u64(v uint64) []byte { return binary.BigEndian.AppendUint64(nil, v) }
