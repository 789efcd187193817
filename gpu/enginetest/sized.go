package enginetest

import (
	"fmt"

	"github.com/consensys/gnark-crypto/ecc"
	"github.com/consensys/gnark/frontend"
)

// Sized makes a circuit that fills a domain of 2^log constraints: "dense" has
// wires as large as the field, "bits" has mostly wires of 0 or 1.
func Sized(kind string, log int) (*Fixture, error) {
	n := 1 << log
	switch kind {
	case "dense":
		c := &chain{N: n - 2}
		return NewFixture(c, c.assign(3, ecc.BN254.ScalarField()))
	case "bits":
		c := &bits{Words: make([]frontend.Variable, (n-2)/(wordBits+1))}
		return NewFixture(c, c.assign(0x0a5f3c99b71e2d4))
	}
	return nil, fmt.Errorf("no circuit of kind %q", kind)
}
