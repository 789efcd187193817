package sdktest

import (
	"crypto/sha256"
	"fmt"
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

// Signer is the eddsa-bn254 test device i.
func Signer(t testing.TB, i int) wire.Signer {
	t.Helper()
	return signer(t, wire.SchemeEdDSABN254, i)
}

// Signer is test device i of the project's scheme.
func (c *Circuit) Signer(t testing.TB, i int) wire.Signer {
	t.Helper()
	scheme, err := wire.ParseScheme(c.Description.DeviceScheme)
	require.NoError(t, err)
	return signer(t, scheme, i)
}

func signer(t testing.TB, scheme wire.Scheme, i int) wire.Signer {
	t.Helper()
	seed := wire.SHA256([]byte("gristmill test device"), []byte{byte(i >> 8), byte(i)})
	s, err := wire.NewSigner(scheme, seed[:])
	require.NoError(t, err)
	return s
}

// Task signs each payload with a device of its own.
func (c *Circuit) Task(t testing.TB, payloads ...[]byte) *wire.Body {
	t.Helper()
	var messages []wire.Message
	for i, payload := range payloads {
		messages = append(messages, c.Message(t, i, uint64(10+i), payload))
	}
	return Body(messages...)
}

// Body is a task of messages.
func Body(messages ...wire.Message) *wire.Body {
	return &wire.Body{Project: 3, Version: 1, Messages: messages}
}

// Message signs one payload with test device i. Its time is nonce milliseconds
// after some moment in 2023.
func (c *Circuit) Message(t testing.TB, i int, nonce uint64, payload []byte) wire.Message {
	t.Helper()
	return c.MessageAt(t, i, nonce, 1_700_000_000_000+nonce, payload)
}

// MessageAt signs one payload with test device i at a time in Unix milliseconds.
func (c *Circuit) MessageAt(t testing.TB, i int, nonce, time uint64, payload []byte) wire.Message {
	t.Helper()
	m := wire.Message{Project: 3, Nonce: nonce, Time: time, Payload: payload}
	require.NoError(t, c.Signer(t, i).Sign(Deployment, uint32(c.Project.PayloadLimit), &m))
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
	_, err := c.solution(w)
	return err
}

// solution are all wires that follow from a witness.
func (c *Circuit) solution(w *sdk.Witness) (fr.Vector, error) {
	full, err := witness.New(ecc.BN254.ScalarField())
	if err != nil {
		return nil, err
	}
	values := make(chan any, len(w.Values))
	for i := range w.Values {
		values <- w.Values[i]
	}
	close(values)
	if err := full.Fill(w.Public, len(w.Values)-w.Public, values); err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	solved, err := c.system.Solve(full, bsb22.Hint(c.commitment, commit))
	if err != nil {
		return nil, err
	}
	solution, ok := solved.(*cs.R1CSSolution)
	if !ok {
		return nil, fmt.Errorf("the solver returned a %T", solved)
	}
	return solution.W, nil
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

// Outputs solves a body and returns the outputs that Assign claims for it.
func (c *Circuit) Outputs(body *wire.Body) (fr.Vector, error) {
	w, err := c.Witness(body)
	if err != nil {
		return nil, err
	}
	return w.Values[platformInputs:w.Public], c.Solve(w)
}

// platformInputs are the public inputs before the outputs.
const platformInputs = 2
