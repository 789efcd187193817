package wire

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"
	"math/big"
	"slices"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr/poseidon2"
	"github.com/consensys/gnark-crypto/ecc/bn254/twistededwards/eddsa"
	"github.com/decred/dcrd/dcrec/secp256k1/v4"
)

// SecretLen is the length of every scheme's secret.
const SecretLen = 32

// Signer makes messages of one device. Implementations are safe for concurrent use.
type Signer interface {
	// Key is the public key the signer signs for.
	Key() DeviceKey
	// Sign sets m's Key and Signature. Equal messages get equal signatures.
	Sign(d Deployment, payloadLimit uint32, m *Message) error
}

// GenerateSecret reads a fresh secret of SecretLen bytes from random.
func GenerateSecret(scheme Scheme, random io.Reader) ([]byte, error) {
	const attempts = 64 // each fails with less than one in 2^32
	for range attempts {
		secret := make([]byte, SecretLen)
		if _, err := io.ReadFull(random, secret); err != nil {
			return nil, fmt.Errorf("read random bytes: %w", err)
		}
		if _, err := NewSigner(scheme, secret); err == nil {
			return secret, nil
		} else if CodeOf(err) == RejectUnknownScheme {
			return nil, err
		}
	}
	return nil, errors.New("the random source gives no usable secret")
}

// GenerateSigners makes n signers with fresh secrets from random.
func GenerateSigners(scheme Scheme, n int, random io.Reader) ([]Signer, error) {
	signers := make([]Signer, n)
	for i := range signers {
		secret, err := GenerateSecret(scheme, random)
		if err != nil {
			return nil, fmt.Errorf("device key: %w", err)
		}
		if signers[i], err = NewSigner(scheme, secret); err != nil {
			return nil, fmt.Errorf("device key: %w", err)
		}
	}
	return signers, nil
}

// NewSigner makes a signer from a scheme's 32-byte secret: the seed of
// gnark-crypto's eddsa.GenerateKey, a big-endian scalar for the ECDSA schemes,
// RFC 8032's seed for ed25519.
func NewSigner(scheme Scheme, secret []byte) (Signer, error) {
	if _, ok := schemes[scheme]; !ok {
		return nil, reject(RejectUnknownScheme, "scheme", "no scheme has number %d", scheme)
	}
	if len(secret) != SecretLen {
		return nil, reject(RejectBadKey, "secret", "has %d bytes, not %d", len(secret), SecretLen)
	}
	switch scheme {
	case SchemeEdDSABN254:
		return newEdDSASigner(secret)
	case SchemeSecp256k1:
		return newSecp256k1Signer(secret)
	case SchemeP256:
		return newP256Signer(secret)
	default:
		return newEd25519Signer(secret), nil
	}
}

// signer is every scheme's signer: they differ in how they sign 32 bytes.
type signer struct {
	key  DeviceKey
	sign func(hash Hash) ([]byte, error)
}

// Key implements Signer.
func (s *signer) Key() DeviceKey {
	return DeviceKey{Scheme: s.key.Scheme, Bytes: slices.Clone(s.key.Bytes)}
}

// Sign implements Signer.
func (s *signer) Sign(d Deployment, payloadLimit uint32, m *Message) error {
	signed := *m
	signed.Key = s.Key()
	hash, err := signed.SigningHash(d, payloadLimit)
	if err != nil {
		return err
	}
	signature, err := s.sign(hash)
	if err != nil {
		return fmt.Errorf("%s sign: %w", s.key.Scheme, err)
	}
	m.Key, m.Signature = signed.Key, signature
	return nil
}

func newEdDSASigner(seed []byte) (Signer, error) {
	private, err := eddsa.GenerateKey(bytes.NewReader(seed))
	if err != nil {
		return nil, fmt.Errorf("eddsa-bn254 key: %w", err)
	}
	key := DeviceKey{SchemeEdDSABN254, private.PublicKey.Bytes()}
	return &signer{key, func(hash Hash) ([]byte, error) {
		return private.Sign(hash[:], poseidon2.NewMerkleDamgardHasher())
	}}, nil
}

func newSecp256k1Signer(secret []byte) (Signer, error) {
	private, err := secp256k1Key(secret)
	if err != nil {
		return nil, err
	}
	address := pubkeyAddress(private.PubKey())
	key := DeviceKey{SchemeSecp256k1, address[:]}
	return &signer{key, func(hash Hash) ([]byte, error) { return signRecoverable(private, hash) }}, nil
}

func secp256k1Key(secret []byte) (*secp256k1.PrivateKey, error) {
	var scalar secp256k1.ModNScalar
	if overflow := scalar.SetByteSlice(secret); overflow || scalar.IsZero() {
		return nil, reject(RejectBadKey, "secret", "not a scalar of secp256k1")
	}
	return secp256k1.NewPrivateKey(&scalar), nil
}

// SecretAddress is the account of a 32-byte secp256k1 secret.
func SecretAddress(secret []byte) (Address, error) {
	if len(secret) != SecretLen {
		return Address{}, reject(RejectBadKey, "secret", "has %d bytes, not %d", len(secret), SecretLen)
	}
	private, err := secp256k1Key(secret)
	if err != nil {
		return Address{}, err
	}
	return pubkeyAddress(private.PubKey()), nil
}

func newP256Signer(secret []byte) (Signer, error) {
	private, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), secret)
	if err != nil {
		return nil, reject(RejectBadKey, "secret", "not a scalar of P-256")
	}
	uncompressed, err := private.PublicKey.Bytes()
	if err != nil {
		return nil, fmt.Errorf("p256 public key: %w", err)
	}
	key := DeviceKey{SchemeP256, compressSEC1(uncompressed)}
	return &signer{key, func(hash Hash) ([]byte, error) { return signP256(private, hash) }}, nil
}

// signP256 signs after RFC 6979 and folds s into the lower half of the order.
func signP256(private *ecdsa.PrivateKey, digest Hash) ([]byte, error) {
	der, err := private.Sign(nil, digest[:], crypto.SHA256)
	if err != nil {
		return nil, fmt.Errorf("p256 sign: %w", err)
	}
	var parts struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(der, &parts); err != nil {
		return nil, fmt.Errorf("p256 signature: %w", err)
	}
	if parts.S.Cmp(p256HalfOrder) > 0 {
		parts.S.Sub(elliptic.P256().Params().N, parts.S)
	}
	out := make([]byte, 64)
	parts.R.FillBytes(out[:32])
	parts.S.FillBytes(out[32:])
	return out, nil
}

func compressSEC1(uncompressed []byte) []byte {
	out := make([]byte, 33)
	out[0] = 2 + uncompressed[64]&1
	copy(out[1:], uncompressed[1:33])
	return out
}

func newEd25519Signer(seed []byte) Signer {
	private := ed25519.NewKeyFromSeed(seed)
	key := DeviceKey{SchemeEd25519, slices.Clone(private[ed25519.SeedSize:])}
	return &signer{key, func(hash Hash) ([]byte, error) { return ed25519.Sign(private, hash[:]), nil }}
}
