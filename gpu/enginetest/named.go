package enginetest

import (
	"sync"
	"testing"

	"github.com/consensys/gnark-crypto/ecc"
	"github.com/consensys/gnark/frontend"
	"github.com/stretchr/testify/require"
)

type made struct {
	*Fixture
	err error
}

// fixtures are made once for all tests of a process: their set-up takes longer
// than the tests.
var fixtures = func() map[string]func() made {
	field := ecc.BN254.ScalarField()
	fixture := func(circuit, assignment frontend.Circuit) func() made {
		return sync.OnceValue(func() made {
			f, err := NewFixture(circuit, assignment)
			return made{f, err}
		})
	}
	dense, words, largest := &chain{N: 300}, &bits{Words: make([]frontend.Variable, 9)}, &chain{N: 1<<13 - 2}
	return map[string]func() made{
		"dense":    fixture(dense, dense.assign(3, field)),
		"zeros":    fixture(dense, dense.assign(0, field)),
		"bits":     fixture(words, words.assign(0xdeadbeef12345)),
		"no bits":  fixture(words, words.assign(0)),
		"all bits": fixture(words, words.assign(1<<wordBits-1)),
		"public":   fixture(&open{}, &open{P: 5, Q: 25}),
		"single":   fixture(&single{}, &single{P: 35, A: 5, B: 7}),
		"idle":     fixture(&idle{}, (&idle{}).assign()),
		"large":    fixture(largest, largest.assign(7, field)),
		"bsb22":    fixture(&committed{N: 1}, (&committed{}).assign()),
		"bsb22 x2": fixture(&committed{N: 2}, (&committed{}).assign()),
	}
}()

// Provable are the names of the fixtures that an engine can prove.
var provable = []string{"dense", "zeros", "bits", "no bits", "all bits", "public", "single", "idle", "large", "bsb22", "bsb22 x2"}

// Get is one of the suite's fixtures by name.
func Get(t testing.TB, name string) *Fixture {
	t.Helper()
	f := fixtures[name]()
	require.NoError(t, f.err)
	return f.Fixture
}
