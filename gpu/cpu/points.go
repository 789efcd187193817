package cpu

import (
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/consensys/gnark-crypto/ecc/bn254"
	"github.com/consensys/gnark-crypto/ecc/bn254/fp"

	"github.com/gristmill-zk/gristmill/gpu"
)

// checkPoints checks that each coordinate is canonical and each point is on
// its curve (infinity, written as zeros, counts: a wire that no constraint
// mentions has it). A flipped bit is found so; a key made wrong
// shows only in proofs that do not verify.
func (d *dump) checkPoints(tasks int) error {
	for _, s := range []struct {
		name   string
		points []bn254.G1Affine
	}{{"A", d.a}, {"B", d.b}, {"Z and K", d.zk}} {
		bad := firstBad(len(s.points), tasks, func(i int) bool { return goodG1(&s.points[i]) })
		if bad >= 0 {
			return fmt.Errorf("%w: point %d of %s is not on the curve", gpu.ErrBadKey, bad, s.name)
		}
	}
	if bad := firstBad(len(d.bG2), tasks, func(i int) bool { return goodG2(&d.bG2[i]) }); bad >= 0 {
		return fmt.Errorf("%w: point %d of B in G2 is not on the curve", gpu.ErrBadKey, bad)
	}
	return nil
}

func goodG1(p *bn254.G1Affine) bool {
	return canonical(&p.X) && canonical(&p.Y) && p.IsOnCurve()
}

func goodG2(p *bn254.G2Affine) bool {
	return canonical(&p.X.A0) && canonical(&p.X.A1) && canonical(&p.Y.A0) && canonical(&p.Y.A1) && p.IsOnCurve()
}

// modulus has the limbs of the base field's modulus, the lowest first.
var modulus = func() (limbs [fp.Limbs]uint64) {
	q := fp.Modulus()
	for i := range limbs {
		limbs[i] = q.Uint64()
		q.Rsh(q, 64)
	}
	return limbs
}()

func canonical(e *fp.Element) bool {
	return below((*[4]uint64)(e), &modulus)
}

// below says whether a < b for numbers of four limbs, the lowest first.
func below(a, b *[4]uint64) bool {
	for i := 3; i >= 0; i-- {
		if a[i] != b[i] {
			return a[i] < b[i]
		}
	}
	return false
}

// firstBad is an index whose check failed, or -1.
func firstBad(n, tasks int, good func(int) bool) int {
	var bad atomic.Int64
	bad.Store(-1)
	parallel(n, tasks, func(from, to int) {
		for i := from; i < to; i++ {
			if !good(i) {
				bad.Store(int64(i))
				return
			}
		}
	})
	return int(bad.Load())
}

// parallel splits 0..n among tasks goroutines and returns when all are done.
func parallel(n, tasks int, work func(from, to int)) {
	const least = 512 // elements that are worth a goroutine
	tasks = max(1, min(tasks, n/least))
	if tasks == 1 {
		work(0, n)
		return
	}
	var wg sync.WaitGroup
	for t := range tasks {
		wg.Go(func() { work(t*n/tasks, (t+1)*n/tasks) })
	}
	wg.Wait()
}
