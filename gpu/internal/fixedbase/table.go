package fixedbase

import (
	"context"

	"github.com/consensys/gnark-crypto/ecc/bn254"
)

// Shape is how sums are made.
type Shape struct {
	Window int // bits of a digit
	Sets   int // of buckets, each for every Sets-th window
}

// Multiples is how many multiples of each point a table of this shape holds, the
// point itself included.
func (s Shape) Multiples() int { return (Windows(s.Window) + s.Sets - 1) / s.Sets }

// BestShape has the fewest additions for sums of n points in the given number of
// parts, with tables that hold at most the given number of multiples.
func BestShape(n, parts, multiples int) (best Shape) {
	least := 0
	for c := 4; c <= MaxWindow; c++ {
		windows := Windows(c)
		s := Shape{Window: c, Sets: (windows + multiples - 1) / multiples}
		cost := windows*n + parts*s.Sets<<c
		if least == 0 || cost < least {
			best, least = s, cost
		}
	}
	return best
}

// Table has multiples of points: 2^(window·sets·k) times each.
type Table[P any] struct {
	multiples [][]P
}

// Plain is the table that has only the points themselves, not copied.
func Plain[P any](points []P) *Table[P] { return &Table[P]{multiples: [][]P{points}} }

// Len is the number of points.
func (t *Table[P]) Len() int { return len(t.multiples[0]) }

// TableG1 makes a table of more multiples from a plain one. Each piece of the
// work, some milliseconds, is done through run, which returns an error when the
// work should stop.
func TableG1(ctx context.Context, shape Shape, plain *Table[bn254.G1Affine], run func(func()) error) (*Table[bn254.G1Affine], error) {
	return table(ctx, &adderG1{}, shape, plain, run)
}

// TableG2 is TableG1 for points of G2.
func TableG2(ctx context.Context, shape Shape, plain *Table[bn254.G2Affine], run func(func()) error) (*Table[bn254.G2Affine], error) {
	return table(ctx, &adderG2{}, shape, plain, run)
}

func table[P any](ctx context.Context, adder adder[P], shape Shape, plain *Table[P], run func(func()) error) (*Table[P], error) {
	t, n := Plain(plain.multiples[0]), plain.Len()
	row, copied := make([]uint32, batch), make([]P, batch)
	for i := range row {
		row[i] = uint32(i)
	}
	for k := 1; k < shape.Multiples(); k++ {
		next := make([]P, n)
		for from := 0; from < n; from += batch {
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			err := run(func() {
				piece := next[from:min(n, from+batch)]
				copy(piece, t.multiples[k-1][from:])
				for range shape.Window * shape.Sets {
					copy(copied, piece)
					adder.add(piece, row[:len(piece)], copied[:len(piece)])
				}
			})
			if err != nil {
				return nil, err
			}
		}
		t.multiples = append(t.multiples, next)
	}
	return t, nil
}
