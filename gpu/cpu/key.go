package cpu

import (
	"bufio"
	"errors"
	"fmt"
	"unsafe"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr/fft"

	"github.com/gristmill-zk/gristmill/gpu"
)

// provingKey is a key ready for proofs. It is immutable.
type provingKey struct {
	*dump
	domain *fft.Domain
	// vanishing is 1/(gⁿ-1): the inverse of Xⁿ-1 on the coset of g.
	vanishing fr.Element
}

func loadKey(key gpu.Key, tasks int) (*provingKey, error) {
	d, err := readDump(key, tasks)
	if err != nil {
		return nil, err
	}
	k := &provingKey{dump: d, domain: fft.NewDomain(d.cardinality)}
	g := k.domain.FrMultiplicativeGen
	for n := d.cardinality; n > 1; n >>= 1 {
		g.Square(&g)
	}
	one := fr.One()
	k.vanishing.Sub(&g, &one)
	k.vanishing.Inverse(&k.vanishing)
	return k, nil
}

func (k *provingKey) nbPublic() int { return k.wires - (len(k.zk) - k.sizeZ) }

// footprint is the memory that a key will take, from the first bytes of it.
func footprint(key gpu.Key) (_ int64, err error) {
	file, err := key.Open()
	if err != nil {
		return 0, fmt.Errorf("open proving key %s: %w", key.ID, err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	r := &dumpReader{r: bufio.NewReaderSize(file, 512), left: key.Size}
	r.marker()
	cardinality := r.domain()
	if r.err != nil {
		return 0, fmt.Errorf("proving key %s: %w", key.ID, r.err)
	}
	// The file's points and flags (an index is four bytes for a flag's one, but
	// only where points follow), and the roots of unity, their inverses and the
	// coset's powers both ways.
	tables := 4 * int64(cardinality) * int64(unsafe.Sizeof(fr.Element{}))
	return key.Size + key.Size/16 + tables, nil
}
