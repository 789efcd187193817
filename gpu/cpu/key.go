package cpu

import (
	"unsafe"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr/fft"

	"github.com/gristmill-zk/gristmill/gpu"
	"github.com/gristmill-zk/gristmill/gpu/provingkey"
)

// residentKey is a key ready for proofs. It is immutable.
type residentKey struct {
	*provingkey.Key
	domain *fft.Domain
	// vanishing is 1/(gⁿ-1): the inverse of Xⁿ-1 on the coset of g.
	vanishing fr.Element
}

func loadKey(key gpu.Key, tasks int) (*residentKey, error) {
	read, err := provingkey.Read(key, tasks)
	if err != nil {
		return nil, err
	}
	k := &residentKey{Key: read, domain: fft.NewDomain(read.Cardinality)}
	g := k.domain.FrMultiplicativeGen
	for n := read.Cardinality; n > 1; n >>= 1 {
		g.Square(&g)
	}
	one := fr.One()
	k.vanishing.Sub(&g, &one)
	k.vanishing.Inverse(&k.vanishing)
	return k, nil
}

// footprint is the memory that a key will take, from the first bytes of it.
func footprint(key gpu.Key) (int64, error) {
	cardinality, err := provingkey.Cardinality(key)
	if err != nil {
		return 0, err
	}
	// The file's points and flags (an index is four bytes for a flag's one, but
	// only where points follow), and the roots of unity, their inverses and the
	// coset's powers both ways.
	tables := 4 * int64(cardinality) * int64(unsafe.Sizeof(fr.Element{}))
	return key.Size + key.Size/16 + tables, nil
}
