package wire

import (
	"crypto/sha256"
	"encoding/hex"
	"math/big"
	"slices"
	"strings"

	"golang.org/x/crypto/sha3"
)

// Hash is 32 bytes in natural order: a digest, an id or a big-endian field
// element. Text is "0x" and 64 lower-case hex digits.
type Hash [32]byte

// Address is an EVM account. Text is "0x" and 40 hex digits with EIP-55 case.
type Address [20]byte

// String returns the 0x form.
func (h Hash) String() string { return "0x" + hex.EncodeToString(h[:]) }

// BlockString returns the hash as Bitcoin shows block hashes: bytes reversed, no 0x.
func (h Hash) BlockString() string {
	slices.Reverse(h[:])
	return hex.EncodeToString(h[:])
}

// IsZero says whether every byte is zero.
func (h Hash) IsZero() bool { return h == Hash{} }

// Big returns the hash as a big-endian integer.
func (h Hash) Big() *big.Int { return new(big.Int).SetBytes(h[:]) }

// MeetsTarget says whether the hash, read as Bitcoin does (a little-endian
// integer), is at or below target.
func (h Hash) MeetsTarget(target *big.Int) bool {
	slices.Reverse(h[:])
	return new(big.Int).SetBytes(h[:]).Cmp(target) <= 0
}

// MarshalText implements encoding.TextMarshaler.
func (h Hash) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (h *Hash) UnmarshalText(text []byte) error {
	parsed, err := ParseHash(string(text))
	if err != nil {
		return err
	}
	*h = parsed
	return nil
}

// ParseHash reads the 0x form, in either case of hex digits.
func ParseHash(s string) (Hash, error) {
	var h Hash
	if err := parseHex(h[:], s, "hash"); err != nil {
		return Hash{}, err
	}
	return h, nil
}

// String returns the EIP-55 form.
func (a Address) String() string {
	lower := hex.EncodeToString(a[:])
	sum := Keccak256([]byte(lower))
	out := []byte(lower)
	for i, c := range out {
		nibble := sum[i/2] >> 4
		if i%2 == 1 {
			nibble = sum[i/2] & 0x0f
		}
		if c >= 'a' && nibble >= 8 {
			out[i] = c - 'a' + 'A'
		}
	}
	return "0x" + string(out)
}

// IsZero says whether every byte is zero.
func (a Address) IsZero() bool { return a == Address{} }

// MarshalText implements encoding.TextMarshaler.
func (a Address) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (a *Address) UnmarshalText(text []byte) error {
	parsed, err := ParseAddress(string(text))
	if err != nil {
		return err
	}
	*a = parsed
	return nil
}

// ParseAddress reads the 0x form. Mixed case must be EIP-55's: a mistyped
// address is refused; all-lower and all-upper carry no check.
func ParseAddress(s string) (Address, error) {
	var a Address
	if err := parseHex(a[:], s, "address"); err != nil {
		return Address{}, err
	}
	digits := s[2:]
	if digits == strings.ToLower(digits) || digits == strings.ToUpper(digits) {
		return a, nil
	}
	if a.String() != s {
		return Address{}, reject(RejectMalformed, "", "address %s has a wrong EIP-55 checksum", s)
	}
	return a, nil
}

func parseHex(dst []byte, s, what string) error {
	if len(s) != 2+2*len(dst) || s[:2] != "0x" {
		return reject(RejectMalformed, "", "%s is 0x and %d hex digits", what, 2*len(dst))
	}
	if _, err := hex.Decode(dst, []byte(s[2:])); err != nil {
		return reject(RejectMalformed, "", "%s is not hex", what)
	}
	return nil
}

// Keccak256 is Ethereum's hash of the parts' concatenation.
func Keccak256(parts ...[]byte) Hash {
	state := sha3.NewLegacyKeccak256()
	for _, p := range parts {
		state.Write(p)
	}
	var h Hash
	state.Sum(h[:0])
	return h
}

// SHA256 is the SHA-256 of the parts' concatenation.
func SHA256(parts ...[]byte) Hash {
	state := sha256.New()
	for _, p := range parts {
		state.Write(p)
	}
	var h Hash
	state.Sum(h[:0])
	return h
}

// SHA256D is SHA-256 twice, Bitcoin's hash.
func SHA256D(data []byte) Hash {
	first := sha256.Sum256(data)
	return sha256.Sum256(first[:])
}
