//go:build icicle

package icicle

import (
	"fmt"
	"math/bits"
	"sync"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr/fft"

	"github.com/gristmill-zk/gristmill/gpu"
)

// roots are the roots of unity that ICICLE keeps for a device. There is one set
// for each device in a process, whatever number of engines use it.
type roots struct {
	mu  sync.RWMutex // held for reading by whoever transforms
	log int          // of the order that is there; 0 for none
}

var (
	rootsMu    sync.Mutex
	rootsOfAll = map[rootsKey]*roots{}
)

type rootsKey struct {
	kind  string
	index int
}

func (d *device) roots() *roots {
	rootsMu.Lock()
	defer rootsMu.Unlock()
	key := rootsKey{d.kind, d.index}
	r, ok := rootsOfAll[key]
	if !ok {
		r = new(roots)
		rootsOfAll[key] = r
	}
	return r
}

// leastRoots is the order, as a power of two, that is made at once: roots are
// cheap on a card, and to replace them proofs must stop.
func (d *device) leastRoots() int {
	if d.kind == CUDA {
		return 20
	}
	return 1
}

// ensure makes roots of order 2^log there, on the device's thread. A larger set
// takes the place of a smaller one once no transform is going on; a smaller one
// is never made.
func (r *roots) ensure(log int) error {
	r.mu.RLock()
	enough := r.log >= log
	r.mu.RUnlock()
	if enough {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.log >= log {
		return nil
	}
	if r.log > 0 {
		if err := releaseTransforms(); err != nil {
			return err
		}
		r.log = 0
	}
	root, err := rootOfUnity(log)
	if err != nil {
		return err
	}
	limbs := plain(root)
	if err := initTransforms(&limbs); err != nil {
		return err
	}
	r.log = log
	return nil
}

// rootOfUnity is the root of order 2^log that gnark's domains are made of.
func rootOfUnity(log int) (fr.Element, error) {
	root, err := fft.Generator(1 << log)
	if err != nil {
		return root, fmt.Errorf("%w: a domain of 2^%d elements: %w", gpu.ErrUnsupported, log-1, err)
	}
	return root, nil
}

// plain is an element out of Montgomery form, the lowest limb first.
func plain(e fr.Element) [4]uint64 { return e.Bits() }

// logOf is the exponent of a power of two.
func logOf(n uint64) int { return bits.TrailingZeros64(n) }
