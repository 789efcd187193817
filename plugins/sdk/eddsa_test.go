package sdk

import (
	"crypto/rand"
	"math/big"
	"testing"

	"github.com/consensys/gnark-crypto/ecc"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr/poseidon2"
	edbn254 "github.com/consensys/gnark-crypto/ecc/bn254/twistededwards"
	"github.com/consensys/gnark-crypto/ecc/bn254/twistededwards/eddsa"
	tedwards "github.com/consensys/gnark-crypto/ecc/twistededwards"
	"github.com/consensys/gnark/frontend"
	"github.com/consensys/gnark/frontend/cs/r1cs"
	"github.com/consensys/gnark/std/algebra/native/twistededwards"
	hash2 "github.com/consensys/gnark/std/hash/poseidon2"
	gadget "github.com/consensys/gnark/std/signature/eddsa"
	"github.com/stretchr/testify/require"
)

// signatureCircuit checks one signature, with our gadget or with gnark's.
type signatureCircuit struct {
	KeyX, KeyY, Digest, Used frontend.Variable
	Sig                      signature
	gnark                    bool
}

func (c *signatureCircuit) Define(api frontend.API) error {
	curve, err := twistededwards.NewEdCurve(api, tedwards.BN254)
	if err != nil {
		return err
	}
	if c.gnark {
		key := twistededwards.Point{X: c.KeyX, Y: c.KeyY}
		api.AssertIsEqual(c.Used, c.Used)
		h, err := hash2.New(api)
		if err != nil {
			return err
		}
		sig := gadget.Signature{R: twistededwards.Point{X: c.Sig.RX, Y: c.Sig.RY}, S: c.Sig.S}
		return gadget.Verify(curve, sig, c.Digest, gadget.PublicKey{A: key}, h)
	}
	h, err := newHasher(api)
	if err != nil {
		return err
	}
	api.AssertIsBoolean(c.Used)
	m := &Message{Used: c.Used, Digest: c.Digest, api: api, key: []frontend.Variable{c.KeyX, c.KeyY}}
	assertSignature(curve, h, m, c.Sig)
	return nil
}

// Our gadget, gnark's and the native check must say the same of every
// signature.
func TestSignatureGadgetAgrees(t *testing.T) {
	t.Parallel()
	compile := func(c *signatureCircuit) func(*signatureCircuit) bool {
		ccs, err := frontend.Compile(ecc.BN254.ScalarField(), r1cs.NewBuilder, c, frontend.IgnoreUnconstrainedInputs())
		require.NoError(t, err)
		return func(a *signatureCircuit) bool {
			w, err := frontend.NewWitness(a, ecc.BN254.ScalarField())
			require.NoError(t, err)
			_, err = ccs.Solve(w)
			return err == nil
		}
	}
	ours, gnarks := compile(&signatureCircuit{}), compile(&signatureCircuit{gnark: true})

	key, err := eddsa.GenerateKey(rand.Reader)
	require.NoError(t, err)
	other, err := eddsa.GenerateKey(rand.Reader)
	require.NoError(t, err)
	digest, one := fr.NewElement(42), fr.One()
	word := digest.Bytes()
	raw, err := key.Sign(word[:], poseidon2.NewMerkleDamgardHasher())
	require.NoError(t, err)
	var sig eddsa.Signature
	_, err = sig.SetBytes(raw)
	require.NoError(t, err)

	order := edbn254.GetEdwardsCurve().Order
	s := new(big.Int).SetBytes(sig.S[:])
	assign := func(change func(*signatureCircuit)) *signatureCircuit {
		a := &signatureCircuit{
			KeyX: key.PublicKey.A.X, KeyY: key.PublicKey.A.Y, Digest: digest, Used: 1,
			Sig: signature{RX: sig.R.X, RY: sig.R.Y, S: s},
		}
		change(a)
		return a
	}
	valid, err := key.PublicKey.Verify(raw, word[:], poseidon2.NewMerkleDamgardHasher())
	require.NoError(t, err)
	require.True(t, valid)

	for name, test := range map[string]struct {
		change func(*signatureCircuit)
		valid  bool
	}{
		"valid":         {func(*signatureCircuit) {}, true},
		"other digest":  {func(c *signatureCircuit) { c.Digest = *new(fr.Element).Add(&digest, &one) }, false},
		"other key":     {func(c *signatureCircuit) { c.KeyX, c.KeyY = other.PublicKey.A.X, other.PublicKey.A.Y }, false},
		"negative key":  {func(c *signatureCircuit) { c.KeyX = *new(fr.Element).Neg(&key.PublicKey.A.X) }, false},
		"other R":       {func(c *signatureCircuit) { c.Sig.RX, c.Sig.RY = other.PublicKey.A.X, other.PublicKey.A.Y }, false},
		"S plus one":    {func(c *signatureCircuit) { c.Sig.S = new(big.Int).Add(s, big.NewInt(1)) }, false},
		"S plus order":  {func(c *signatureCircuit) { c.Sig.S = new(big.Int).Add(s, &order) }, false},
		"S zero":        {func(c *signatureCircuit) { c.Sig.S = 0 }, false},
		"S above field": {func(c *signatureCircuit) { c.Sig.S = new(big.Int).Sub(fr.Modulus(), big.NewInt(1)) }, false},
		"identity R":    {func(c *signatureCircuit) { c.Sig.RX, c.Sig.RY = 0, 1 }, false},
	} {
		require.Equal(t, test.valid, ours(assign(test.change)), "%s: our gadget", name)
		require.Equal(t, test.valid, gnarks(assign(test.change)), "%s: gnark's gadget", name)
	}
	require.True(t, ours(assign(func(c *signatureCircuit) { c.Used, c.Sig.S = 0, 0 })), "not used")
	require.False(t, ours(assign(func(c *signatureCircuit) { c.Used, c.Sig.RX = 0, 5 })), "off the curve")
}

func TestMulMatchesNative(t *testing.T) {
	t.Parallel()
	ccs, err := frontend.Compile(ecc.BN254.ScalarField(), r1cs.NewBuilder, &mulCircuit{})
	require.NoError(t, err)
	base := edbn254.GetEdwardsCurve().Base
	var p edbn254.PointAffine
	p.ScalarMultiplication(&base, big.NewInt(977))
	order := edbn254.GetEdwardsCurve().Order
	last := new(big.Int).Sub(&order, big.NewInt(1))
	for _, s := range []*big.Int{big.NewInt(0), big.NewInt(1), big.NewInt(7), big.NewInt(8), big.NewInt(1 << 40), last} {
		var g, q edbn254.PointAffine
		g.ScalarMultiplication(&base, s)
		q.ScalarMultiplication(&p, s)
		w, err := frontend.NewWitness(&mulCircuit{
			S: s, PX: p.X, PY: p.Y, GX: g.X, GY: g.Y, QX: q.X, QY: q.Y,
		}, ecc.BN254.ScalarField())
		require.NoError(t, err)
		_, err = ccs.Solve(w)
		require.NoError(t, err, s)
	}
}

// mulCircuit says G = [S]base and Q = [S]P.
type mulCircuit struct {
	S, PX, PY, GX, GY, QX, QY frontend.Variable
}

func (c *mulCircuit) Define(api frontend.API) error {
	curve, err := twistededwards.NewEdCurve(api, tedwards.BN254)
	if err != nil {
		return err
	}
	bits := api.ToBinary(c.S, scalarBits)
	g := mulBase(curve, bits)
	q := mulPoint(curve, twistededwards.Point{X: c.PX, Y: c.PY}, bits)
	api.AssertIsEqual(g.X, c.GX)
	api.AssertIsEqual(g.Y, c.GY)
	api.AssertIsEqual(q.X, c.QX)
	api.AssertIsEqual(q.Y, c.QY)
	return nil
}
