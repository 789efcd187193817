package wire

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"math/big"

	"filippo.io/edwards25519"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/consensys/gnark-crypto/ecc/bn254/twistededwards/eddsa"
)

// Scheme is how a device signs. The numbers are part of every device id.
type Scheme uint8

// The schemes.
const (
	// SchemeEdDSABN254 is EdDSA over BabyJubjub with Poseidon2, cheap in a circuit.
	SchemeEdDSABN254 Scheme = 1
	// SchemeSecp256k1 is an Ethereum account signing EIP-712 typed data.
	SchemeSecp256k1 Scheme = 2
	// SchemeP256 is ECDSA over NIST P-256, what secure elements have.
	SchemeP256 Scheme = 3
	// SchemeEd25519 is RFC 8032's Ed25519.
	SchemeEd25519 Scheme = 4
)

type schemeInfo struct {
	name           string
	keyLen, sigLen int
}

var schemes = map[Scheme]schemeInfo{
	SchemeEdDSABN254: {"eddsa-bn254", 32, 64},
	SchemeSecp256k1:  {"secp256k1", 20, 65},
	SchemeP256:       {"p256", 33, 64},
	SchemeEd25519:    {"ed25519", 32, 64},
}

// Schemes returns every scheme in the order of their numbers.
func Schemes() []Scheme {
	return []Scheme{SchemeEdDSABN254, SchemeSecp256k1, SchemeP256, SchemeEd25519}
}

// String returns the scheme's name in JSON.
func (s Scheme) String() string {
	if info, ok := schemes[s]; ok {
		return info.name
	}
	return "unknown"
}

// KeyLen is the length of the scheme's public keys, 0 when unknown.
func (s Scheme) KeyLen() int { return schemes[s].keyLen }

// SignatureLen is the length of the scheme's signatures, 0 when unknown.
func (s Scheme) SignatureLen() int { return schemes[s].sigLen }

// ParseScheme reads a scheme's name.
func ParseScheme(name string) (Scheme, error) {
	for s, info := range schemes {
		if info.name == name {
			return s, nil
		}
	}
	return 0, reject(RejectUnknownScheme, "scheme", "no scheme is called %q", name)
}

// DeviceKey is a device's public key in its scheme's one canonical form:
// 32 bytes compressed BabyJubjub, 20 bytes address, 33 bytes compressed SEC 1,
// or 32 bytes Ed25519.
type DeviceKey struct {
	Scheme Scheme
	Bytes  []byte
}

// Equal says whether both are the same key of the same scheme.
func (k DeviceKey) Equal(other DeviceKey) bool {
	return k.Scheme == other.Scheme && bytes.Equal(k.Bytes, other.Bytes)
}

// ID is the device's id, a canonical field element:
// P2(scheme, A.X, A.Y) for eddsa-bn254, P2(scheme, 31-byte chunks of the key)
// for the others. A circuit holds an EdDSA key as coordinates, never compressed.
func (k DeviceKey) ID() (Hash, error) {
	elements, err := k.Elements()
	if err != nil {
		return Hash{}, err
	}
	return ElementHash(P2(elements...)), nil
}

// Elements are what ID hashes, the scheme's number first.
func (k DeviceKey) Elements() ([]fr.Element, error) {
	if k.Scheme == SchemeEdDSABN254 {
		pub, err := k.eddsa()
		if err != nil {
			return nil, err
		}
		return eddsaElements(pub), nil
	}
	if err := k.Validate(); err != nil {
		return nil, err
	}
	return append([]fr.Element{uintElement(uint64(k.Scheme))}, Chunks(k.Bytes)...), nil
}

func eddsaElements(pub *eddsa.PublicKey) []fr.Element {
	return []fr.Element{uintElement(uint64(SchemeEdDSABN254)), pub.A.X, pub.A.Y}
}

func eddsaDevice(pub *eddsa.PublicKey) fr.Element { return P2(eddsaElements(pub)...) }

// Validate checks that the key is canonical and usable: on its curve, and for
// the Edwards curves neither the identity nor outside the large subgroup
// (eddsa-bn254) or of small order (ed25519).
func (k DeviceKey) Validate() error {
	if err := k.checkShape(); err != nil {
		return err
	}
	var err error
	switch k.Scheme {
	case SchemeEdDSABN254:
		_, err = k.eddsa()
	case SchemeP256:
		_, err = k.p256()
	case SchemeEd25519:
		err = k.checkEd25519()
	case SchemeSecp256k1:
		if bytes.Equal(k.Bytes, make([]byte, 20)) {
			err = reject(RejectBadKey, "key", "the zero address is nobody's")
		}
	}
	return err
}

func (k DeviceKey) checkShape() error {
	info, ok := schemes[k.Scheme]
	if !ok {
		return reject(RejectUnknownScheme, "scheme", "no scheme has number %d", k.Scheme)
	}
	if len(k.Bytes) != info.keyLen {
		return reject(RejectBadKey, "key", "a key of %s has %d bytes, this one %d", info.name, info.keyLen, len(k.Bytes))
	}
	return nil
}

func (k DeviceKey) eddsa() (*eddsa.PublicKey, error) {
	if err := k.checkShape(); err != nil {
		return nil, err
	}
	pub := new(eddsa.PublicKey)
	if _, err := pub.SetBytes(k.Bytes); err != nil {
		return nil, reject(RejectBadKey, "key", "%v", err)
	}
	if !bytes.Equal(pub.Bytes(), k.Bytes) {
		return nil, reject(RejectBadKey, "key", "point is not in its canonical form")
	}
	return pub, nil
}

func (k DeviceKey) p256() (*ecdsa.PublicKey, error) {
	x, y := elliptic.UnmarshalCompressed(elliptic.P256(), k.Bytes)
	if x == nil {
		return nil, reject(RejectBadKey, "key", "not a compressed point of P-256")
	}
	uncompressed := make([]byte, 65)
	uncompressed[0] = 4
	x.FillBytes(uncompressed[1:33])
	y.FillBytes(uncompressed[33:])
	pub, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), uncompressed)
	if err != nil {
		return nil, reject(RejectBadKey, "key", "%v", err)
	}
	return pub, nil
}

func (k DeviceKey) checkEd25519() error {
	point, err := new(edwards25519.Point).SetBytes(k.Bytes)
	if err != nil {
		return reject(RejectBadKey, "key", "not a point of Ed25519")
	}
	if !bytes.Equal(point.Bytes(), k.Bytes) {
		return reject(RejectBadKey, "key", "point is not in its canonical form")
	}
	if new(edwards25519.Point).MultByCofactor(point).Equal(edwards25519.NewIdentityPoint()) == 1 {
		return reject(RejectBadKey, "key", "point has a small order")
	}
	return nil
}

// p256HalfOrder is the largest s that a P-256 signature may have.
var p256HalfOrder = new(big.Int).Rsh(elliptic.P256().Params().N, 1)
