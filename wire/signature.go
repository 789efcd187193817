package wire

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"math/big"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr/poseidon2"
	"github.com/decred/dcrd/dcrec/secp256k1/v4"
	secpecdsa "github.com/decred/dcrd/dcrec/secp256k1/v4/ecdsa"
)

// recoverAddress returns the account that made a 65-byte r‖s‖v signature over
// digest. Only low s and v of 27 or 28 are accepted, so a signature has one form.
func recoverAddress(digest Hash, signature []byte) (Address, error) {
	if len(signature) != 65 {
		return Address{}, reject(RejectBadSignature, "signature", "has %d bytes, not 65", len(signature))
	}
	v := signature[64]
	if v != 27 && v != 28 {
		return Address{}, reject(RejectBadSignature, "signature", "v is %d, not 27 or 28", v)
	}
	var s secp256k1.ModNScalar
	if overflow := s.SetByteSlice(signature[32:64]); overflow || s.IsOverHalfOrder() {
		return Address{}, reject(RejectBadSignature, "signature", "s is in the upper half of the order")
	}
	compact := make([]byte, 65)
	compact[0] = v
	copy(compact[1:], signature[:64])
	pub, _, err := secpecdsa.RecoverCompact(compact, digest[:])
	if err != nil {
		return Address{}, reject(RejectBadSignature, "signature", "%v", err)
	}
	return pubkeyAddress(pub), nil
}

func pubkeyAddress(pub *secp256k1.PublicKey) (a Address) {
	hash := Keccak256(pub.SerializeUncompressed()[1:])
	copy(a[:], hash[12:])
	return a
}

// signRecoverable makes the signature that recoverAddress reads (RFC 6979, low s).
func signRecoverable(key *secp256k1.PrivateKey, digest Hash) ([]byte, error) {
	compact := secpecdsa.SignCompact(key, digest[:], false)
	if compact[0] > 28 {
		// r above the group order: about one in 2^127 digests.
		return nil, reject(RejectBadSignature, "signature", "digest has no signature with v of 27 or 28")
	}
	return append(compact[1:], compact[0]), nil
}

// verifyEdDSA decodes the key once for both digest and signature.
func (m *Message) verifyEdDSA(d Deployment, payloadLimit uint32) error {
	pub, err := m.Key.eddsa()
	if err != nil {
		return err
	}
	digest, err := m.digest(d, payloadLimit, eddsaDevice(pub))
	if err != nil {
		return err
	}
	if isIdentityEncoding(m.Signature[:32]) {
		return reject(RejectBadSignature, "signature", "R is the identity")
	}
	hash := digest.Bytes()
	ok, err := pub.Verify(m.Signature, hash[:], poseidon2.NewMerkleDamgardHasher())
	if err != nil {
		return reject(RejectBadSignature, "signature", "%v", err)
	}
	if !ok {
		return reject(RejectBadSignature, "signature", "does not verify")
	}
	return nil
}

// isIdentityEncoding finds both forms of the identity's compressed encoding.
// Every other point that gnark-crypto's signature decoder accepts has one form.
func isIdentityEncoding(compressed []byte) bool {
	if compressed[0] != 1 || compressed[31]&0x7f != 0 {
		return false
	}
	return bytes.Equal(compressed[1:31], make([]byte, 30))
}

func (k DeviceKey) verifySecp256k1(digest Hash, signature []byte) error {
	signer, err := recoverAddress(digest, signature)
	if err != nil {
		return err
	}
	if signer != Address(k.Bytes) {
		return reject(RejectBadSignature, "signature", "was made by %s", signer)
	}
	return nil
}

func (k DeviceKey) verifyP256(digest Hash, signature []byte) error {
	pub, err := k.p256()
	if err != nil {
		return err
	}
	r, s := new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])
	if s.Cmp(p256HalfOrder) > 0 {
		return reject(RejectBadSignature, "signature", "s is in the upper half of the order")
	}
	if !ecdsa.Verify(pub, digest[:], r, s) {
		return reject(RejectBadSignature, "signature", "does not verify")
	}
	return nil
}

func (k DeviceKey) verifyEd25519(digest Hash, signature []byte) error {
	if err := k.checkEd25519(); err != nil {
		return err
	}
	if !ed25519.Verify(ed25519.PublicKey(k.Bytes), digest[:], signature) {
		return reject(RejectBadSignature, "signature", "does not verify")
	}
	return nil
}
