package wire

import "encoding/binary"

// Authorisation is a sequencer key's word that a task may be paid from the
// project's escrow: an EIP-712 signature over the task, valid until Expiry.
type Authorisation struct {
	// Expiry is the last block time, in seconds since 1970, at which it counts.
	Expiry    uint64
	Signature []byte
}

// Hash is keccak256(expiry u64 ‖ signature), what the task's leaf commits to.
func (a Authorisation) Hash() Hash { return Keccak256(u64(a.Expiry), a.Signature) }

// Task is one leaf of a block: a body, by hash and commitment, and who
// authorised it. DataCommitment is a field element in big-endian form.
type Task struct {
	Project        uint64
	Version        uint32
	Count          uint32
	DataCommitment Hash
	DataHash       Hash
	// Size is the length of the body in bytes.
	Size          uint32
	Authorisation Authorisation
}

// ID is the task's id in the block after parent.
func (t *Task) ID(d Deployment, parent Hash) Hash { return TaskID(d, parent, t.Project, t.DataHash) }

// Leaf returns the bytes that the merkle tree hashes for the task in the block
// after parent.
func (t *Task) Leaf(d Deployment, parent Hash) []byte {
	id, auth := t.ID(d, parent), t.Authorisation.Hash()
	out := make([]byte, 0, len(tagTaskLeaf)+148)
	out = append(out, tagTaskLeaf...)
	out = append(out, id[:]...)
	out = binary.BigEndian.AppendUint64(out, t.Project)
	out = binary.BigEndian.AppendUint32(out, t.Version)
	out = binary.BigEndian.AppendUint32(out, t.Count)
	out = append(out, t.DataCommitment[:]...)
	out = append(out, t.DataHash[:]...)
	out = binary.BigEndian.AppendUint32(out, t.Size)
	return append(out, auth[:]...)
}

// SigningHash is the EIP-712 hash that the authorisation signs.
func (t *Task) SigningHash(d Deployment) Hash {
	typeHash := Keccak256([]byte(eip712TaskType))
	return d.typedHash(Keccak256(
		typeHash[:], word(t.Project), word(uint64(t.Version)), t.DataHash[:], t.DataCommitment[:],
		word(uint64(t.Count)), word(uint64(t.Size)), word(t.Authorisation.Expiry),
	))
}

// Authorise signs the task with a sequencer's secp256k1 secret. Expiry must be
// set before.
func (t *Task) Authorise(d Deployment, secret [32]byte) error {
	key, err := secp256k1Key(secret[:])
	if err != nil {
		return err
	}
	signature, err := signRecoverable(key, t.SigningHash(d))
	if err != nil {
		return err
	}
	t.Authorisation.Signature = signature
	return nil
}

// Authoriser recovers the account that authorised the task; whether the
// project listed it is the chain's matter.
func (t *Task) Authoriser(d Deployment) (Address, error) {
	if _, err := t.DataCommitment.Element(); err != nil {
		return Address{}, within("dataCommitment", err)
	}
	signer, err := recoverAddress(t.SigningHash(d), t.Authorisation.Signature)
	if err != nil {
		return Address{}, reject(RejectBadAuthorisation, "authorisation", "%v", err)
	}
	return signer, nil
}

// CheckBody says whether body is the data this task commits to, for a project
// version of the given batch size and payload limit, and returns it decoded.
// Signatures of the messages are not checked here.
func (t *Task) CheckBody(d Deployment, body []byte, batchSize, payloadLimit uint32) (*Body, error) {
	if uint64(len(body)) != uint64(t.Size) {
		return nil, reject(RejectWrongData, "size", "body has %d bytes, the task says %d", len(body), t.Size)
	}
	if got := DataHash(body); got != t.DataHash {
		return nil, reject(RejectWrongData, "dataHash", "body hashes to %s, the task says %s", got, t.DataHash)
	}
	decoded := new(Body)
	if err := decoded.UnmarshalBinary(body); err != nil {
		return nil, within("body", err)
	}
	if decoded.Project != t.Project || decoded.Version != t.Version || uint64(len(decoded.Messages)) != uint64(t.Count) {
		return nil, reject(RejectWrongData, "body", "body is project %d version %d with %d messages, the task says %d, %d and %d",
			decoded.Project, decoded.Version, len(decoded.Messages), t.Project, t.Version, t.Count)
	}
	commitment, err := decoded.Commitment(d, batchSize, payloadLimit)
	if err != nil {
		return nil, within("body", err)
	}
	if got := ElementHash(commitment); got != t.DataCommitment {
		return nil, reject(RejectWrongData, "dataCommitment", "messages commit to %s, the task says %s", got, t.DataCommitment)
	}
	return decoded, nil
}
