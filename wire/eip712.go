package wire

import "encoding/binary"

// EIP-712 types of the two things that are signed as Ethereum typed data. The
// contracts hash the same strings.
const (
	eip712DomainType  = "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
	eip712Name        = "gristmill"
	eip712Version     = "1"
	eip712MessageType = "Message(uint64 project,uint64 nonce,uint64 time,bytes payload)"
	eip712TaskType    = "TaskAuthorisation(uint64 project,uint32 version,bytes32 dataHash,uint256 dataCommitment,uint32 count,uint32 size,uint64 expiry)"
)

// DomainSeparator is the EIP-712 domain {name "gristmill", version "1", chain
// id, registry} of the deployment.
func (d Deployment) DomainSeparator() Hash {
	typeHash := Keccak256([]byte(eip712DomainType))
	name := Keccak256([]byte(eip712Name))
	version := Keccak256([]byte(eip712Version))
	return Keccak256(typeHash[:], name[:], version[:], word(d.ChainID), addressWord(d.Registry))
}

// typedHash is what an EIP-712 signature covers.
func (d Deployment) typedHash(structHash Hash) Hash {
	domain := d.DomainSeparator()
	return Keccak256([]byte{0x19, 0x01}, domain[:], structHash[:])
}

// word is v as a 32-byte ABI word.
func word(v uint64) []byte {
	out := make([]byte, 32)
	binary.BigEndian.PutUint64(out[24:], v)
	return out
}

func addressWord(a Address) []byte {
	out := make([]byte, 32)
	copy(out[12:], a[:])
	return out
}
