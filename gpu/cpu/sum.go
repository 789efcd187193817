package cpu

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/consensys/gnark-crypto/ecc"
	"github.com/consensys/gnark-crypto/ecc/bn254"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr"

	"github.com/gristmill-zk/gristmill/gpu/internal/parallel"
)

// maxPiece is the most points of one multi-exponentiation, which cannot be
// interrupted.
const maxPiece = 1 << 18

func sumG1(ctx context.Context, points []bn254.G1Affine, scalars []fr.Element, tasks int) (bn254.G1Jac, error) {
	return sum[bn254.G1Affine, bn254.G1Jac](ctx, points, scalars, tasks)
}

func sumG2(ctx context.Context, points []bn254.G2Affine, scalars []fr.Element, tasks int) (bn254.G2Jac, error) {
	return sum[bn254.G2Affine, bn254.G2Jac](ctx, points, scalars, tasks)
}

// jacobian is the arithmetic of either group; its zero value is infinity.
type jacobian[P, J any] interface {
	*J
	AddMixed(point *P) *J
	AddAssign(other *J) *J
	MultiExp(points []P, scalars []fr.Element, config ecc.MultiExpConfig) (*J, error)
}

// sum is Σ scalarᵢ·pointᵢ, in pieces, until ctx ends.
func sum[P, J any, G jacobian[P, J]](ctx context.Context, points []P, scalars []fr.Element, tasks int) (total J, err error) {
	for from := 0; from < len(points); from += maxPiece {
		if ctx.Err() != nil {
			return total, context.Cause(ctx)
		}
		to := min(len(points), from+maxPiece)
		var part J
		if sparse(scalars[from:to]) {
			part, err = sumBits[P, J, G](points[from:to], scalars[from:to], tasks)
		} else {
			_, err = G(&part).MultiExp(points[from:to], scalars[from:to], ecc.MultiExpConfig{NbTasks: tasks})
		}
		if err != nil {
			return total, fmt.Errorf("multi-exponentiation: %w", err)
		}
		G(&total).AddAssign(&part)
	}
	return total, nil
}

// sparse says whether at least half of the scalars are 0 or 1, by a sample.
func sparse(scalars []fr.Element) bool {
	const sample = 512
	step := max(1, len(scalars)/sample)
	seen, bits := 0, 0
	for i := 0; i < len(scalars); i += step {
		seen++
		if scalars[i].IsZero() || scalars[i].IsOne() {
			bits++
		}
	}
	return 2*bits >= seen
}

// sumBits leaves out the points with scalar 0, adds up those with 1, and
// leaves the others to a multi-exponentiation, which can choose its windows
// for their number.
func sumBits[P, J any, G jacobian[P, J]](points []P, scalars []fr.Element, tasks int) (total J, err error) {
	// Exact sizes, so that no grown slice leaves scalars behind.
	n := 0
	for i := range scalars {
		if !scalars[i].IsZero() && !scalars[i].IsOne() {
			n++
		}
	}
	restPoints, rest := make([]P, n), make([]fr.Element, n)
	defer clear(rest)
	var (
		mu   sync.Mutex
		next atomic.Int64
	)
	parallel.For(len(points), tasks, func(from, to int) {
		var ones J
		for i := from; i < to; i++ {
			switch {
			case scalars[i].IsZero():
			case scalars[i].IsOne():
				G(&ones).AddMixed(&points[i])
			default:
				at := next.Add(1) - 1
				restPoints[at], rest[at] = points[i], scalars[i]
			}
		}
		mu.Lock()
		defer mu.Unlock()
		G(&total).AddAssign(&ones)
	})
	if len(rest) == 0 {
		return total, nil
	}
	var part J
	if _, err := G(&part).MultiExp(restPoints, rest, ecc.MultiExpConfig{NbTasks: tasks}); err != nil {
		return total, err
	}
	G(&total).AddAssign(&part)
	return total, nil
}
