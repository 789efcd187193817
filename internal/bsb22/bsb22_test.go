package bsb22_test

import (
	"math/big"
	"slices"
	"testing"

	"github.com/consensys/gnark-crypto/ecc"
	"github.com/consensys/gnark-crypto/ecc/bn254"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/consensys/gnark/backend/groth16"
	groth16bn254 "github.com/consensys/gnark/backend/groth16/bn254"
	"github.com/consensys/gnark/constraint"
	cs "github.com/consensys/gnark/constraint/bn254"
	"github.com/consensys/gnark/frontend"
	"github.com/consensys/gnark/frontend/cs/r1cs"
	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/sha3"

	"github.com/gristmill-zk/gristmill/internal/bsb22"
	_ "github.com/gristmill-zk/gristmill/internal/quietgnark"
)

// circuit commits N times to public and private values.
type circuit struct {
	P, Q frontend.Variable `gnark:",public"`
	A    [3]frontend.Variable
	N    int `gnark:"-"`
}

func (c *circuit) Define(api frontend.API) error {
	for i := range c.N {
		challenge, err := api.(frontend.Committer).Commit(c.A[i], c.Q, api.Mul(c.A[i], c.A[i+1]))
		if err != nil {
			return err
		}
		api.AssertIsDifferent(challenge, c.P)
	}
	api.AssertIsEqual(api.Mul(c.A[0], c.A[1], c.A[2]), c.P)
	api.AssertIsEqual(c.Q, 5)
	return nil
}

func compile(t *testing.T, n int) *cs.R1CS {
	t.Helper()
	system, err := frontend.Compile(ecc.BN254.ScalarField(), r1cs.NewBuilder, &circuit{N: n})
	require.NoError(t, err)
	return system.(*cs.R1CS)
}

// The solver commits to the wires that the circuit names and puts the challenge
// where it belongs.
func TestHint(t *testing.T) {
	t.Parallel()
	system := compile(t, 1)
	c, err := bsb22.Of(system)
	require.NoError(t, err)
	require.Equal(t, []uint32{2}, c.Public)
	pk, _, err := groth16.Setup(system)
	require.NoError(t, err)
	full, err := frontend.NewWitness(&circuit{P: 24, Q: 5, A: [3]frontend.Variable{2, 3, 4}}, ecc.BN254.ScalarField())
	require.NoError(t, err)
	var point bn254.G1Affine
	var covered fr.Vector
	solved, err := system.Solve(full, bsb22.Hint(c, func(values fr.Vector) (bn254.G1Affine, error) {
		covered = slices.Clone(values)
		point, err = pk.(*groth16bn254.ProvingKey).CommitmentKeys[0].Commit(values)
		return point, err
	}))
	require.NoError(t, err)
	w := solved.(*cs.R1CSSolution).W
	require.Equal(t, gnarksChallenge(&point, 5), w[c.Challenge])
	require.Equal(t, covered, c.Covered(w))
	require.True(t, c.Holds(w, &point))
	_, _, g, _ := bn254.Generators()
	require.False(t, c.Holds(w, &g))
	w[2].SetUint64(6)
	require.False(t, c.Holds(w, &point), "a committed public input is hashed, too")
}

// gnarksChallenge is what gnark's prover draws for its Solidity target.
func gnarksChallenge(point *bn254.G1Affine, public int64) (challenge fr.Element) {
	h := sha3.NewLegacyKeccak256()
	h.Write(constraint.SerializeCommitment(point.Marshal(), []*big.Int{big.NewInt(public)}, fr.Bytes))
	challenge.SetBytes(h.Sum(nil))
	return challenge
}

func TestOf(t *testing.T) {
	t.Parallel()
	c, err := bsb22.Of(compile(t, 0))
	require.NoError(t, err)
	require.Nil(t, c)
	_, err = bsb22.Of(compile(t, 2))
	require.ErrorContains(t, err, "2 gnark commitments, at most 1")
	for name, spoil := range map[string]func(*constraint.Groth16Commitment){
		"public wires":  func(c *constraint.Groth16Commitment) { c.PublicAndCommitmentCommitted = []int{0} },
		"private wires": func(c *constraint.Groth16Commitment) { c.PrivateCommitted[0] = c.PrivateCommitted[1] },
		"challenge":     func(c *constraint.Groth16Commitment) { c.CommitmentIndex = 1 << 20 },
	} {
		system := compile(t, 1)
		infos := system.CommitmentInfo.(constraint.Groth16Commitments)
		spoil(&infos[0])
		_, err := bsb22.Of(system)
		require.ErrorContains(t, err, name)
	}
}
