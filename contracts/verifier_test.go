package contracts_test

import (
	"crypto/rand"
	"math/big"
	mathrand "math/rand/v2"
	"testing"

	"github.com/consensys/gnark-crypto/ecc"
	"github.com/consensys/gnark-crypto/ecc/bn254"
	"github.com/consensys/gnark-crypto/ecc/bn254/fp"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/consensys/gnark/backend/groth16"
	groth16bn254 "github.com/consensys/gnark/backend/groth16/bn254"
	"github.com/consensys/gnark/backend/witness"
	"github.com/consensys/gnark/frontend"
	"github.com/consensys/gnark/frontend/cs/r1cs"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/state"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/core/vm/runtime"
	"github.com/stretchr/testify/require"

	"github.com/gristmill-zk/gristmill/chain/bindings"
	"github.com/gristmill-zk/gristmill/internal/groth16vk"
)

// squares proves the knowledge of the squares of its public inputs.
type squares struct {
	Public []frontend.Variable `gnark:",public"`
	Known  []frontend.Variable
}

func (c *squares) Define(api frontend.API) error {
	for i := range c.Public {
		api.AssertIsEqual(api.Mul(c.Public[i], c.Public[i]), c.Known[i])
	}
	return nil
}

func shape(inputs int) *squares {
	return &squares{Public: make([]frontend.Variable, inputs), Known: make([]frontend.Variable, inputs)}
}

// bundle is one circuit with its keys, and the two contracts on an EVM of its own.
type bundle struct {
	t         *testing.T
	evm       *runtime.Config
	keysAt    common.Address
	verifyAt  common.Address
	keys      *bindings.VerifyingKeys
	verifier  *bindings.Groth16Verifier
	inputs    int
	verifying *groth16bn254.VerifyingKey
	key       []byte
	prove     func(witness.Witness) (groth16.Proof, error)
}

func setup(t *testing.T, inputs int) *bundle {
	t.Helper()
	system, err := frontend.Compile(ecc.BN254.ScalarField(), r1cs.NewBuilder, shape(inputs))
	require.NoError(t, err)
	pk, vk, err := groth16.Setup(system)
	require.NoError(t, err)
	key, err := groth16vk.EncodeVK(vk)
	require.NoError(t, err)
	db, err := state.New(types.EmptyRootHash, state.NewDatabaseForTesting())
	require.NoError(t, err)
	b := &bundle{
		t: t, evm: &runtime.Config{State: db, GasLimit: 50_000_000},
		keys: bindings.NewVerifyingKeys(), verifier: bindings.NewGroth16Verifier(),
		inputs: inputs, verifying: vk.(*groth16bn254.VerifyingKey), key: key,
		prove: func(w witness.Witness) (groth16.Proof, error) { return groth16.Prove(system, pk, w) },
	}
	b.keysAt = b.deploy(common.FromHex(bindings.VerifyingKeysMetaData.Bin))
	b.verifyAt = b.deploy(append(common.FromHex(bindings.Groth16VerifierMetaData.Bin), b.verifier.PackConstructor(b.keysAt)...))
	return b
}

func (b *bundle) deploy(code []byte) common.Address {
	b.t.Helper()
	_, at, _, err := runtime.Create(code, b.evm)
	require.NoError(b.t, err)
	return at
}

// register returns the key's id, or the contract's named error.
func (b *bundle) register(key []byte) (id [32]byte, refusal any) {
	b.t.Helper()
	out, _, err := runtime.Call(b.keysAt, b.keys.PackRegister(key), b.evm)
	if err != nil {
		refusal, err = b.keys.UnpackError(out)
		require.NoError(b.t, err, "a refusal without a name")
		return id, refusal
	}
	id, err = b.keys.UnpackRegister(out)
	require.NoError(b.t, err)
	return id, nil
}

// verify returns the contract's answer, or its named error.
func (b *bundle) verify(id [32]byte, proof [8]*big.Int, inputs []*big.Int) (ok bool, refusal any) {
	b.t.Helper()
	out, _, err := runtime.Call(b.verifyAt, b.verifier.PackVerify(id, proof[:], inputs), b.evm)
	if err != nil {
		refusal, err = b.verifier.UnpackError(out)
		require.NoError(b.t, err, "a refusal without a name")
		return false, refusal
	}
	ok, err = b.verifier.UnpackVerify(out)
	require.NoError(b.t, err)
	return ok, nil
}

// proven makes a proof for random inputs.
func (b *bundle) proven() (*groth16bn254.Proof, []fr.Element) {
	b.t.Helper()
	assignment, inputs := shape(b.inputs), make([]fr.Element, b.inputs)
	for i := range inputs {
		inputs[i].MustSetRandom()
		var square fr.Element
		assignment.Public[i], assignment.Known[i] = inputs[i], *square.Square(&inputs[i])
	}
	w, err := frontend.NewWitness(assignment, ecc.BN254.ScalarField())
	require.NoError(b.t, err)
	proof, err := b.prove(w)
	require.NoError(b.t, err)
	return proof.(*groth16bn254.Proof), inputs
}

// gnarkSays is what gnark answers for the same words; malformed points are no proof.
func (b *bundle) gnarkSays(words [8]*big.Int, inputs []fr.Element) bool {
	var e [8]fp.Element
	for i, word := range words {
		if word.Cmp(fp.Modulus()) >= 0 {
			return false
		}
		e[i].SetBigInt(word)
	}
	var p groth16bn254.Proof
	p.Ar.X, p.Ar.Y, p.Krs.X, p.Krs.Y = e[0], e[1], e[6], e[7]
	p.Bs.X.A1, p.Bs.X.A0, p.Bs.Y.A1, p.Bs.Y.A0 = e[2], e[3], e[4], e[5]
	if !p.Ar.IsOnCurve() || !p.Krs.IsOnCurve() || !p.Bs.IsOnCurve() || !p.Bs.IsInSubGroup() {
		return false
	}
	return groth16bn254.Verify(&p, b.verifying, fr.Vector(inputs)) == nil
}

func words(p *groth16bn254.Proof) (out [8]*big.Int) {
	for i, e := range []*fp.Element{
		&p.Ar.X, &p.Ar.Y, &p.Bs.X.A1, &p.Bs.X.A0, &p.Bs.Y.A1, &p.Bs.Y.A0, &p.Krs.X, &p.Krs.Y,
	} {
		out[i] = e.BigInt(new(big.Int))
	}
	return out
}

func integers(inputs []fr.Element) []*big.Int {
	out := make([]*big.Int, len(inputs))
	for i := range inputs {
		out[i] = inputs[i].BigInt(new(big.Int))
	}
	return out
}

func TestVerifierAgreesWithGnark(t *testing.T) {
	t.Parallel()
	for _, inputs := range []int{2, 3, 6, 40} {
		b := setup(t, inputs)
		id, refusal := b.register(b.key)
		require.Nil(t, refusal)
		require.Equal(t, [32]byte(groth16vk.ID(b.key)), id)
		first, firstInputs := b.proven()
		second, _ := b.proven()
		accepted := 0
		for name, damage := range damages(second) {
			p, in := *first, append([]fr.Element(nil), firstInputs...)
			w := damage(&p, in)
			ok, refusal := b.verify(id, w, integers(in))
			require.Nil(t, refusal, name)
			require.Equal(t, b.gnarkSays(w, in), ok, "%s, %d inputs", name, inputs)
			if ok {
				accepted++
			}
		}
		// The untouched one and its two re-randomisations.
		require.Equal(t, 3, accepted, "%d inputs", inputs)
	}
}

type damage = func(*groth16bn254.Proof, []fr.Element) [8]*big.Int

// damages are the ways in which a proof or its inputs may differ from a good one.
func damages(other *groth16bn254.Proof) map[string]damage {
	onPoints := func(change func(*groth16bn254.Proof)) damage {
		return func(p *groth16bn254.Proof, _ []fr.Element) [8]*big.Int {
			change(p)
			return words(p)
		}
	}
	all := map[string]damage{
		"untouched":      onPoints(func(*groth16bn254.Proof) {}),
		"A and B scaled": onPoints(func(p *groth16bn254.Proof) { scale(p, big.NewInt(7)) }),
		"A and B negated": onPoints(func(p *groth16bn254.Proof) {
			p.Ar.Neg(&p.Ar)
			p.Bs.Neg(&p.Bs)
		}),
		"A negated":         onPoints(func(p *groth16bn254.Proof) { p.Ar.Neg(&p.Ar) }),
		"C negated":         onPoints(func(p *groth16bn254.Proof) { p.Krs.Neg(&p.Krs) }),
		"B doubled":         onPoints(func(p *groth16bn254.Proof) { p.Bs.Add(&p.Bs, &p.Bs) }),
		"A of another":      onPoints(func(p *groth16bn254.Proof) { p.Ar = other.Ar }),
		"B of another":      onPoints(func(p *groth16bn254.Proof) { p.Bs = other.Bs }),
		"C of another":      onPoints(func(p *groth16bn254.Proof) { p.Krs = other.Krs }),
		"all of another":    onPoints(func(p *groth16bn254.Proof) { *p = *other }),
		"A at infinity":     onPoints(func(p *groth16bn254.Proof) { p.Ar.SetInfinity() }),
		"B at infinity":     onPoints(func(p *groth16bn254.Proof) { p.Bs.SetInfinity() }),
		"C at infinity":     onPoints(func(p *groth16bn254.Proof) { p.Krs.SetInfinity() }),
		"all at infinity":   onPoints(func(p *groth16bn254.Proof) { *p = groth16bn254.Proof{} }),
		"B off its group":   onPoints(func(p *groth16bn254.Proof) { p.Bs = outsideSubgroup() }),
		"A off the curve":   onPoints(func(p *groth16bn254.Proof) { p.Ar.X.SetOne() }),
		"C off the curve":   onPoints(func(p *groth16bn254.Proof) { p.Krs.Y.SetOne() }),
		"B off the twist":   onPoints(func(p *groth16bn254.Proof) { p.Bs.Y.A0.SetOne() }),
		"B parts exchanged": onPoints(func(p *groth16bn254.Proof) { p.Bs.X.A0, p.Bs.X.A1 = p.Bs.X.A1, p.Bs.X.A0 }),
		"an input changed": func(p *groth16bn254.Proof, in []fr.Element) [8]*big.Int {
			in[len(in)-1].SetUint64(1)
			return words(p)
		},
		"inputs exchanged": func(p *groth16bn254.Proof, in []fr.Element) [8]*big.Int {
			in[0], in[1] = in[1], in[0]
			return words(p)
		},
		"inputs zero": func(p *groth16bn254.Proof, in []fr.Element) [8]*big.Int {
			clear(in)
			return words(p)
		},
	}
	for i := range 8 {
		word := string(rune('0' + i))
		all["word not reduced "+word] = func(p *groth16bn254.Proof, _ []fr.Element) [8]*big.Int {
			w := words(p)
			w[i].Add(w[i], fp.Modulus())
			return w
		}
		all["word random "+word] = func(p *groth16bn254.Proof, _ []fr.Element) [8]*big.Int {
			w := words(p)
			w[i], _ = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 256))
			return w
		}
		all["word with a bit flipped "+word] = func(p *groth16bn254.Proof, _ []fr.Element) [8]*big.Int {
			w := words(p)
			bit := mathrand.IntN(254)
			w[i].SetBit(w[i], bit, 1-w[i].Bit(bit))
			return w
		}
	}
	return all
}

// scale gives another proof of the same: (k·A, B/k, C).
func scale(p *groth16bn254.Proof, k *big.Int) {
	p.Ar.ScalarMultiplication(&p.Ar, k)
	p.Bs.ScalarMultiplication(&p.Bs, new(big.Int).ModInverse(k, fr.Modulus()))
}

// outsideSubgroup finds a point of the twist of another order than r: nearly all are.
func outsideSubgroup() bn254.G2Affine {
	_, _, _, g := bn254.Generators()
	var b, right bn254.E2
	right.Square(&g.X).Mul(&right, &g.X)
	b.Square(&g.Y).Sub(&b, &right)
	for {
		var p bn254.G2Affine
		p.X.A0.MustSetRandom()
		right.Square(&p.X).Mul(&right, &p.X).Add(&right, &b)
		if right.Legendre() == 1 {
			p.Y.Sqrt(&right)
			return p
		}
	}
}

func TestVerifierRefusesInputsByName(t *testing.T) {
	t.Parallel()
	b := setup(t, 3)
	id, _ := b.register(b.key)
	proof, inputs := b.proven()
	good := integers(inputs)

	for i := range good {
		for _, tooLarge := range []*big.Int{
			fr.Modulus(), new(big.Int).Add(good[i], fr.Modulus()), new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 256), big.NewInt(1)),
		} {
			bad := append([]*big.Int(nil), good...)
			bad[i] = tooLarge
			_, refusal := b.verify(id, words(proof), bad)
			require.IsType(t, &bindings.Groth16VerifierInputNotInField{}, refusal)
			require.EqualValues(t, i, refusal.(*bindings.Groth16VerifierInputNotInField).Index.Int64())
		}
	}
	for _, count := range [][]*big.Int{nil, good[:2], append(append([]*big.Int(nil), good...), big.NewInt(0))} {
		_, refusal := b.verify(id, words(proof), count)
		require.IsType(t, &bindings.Groth16VerifierWrongInputCount{}, refusal)
	}
	_, refusal := b.verify([32]byte{1}, words(proof), good)
	require.IsType(t, &bindings.Groth16VerifierUnknownKey{}, refusal)

	ok, refusal := b.verify(id, words(proof), good)
	require.Nil(t, refusal)
	require.True(t, ok)
}

// TestRegistrationAgreesWithTheGoParser damages keys: the contract and groth16vk refuse the same.
func TestRegistrationAgreesWithTheGoParser(t *testing.T) {
	t.Parallel()
	b := setup(t, 3)
	const alpha, beta, gamma, delta, k = 7, 71, 199, 327, 455
	outside := outsideSubgroup()
	offGroup := outside.Marshal()
	for name, damage := range map[string]func([]byte) []byte{
		"short":             func(key []byte) []byte { return key[:len(key)-1] },
		"long":              func(key []byte) []byte { return append(key, 0) },
		"empty":             func([]byte) []byte { return nil },
		"other magic":       func(key []byte) []byte { key[0] = 'X'; return key },
		"a commitment":      func(key []byte) []byte { key[6] = 1; return key },
		"other input count": func(key []byte) []byte { key[5]++; return key },
		"alpha at infinity": func(key []byte) []byte { clear(key[alpha:beta]); return key },
		"beta at infinity":  func(key []byte) []byte { clear(key[beta:gamma]); return key },
		"gamma at infinity": func(key []byte) []byte { clear(key[gamma:delta]); return key },
		"delta at infinity": func(key []byte) []byte { clear(key[delta:k]); return key },
		"K[1] at infinity":  func(key []byte) []byte { clear(key[k+64 : k+128]); return key },
		"K[3] at infinity":  func(key []byte) []byte { clear(key[k+192:]); return key },
		"alpha off curve":   func(key []byte) []byte { key[alpha+63] ^= 1; return key },
		"beta off curve":    func(key []byte) []byte { key[beta+127] ^= 1; return key },
		"K[0] off curve":    func(key []byte) []byte { key[k] ^= 1; return key },
		"beta off group":    func(key []byte) []byte { copy(key[beta:], offGroup); return key },
		"gamma off group":   func(key []byte) []byte { copy(key[gamma:], offGroup); return key },
		"delta off group":   func(key []byte) []byte { copy(key[delta:], offGroup); return key },
		"K[0] not reduced":  func(key []byte) []byte { unreduced(key[k : k+32]); return key },
		"beta not reduced":  func(key []byte) []byte { unreduced(key[beta : beta+32]); return key },
		"delta is gamma":    func(key []byte) []byte { copy(key[delta:k], key[gamma:delta]); return key },
		"delta is -gamma": func(key []byte) []byte {
			copy(key[delta:k], key[gamma:delta])
			for at := delta + 64; at < k; at += 32 {
				y := new(big.Int).SetBytes(key[at : at+32])
				y.Sub(fp.Modulus(), y).Mod(y, fp.Modulus()).FillBytes(key[at : at+32])
			}
			return key
		},
		"one input":         func(key []byte) []byte { return resized(key, 1) },
		"no input":          func(key []byte) []byte { return resized(key, 0) },
		"303 inputs":        func(key []byte) []byte { return resized(key, 303) },
		"alpha not reduced": func(key []byte) []byte { unreduced(key[alpha : alpha+32]); return key },
	} {
		key := damage(append([]byte(nil), b.key...))
		_, refusal := b.register(key)
		require.NotNil(t, refusal, name)
		_, err := groth16vk.ParseVK(key)
		require.Error(t, err, name)
	}
	// What both take: the fewest and the most inputs, and any K[0] of the curve.
	for name, key := range map[string][]byte{
		"2 inputs": resized(b.key, 2), "302 inputs": resized(b.key, 302),
		"K[0] at infinity": append(append(append([]byte(nil), b.key[:k]...), make([]byte, 64)...), b.key[k+64:]...),
	} {
		_, refusal := b.register(key)
		require.Nil(t, refusal, name)
		_, err := groth16vk.ParseVK(key)
		require.NoError(t, err, name)
	}
	// Whatever the parser refuses at random, the contract refuses too.
	for range 200 {
		key := append([]byte(nil), b.key...)
		key[mathrand.IntN(len(key))] ^= byte(1 + mathrand.IntN(255))
		_, parseErr := groth16vk.ParseVK(key)
		_, refusal := b.register(key)
		require.Equal(t, parseErr == nil, refusal == nil, "%x", key)
	}
}

// unreduced makes a coordinate another form of itself, at or above the modulus.
func unreduced(word []byte) {
	x := new(big.Int).SetBytes(word)
	x.Add(x, fp.Modulus()).FillBytes(word)
}

// resized is the key with another number of inputs, the last repeated.
func resized(key []byte, inputs int) []byte {
	const k, size = 455, 64
	out := append([]byte(nil), key[:k+size]...)
	out[4], out[5] = byte(inputs>>8), byte(inputs)
	for range inputs {
		out = append(out, key[len(key)-size:]...)
	}
	return out
}
