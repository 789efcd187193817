package fixedbase

import (
	"context"

	"github.com/consensys/gnark-crypto/ecc/bn254"
)

// Term is a part of a sum: each point of a table times the scalar with its
// number, or with the number that Index has for it.
type Term[P any] struct {
	Table  *Table[P]
	Digits *Digits
	Index  []uint32
}

// G1 sums terms of G1. All tables have one shape. Several parts, which can be
// computed side by side, make up the whole: this is number part of them. Stops
// with the cause of ctx when it ends.
func G1(ctx context.Context, shape Shape, part, parts int, terms ...Term[bn254.G1Affine]) (bn254.G1Jac, error) {
	return sum[bn254.G1Affine, bn254.G1Jac](ctx, &adderG1{}, shape, part, parts, terms)
}

// G2 is G1 for points of G2.
func G2(ctx context.Context, shape Shape, part, parts int, terms ...Term[bn254.G2Affine]) (bn254.G2Jac, error) {
	return sum[bn254.G2Affine, bn254.G2Jac](ctx, &adderG2{}, shape, part, parts, terms)
}

// jacobian is a group's arithmetic for single points; its zero value is infinity.
type jacobian[P, J any] interface {
	*J
	AddMixed(*P) *J
	AddAssign(*J) *J
	DoubleAssign() *J
}

func sum[P, J any, A affine[P], G jacobian[P, J]](ctx context.Context, adder adder[P], shape Shape, part, parts int, terms []Term[P]) (total J, err error) {
	b := newBuckets[P, A](shape.Window, adder)
	for set := shape.Sets - 1; set >= 0; set-- {
		if set < shape.Sets-1 {
			b.reset()
			for range shape.Window {
				G(&total).DoubleAssign()
			}
		}
		for k, w := 0, set; w < Windows(shape.Window); k, w = k+1, w+shape.Sets {
			for _, t := range terms {
				if ctx.Err() != nil {
					return total, context.Cause(ctx)
				}
				n := t.Table.Len()
				from, to := part*n/parts, (part+1)*n/parts
				points, digits := t.Table.multiples[k][from:to], t.Digits.window(w)
				if t.Index != nil {
					b.put(points, digits, t.Index[from:to])
				} else {
					b.put(points, digits[from:to], nil)
				}
			}
		}
		b.finish()
		weighted := weigh[P, J, A, G](b)
		G(&total).AddAssign(&weighted)
	}
	return total, nil
}

// weigh is Σ (i+1)·bucketᵢ. The buckets are cut into columns that are summed
// side by side, so that they share inversions too: with runs the plain sum of a
// column of height h and sums its weighted one, the whole is
// Σ sums + h·Σ column·runs.
func weigh[P, J any, A affine[P], G jacobian[P, J]](b *buckets[P, A]) (total J) {
	columns := min(batch, max(1, len(b.sums)/16))
	height := len(b.sums) / columns
	runs, sums, row := make([]P, columns), make([]P, columns), b.row[:columns]
	for j := height - 1; j >= 0; j-- {
		for i := range columns {
			b.what[i] = b.sums[i*height+j]
		}
		b.adder.add(runs, row, b.what[:columns])
		b.adder.add(sums, row, runs)
	}
	var run J
	for i := columns - 1; i > 0; i-- {
		G(&run).AddMixed(&runs[i])
		G(&total).AddAssign(&run)
	}
	for h := height; h > 1; h >>= 1 {
		G(&total).DoubleAssign()
	}
	for i := range sums {
		G(&total).AddMixed(&sums[i])
	}
	return total
}
