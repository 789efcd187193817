package sdk

import (
	"bytes"
	"crypto/sha256"
	"testing"

	"github.com/consensys/gnark-crypto/ecc"
	"github.com/consensys/gnark/frontend"
	"github.com/consensys/gnark/frontend/cs/r1cs"
	"github.com/stretchr/testify/require"
)

// sha256Circuit says that Digest is the hash of Message, both bits.
type sha256Circuit struct {
	Message, Digest []frontend.Variable
}

func (c *sha256Circuit) Define(api frontend.API) error {
	for _, bit := range c.Message {
		api.AssertIsBoolean(bit)
	}
	for i, bit := range sha256Bits(api, c.Message) {
		api.AssertIsEqual(bit, c.Digest[i])
	}
	return nil
}

func TestSHA256MatchesNative(t *testing.T) {
	t.Parallel()
	// The padding's edges, and one block more than a short message of a device.
	for _, size := range []int{0, 55, 56, 64, 130} {
		form := &sha256Circuit{Message: make([]frontend.Variable, 8*size), Digest: make([]frontend.Variable, 256)}
		ccs, err := frontend.Compile(ecc.BN254.ScalarField(), r1cs.NewBuilder, form)
		require.NoError(t, err)
		message := bytes.Repeat([]byte{0xa5, 0, 0xff, 0x13}, 40)[:size]
		digest := sha256.Sum256(message)
		solve := func(digest []byte) error {
			w, err := frontend.NewWitness(&sha256Circuit{constantBits(message), constantBits(digest)}, ecc.BN254.ScalarField())
			require.NoError(t, err)
			_, err = ccs.Solve(w)
			return err
		}
		require.NoError(t, solve(digest[:]), "%d bytes", size)
		digest[size%32] ^= 1
		require.Error(t, solve(digest[:]), "%d bytes, another digest", size)
	}
}
