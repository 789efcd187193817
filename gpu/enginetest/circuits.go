package enginetest

import (
	"fmt"
	"math/big"

	"github.com/consensys/gnark/frontend"
)

// chain squares and adds N times: every wire is as large as the field.
type chain struct {
	Out frontend.Variable `gnark:",public"`
	In  frontend.Variable
	N   int `gnark:"-"`
}

func (c *chain) Define(api frontend.API) error {
	x := c.In
	for range c.N {
		x = api.Add(api.Mul(x, x), c.In)
	}
	api.AssertIsEqual(x, c.Out)
	return nil
}

func (c *chain) assign(in int64, modulus *big.Int) frontend.Circuit {
	x, start := big.NewInt(in), big.NewInt(in)
	for range c.N {
		x.Mul(x, x).Add(x, start).Mod(x, modulus)
	}
	return &chain{In: in, Out: x}
}

// bits takes N words apart into bits, so most wires are 0 or 1.
type bits struct {
	Sum   frontend.Variable `gnark:",public"`
	Words []frontend.Variable
}

const wordBits = 60

func (c *bits) Define(api frontend.API) error {
	sum := frontend.Variable(0)
	for _, w := range c.Words {
		for _, b := range api.ToBinary(w, wordBits) {
			sum = api.Add(sum, b)
		}
	}
	api.AssertIsEqual(sum, c.Sum)
	return nil
}

func (c *bits) assign(word uint64) frontend.Circuit {
	words, sum := make([]frontend.Variable, len(c.Words)), 0
	for i := range words {
		words[i] = word
		for w := word; w != 0; w &= w - 1 {
			sum++
		}
	}
	return &bits{Words: words, Sum: sum}
}

// single is the smallest circuit there is: one constraint, a domain of one.
type single struct {
	P frontend.Variable `gnark:",public"`
	A frontend.Variable
	B frontend.Variable
}

func (c *single) Define(api frontend.API) error {
	api.AssertIsEqual(api.Mul(c.A, c.B), c.P)
	return nil
}

// idle has wires that no constraint mentions, public and private: their
// points are at infinity.
type idle struct {
	P      frontend.Variable    `gnark:",public"`
	Unused frontend.Variable    `gnark:",public"`
	Free   [9]frontend.Variable // mentioned nowhere
	A, B   frontend.Variable
}

func (c *idle) Define(api frontend.API) error {
	api.AssertIsEqual(api.Mul(c.A, c.A, c.B), c.P)
	return nil
}

func (c *idle) assign() frontend.Circuit {
	full := &idle{P: 45, Unused: 77, A: 3, B: 5}
	for i := range full.Free {
		full.Free[i] = i * 1000
	}
	return full
}

// committed uses N BSB22 commitments, the later ones also over the challenges
// of the earlier ones.
type committed struct {
	P    frontend.Variable `gnark:",public"`
	A    frontend.Variable
	Free [5]frontend.Variable
	N    int `gnark:"-"`
}

func (c *committed) Define(api frontend.API) error {
	committer, ok := api.(frontend.Committer)
	if !ok {
		return fmt.Errorf("builder %T makes no commitments", api)
	}
	challenge := c.P
	for i := range c.N {
		v, err := committer.Commit(c.Free[i], api.Mul(c.A, c.Free[i+1]), challenge)
		if err != nil {
			return err
		}
		api.AssertIsDifferent(v, 0)
		challenge = v
	}
	api.AssertIsEqual(api.Mul(c.A, c.A), c.P)
	return nil
}

func (c *committed) assign() frontend.Circuit {
	return &committed{P: 49, A: 7, Free: [5]frontend.Variable{11, 12, 13, 14, 15}}
}

// open has no private wires: its key's K is empty.
type open struct {
	P frontend.Variable `gnark:",public"`
	Q frontend.Variable `gnark:",public"`
}

func (c *open) Define(api frontend.API) error {
	api.AssertIsEqual(api.Mul(c.P, c.P), c.Q)
	return nil
}
