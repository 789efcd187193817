// Package sdktest checks a team's circuit: that it accepts good tasks, and that
// it accepts nothing else.
//
// [New] compiles the circuit once. [Circuit.Task] signs payloads as devices
// would; [Circuit.Check] solves a body through Assign and the circuit;
// [Circuit.Probe] changes every single input of a good witness and fails the
// test for each one the circuit does not notice, unless it is named as free.
package sdktest

import (
	"crypto/sha256"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/consensys/gnark-crypto/ecc"
	"github.com/consensys/gnark-crypto/ecc/bn254"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/consensys/gnark/backend/witness"
	cs "github.com/consensys/gnark/constraint/bn254"
	"github.com/stretchr/testify/require"

	"github.com/gristmill-zk/gristmill/internal/bsb22"
	"github.com/gristmill-zk/gristmill/plugins/sdk"
	"github.com/gristmill-zk/gristmill/wire"
)

// Deployment is where the test tasks live.
var Deployment = wire.Deployment{ChainID: 31337, Registry: wire.Address{0: 0x47, 19: 0x52}}

// Circuit is a compiled project.
type Circuit struct {
	Project     *sdk.Project
	Description *sdk.Description

	mu         sync.Mutex // gnark's solver keeps state in the system
	system     *cs.R1CS
	commitment *bsb22.Commitment // nil if the circuit makes none
}

// New compiles a project.
func New(t testing.TB, p *sdk.Project) *Circuit {
	t.Helper()
	system, d, err := sdk.Compile(p)
	require.NoError(t, err)
	commitment, err := bsb22.Of(system)
	require.NoError(t, err)
	return &Circuit{Project: p, Description: d, system: system, commitment: commitment}
}

// Signer is test device i.
func Signer(t testing.TB, i int) wire.Signer {
	t.Helper()
	seed := wire.SHA256([]byte("gristmill test device"), []byte{byte(i >> 8), byte(i)})
	s, err := wire.NewSigner(wire.SchemeEdDSABN254, seed[:])
	require.NoError(t, err)
	return s
}

// Task signs each payload with a device of its own.
func (c *Circuit) Task(t testing.TB, payloads ...[]byte) *wire.Body {
	t.Helper()
	body := &wire.Body{Project: 3, Version: 1}
	for i, payload := range payloads {
		body.Messages = append(body.Messages, c.Message(t, i, uint64(10+i), payload))
	}
	return body
}

// Message signs one payload with test device i.
func (c *Circuit) Message(t testing.TB, i int, nonce uint64, payload []byte) wire.Message {
	t.Helper()
	m := wire.Message{Project: 3, Nonce: nonce, Time: 1_700_000_000_000 + nonce, Payload: payload}
	require.NoError(t, Signer(t, i).Sign(Deployment, uint32(c.Project.PayloadLimit), &m))
	return m
}

// Witness assigns a body.
func (c *Circuit) Witness(body *wire.Body) (*sdk.Witness, error) {
	return sdk.NewWitness(c.Project, Deployment, body, wire.Hash{31: 9}, wire.Address{19: 9})
}

// Check solves a body. Nil means that it could be proven.
func (c *Circuit) Check(body *wire.Body) error {
	w, err := c.Witness(body)
	if err != nil {
		return err
	}
	return c.Solve(w)
}

// Solve says whether a witness satisfies the circuit. A circuit that uses a
// gnark commitment gets its challenge from a point that follows from the
// committed values; no key is needed.
func (c *Circuit) Solve(w *sdk.Witness) error {
	full, err := witness.New(ecc.BN254.ScalarField())
	if err != nil {
		return err
	}
	values := make(chan any, len(w.Values))
	for i := range w.Values {
		values <- w.Values[i]
	}
	close(values)
	if err := full.Fill(w.Public, len(w.Values)-w.Public, values); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	_, err = c.system.Solve(full, bsb22.Hint(c.commitment, commit))
	return err
}

// commit stands in for the commitment under a proving key: other values give
// another point, and no values can be found for a point.
func commit(values fr.Vector) (point bn254.G1Affine, err error) {
	h := sha256.New()
	if _, err := values.WriteTo(h); err != nil {
		return point, err
	}
	return bn254.HashToG1(h.Sum(nil), []byte("gristmill sdktest"))
}

// Set replaces the value of one input, named as in Names.
func Set(t testing.TB, w *sdk.Witness, name string, value any) {
	t.Helper()
	for i := range w.Names {
		if w.Names[i] == name {
			_, err := w.Values[i].SetInterface(value)
			require.NoError(t, err)
			return
		}
	}
	require.Failf(t, "no such input", "%q is none of %s", name, strings.Join(w.Names, " "))
}

// Probe changes each input of a good body's witness, once by one and once to a
// random element, and expects the circuit to refuse it. Binding is free in every
// circuit: any prover may prove. Other deliberate freedoms are named.
func (c *Circuit) Probe(t *testing.T, body *wire.Body, free ...string) {
	t.Helper()
	good, err := c.Witness(body)
	require.NoError(t, err)
	require.NoError(t, c.Solve(good))
	isFree := map[string]bool{"Binding": true}
	for _, name := range free {
		isFree[name] = true
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for i, name := range good.Names {
		accepted := 0
		for _, change := range []fr.Element{fr.One(), fr.NewElement(rng.Uint64())} {
			bad := *good
			bad.Values = append(fr.Vector{}, good.Values...)
			bad.Values[i].Add(&bad.Values[i], &change)
			if c.Solve(&bad) == nil {
				accepted++
			}
		}
		switch {
		case accepted > 0 && !isFree[name]:
			t.Errorf("the circuit does not notice a change of %s", name)
		case accepted == 0 && isFree[name]:
			t.Errorf("%s is named as free but the circuit constrains it", name)
		}
	}
}
