package ceremony_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/consensys/gnark-crypto/ecc"
	"github.com/consensys/gnark/backend/groth16"
	groth16bn254 "github.com/consensys/gnark/backend/groth16/bn254"
	"github.com/consensys/gnark/frontend"
	"github.com/consensys/gnark/frontend/cs/r1cs"
	"github.com/stretchr/testify/require"

	"github.com/gristmill-zk/gristmill/plugins/ceremony"
)

// committing is a circuit with one gnark commitment, to a public and a private
// wire.
type committing struct {
	Binding        frontend.Variable `gnark:",public"`
	DataCommitment frontend.Variable `gnark:",public"`
	Out            frontend.Variable `gnark:",public"`
	X              frontend.Variable
}

func (c *committing) Define(api frontend.API) error {
	api.AssertIsEqual(api.Mul(c.Binding, c.X), api.Mul(c.X, c.Binding))
	api.AssertIsEqual(api.Mul(c.DataCommitment, c.X), api.Mul(c.X, c.DataCommitment))
	api.AssertIsEqual(c.Out, api.Mul(c.X, c.X))
	challenge, err := api.(frontend.Committer).Commit(c.X, c.Out)
	if err != nil {
		return err
	}
	api.AssertIsDifferent(challenge, c.X)
	return nil
}

func TestCircuitsWithACommitment(t *testing.T) {
	t.Parallel()
	system, err := frontend.Compile(ecc.BN254.ScalarField(), r1cs.NewBuilder, &committing{})
	require.NoError(t, err)
	var text bytes.Buffer
	_, err = system.WriteTo(&text)
	require.NoError(t, err)
	circuit := filepath.Join(t.TempDir(), "circuit")
	require.NoError(t, os.WriteFile(circuit, text.Bytes(), 0o644))

	dir := t.TempDir()
	c, err := ceremony.Init(t.Context(), ceremony.InitConfig{Dir: dir, Circuit: circuit})
	require.NoError(t, err)
	require.Equal(t, 1, c.Log.Circuit.Commitments)
	for phase := 1; phase <= 2; phase++ {
		_, err := c.Contribute(t.Context(), "Alice")
		require.NoError(t, err)
		require.NoError(t, c.Finalize(t.Context(), phase, beacon(phase)))
	}
	require.NoError(t, opened(t, dir).Verify(t.Context()))

	var pk groth16bn254.ProvingKey
	var vk groth16bn254.VerifyingKey
	raw, err := os.ReadFile(filepath.Join(dir, "proving.key"))
	require.NoError(t, err)
	require.NoError(t, pk.ReadDump(bytes.NewReader(raw)))
	raw, err = os.ReadFile(filepath.Join(dir, "verifying.key"))
	require.NoError(t, err)
	_, err = vk.ReadFrom(bytes.NewReader(raw))
	require.NoError(t, err)
	full, err := frontend.NewWitness(&committing{Binding: 3, DataCommitment: 5, X: 7, Out: 49}, ecc.BN254.ScalarField())
	require.NoError(t, err)
	proof, err := groth16.Prove(system, &pk, full)
	require.NoError(t, err)
	public, err := full.Public()
	require.NoError(t, err)
	require.NoError(t, groth16.Verify(proof, &vk, public))
}
