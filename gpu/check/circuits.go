package check

import (
	"fmt"
	"math/big"

	"github.com/consensys/gnark-crypto/ecc"
	"github.com/consensys/gnark/frontend"
)

// Sized makes a case that fills a domain of 2^log constraints: "dense" has wires
// as large as the field, "sparse" has mostly wires of 0 or 1.
func Sized(kind string, log int) (*Case, error) {
	if log < 6 || log > 26 {
		return nil, fmt.Errorf("a circuit of 2^%d constraints: 6 to 26 are allowed", log)
	}
	n := 1 << log
	switch kind {
	case "dense":
		c := &powers{N: n - 2}
		return newCase(c, c.assign())
	case "sparse":
		c := &words{Words: make([]frontend.Variable, (n-2)/(wordBits+1))}
		return newCase(c, c.assign())
	}
	return nil, fmt.Errorf("no circuit of kind %q: dense or sparse", kind)
}

// powers squares and adds N times.
type powers struct {
	Out frontend.Variable `gnark:",public"`
	In  frontend.Variable
	N   int `gnark:"-"`
}

func (c *powers) Define(api frontend.API) error {
	x := c.In
	for range c.N {
		x = api.Add(api.Mul(x, x), c.In)
	}
	api.AssertIsEqual(x, c.Out)
	return nil
}

func (c *powers) assign() frontend.Circuit {
	in := big.NewInt(5)
	x := new(big.Int).Set(in)
	for range c.N {
		x.Mul(x, x).Add(x, in).Mod(x, ecc.BN254.ScalarField())
	}
	return &powers{Out: x, In: in}
}

// words takes numbers apart into bits and counts those.
type words struct {
	Ones  frontend.Variable `gnark:",public"`
	Words []frontend.Variable
}

const (
	wordBits = 60
	word     = 0x0a5f3c99b71e2d4
)

func (c *words) Define(api frontend.API) error {
	ones := frontend.Variable(0)
	for _, w := range c.Words {
		for _, bit := range api.ToBinary(w, wordBits) {
			ones = api.Add(ones, bit)
		}
	}
	api.AssertIsEqual(ones, c.Ones)
	return nil
}

func (c *words) assign() frontend.Circuit {
	ones := 0
	for w := word; w != 0; w &= w - 1 {
		ones++
	}
	full := &words{Ones: ones * len(c.Words), Words: make([]frontend.Variable, len(c.Words))}
	for i := range full.Words {
		full.Words[i] = word
	}
	return full
}
