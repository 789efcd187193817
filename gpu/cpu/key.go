package cpu

import (
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/consensys/gnark-crypto/ecc/bn254"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr/fft"

	"github.com/gristmill-zk/gristmill/gpu"
	"github.com/gristmill-zk/gristmill/gpu/internal/fixedbase"
	"github.com/gristmill-zk/gristmill/gpu/provingkey"
)

// residentKey is a key ready for proofs. All but its tables is immutable.
type residentKey struct {
	*provingkey.Key
	domain *fft.Domain
	// vanishing is 1/(gⁿ-1): the inverse of Xⁿ-1 on the coset of g.
	vanishing fr.Element
	// private are the numbers of all private wires.
	private []uint32

	proofs atomic.Int64 // made with the present tables

	mu     sync.Mutex
	tables *tables // those in use
	plain  *tables // those that cost no memory
	stop   func()  // ends the making of better ones, which is under way
}

// tables are the points of a key as sums take them, in one shape.
type tables struct {
	shape      fixedbase.Shape
	a, b, z, k *fixedbase.Table[bn254.G1Affine]
	b2         *fixedbase.Table[bn254.G2Affine]
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
	k.private = make([]uint32, 0, read.Wires-read.Public())
	for wire := read.Public(); wire < read.Wires; wire++ {
		k.private = append(k.private, uint32(wire))
	}
	k.plain = &tables{
		shape: k.shape(tasks, 1),
		a:     fixedbase.Plain(k.A), b: fixedbase.Plain(k.B), z: fixedbase.Plain(k.Z()), k: fixedbase.Plain(k.K()), b2: fixedbase.Plain(k.BG2),
	}
	k.tables = k.plain
	return k, nil
}

// shape is the best shape of tables with at most so many multiples of a point.
func (k *residentKey) shape(cores, multiples int) fixedbase.Shape {
	n := int(k.Cardinality)
	return fixedbase.BestShape(n, max(1, min(cores/2, n>>14)), multiples)
}

// use is the best that the key has for sums.
func (k *residentKey) use() *tables {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.tables
}

// trim gives up the tables. Proofs in flight finish with those that they have.
func (k *residentKey) trim() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.tables = k.plain
	k.proofs.Store(0)
	if k.stop != nil {
		k.stop()
	}
}

// points is the memory of the points that tables multiply.
func (k *residentKey) points() int64 {
	return int64(len(k.A)+len(k.B)+len(k.ZK))*int64(unsafe.Sizeof(bn254.G1Affine{})) +
		int64(len(k.BG2))*int64(unsafe.Sizeof(bn254.G2Affine{}))
}

// footprint is the memory that a key will take without tables, from the first
// bytes of it.
func footprint(key gpu.Key) (int64, error) {
	cardinality, err := provingkey.Cardinality(key)
	if err != nil {
		return 0, err
	}
	// The file's points and flags (an index is four bytes for a flag's one, but
	// only where points follow, and each private wire has another), and the roots
	// of unity, their inverses and the coset's powers both ways.
	tables := 4 * int64(cardinality) * int64(unsafe.Sizeof(fr.Element{}))
	return key.Size + key.Size/16 + key.Size/64 + tables, nil
}
