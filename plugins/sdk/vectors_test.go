package sdk

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/consensys/gnark-crypto/ecc"
	"github.com/consensys/gnark-crypto/ecc/bn254/twistededwards/eddsa"
	tedwards "github.com/consensys/gnark-crypto/ecc/twistededwards"
	"github.com/consensys/gnark/frontend"
	"github.com/consensys/gnark/frontend/cs/r1cs"
	"github.com/consensys/gnark/std/algebra/native/twistededwards"
	"github.com/consensys/gnark/test"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/stretchr/testify/require"

	"github.com/gristmill-zk/gristmill/wire"
)

// The golden vectors that Go, Solidity and JavaScript read, in the circuit.

func goldenCases[T any](t *testing.T, name string) []T {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("..", "..", "wire", "testdata", name))
	require.NoError(t, err)
	var file struct{ Cases []T }
	require.NoError(t, json.Unmarshal(raw, &file))
	require.NotEmpty(t, file.Cases)
	return file.Cases
}

// solved says whether an assignment satisfies a circuit of its shape.
func solved(shape, assignment frontend.Circuit) error {
	return test.IsSolved(shape, assignment, ecc.BN254.ScalarField())
}

type p2Circuit struct {
	Inputs []frontend.Variable
	Hash   frontend.Variable `gnark:",public"`
	// Prefix of the inputs is hashed once for others to go on from.
	prefix int
}

func (c *p2Circuit) Define(api frontend.API) error {
	h, err := newHasher(api)
	if err != nil {
		return err
	}
	api.AssertIsEqual(c.Hash, h.sum(c.Inputs...))
	api.AssertIsEqual(c.Hash, h.resume(h.start(c.Inputs[:c.prefix]...), c.Inputs[c.prefix:]...))
	return nil
}

func TestPoseidonVectorsInCircuit(t *testing.T) {
	t.Parallel()
	type vector struct {
		Name   string
		Inputs []string
		Hash   string
	}
	for _, v := range goldenCases[vector](t, "poseidon2.json") {
		for prefix := range len(v.Inputs) + 1 {
			shape := &p2Circuit{Inputs: make([]frontend.Variable, len(v.Inputs)), prefix: prefix}
			good := &p2Circuit{Inputs: variables(v.Inputs), Hash: v.Hash, prefix: prefix}
			require.NoError(t, solved(shape, good), v.Name)
			good.Hash = 0
			if len(v.Inputs) > 0 {
				require.Error(t, solved(shape, good), v.Name)
			}
		}
	}
}

func variables(texts []string) []frontend.Variable {
	out := make([]frontend.Variable, len(texts))
	for i := range texts {
		out[i] = texts[i]
	}
	return out
}

// messageCircuit is what the platform does with one slot: digest and signature.
type messageCircuit struct {
	Digest, Device frontend.Variable `gnark:",public"`
	Deployment     frontend.Variable
	Project        frontend.Variable
	Slot           slot
	Signature      signature
	payloadLimit   int
}

func (c *messageCircuit) Define(api frontend.API) error {
	curve, err := twistededwards.NewEdCurve(api, tedwards.BN254)
	if err != nil {
		return err
	}
	h, err := newHasher(api)
	if err != nil {
		return err
	}
	p := &platform{Slots: []slot{c.Slot}, shape: shape{batch: 1, payloadLimit: c.payloadLimit}}
	m := p.message(api, curve, h, h.start(wire.TagMessage(), c.Deployment, c.Project), 0)
	api.AssertIsEqual(c.Digest, m.Digest)
	api.AssertIsEqual(c.Device, m.DeviceID)
	return assertSignature(curve, h, m, c.Signature)
}

func TestMessageVectorsInCircuit(t *testing.T) {
	t.Parallel()
	type vector struct {
		Name         string
		ChainID      uint64 `json:"chainId,string"`
		Registry     wire.Address
		Scheme       string
		DeviceID     string
		PayloadLimit uint32 `json:"payloadLimit,string"`
		Digest       string
		Encoding     hexutil.Bytes
	}
	checked := 0
	for _, v := range goldenCases[vector](t, "message.json") {
		if v.Scheme != wire.SchemeEdDSABN254.String() {
			continue
		}
		checked++
		var m wire.Message
		require.NoError(t, m.UnmarshalBinary(v.Encoding), v.Name)
		d := wire.Deployment{ChainID: v.ChainID, Registry: v.Registry}
		filled := platform{Slots: make([]slot, 1), Signatures: make([]signature, 1), shape: shape{batch: 1, payloadLimit: int(v.PayloadLimit)}}
		filled.Slots[0].Chunks = make([]frontend.Variable, filled.shape.chunks())
		require.NoError(t, filled.assignMessage(0, &m), v.Name)
		assign := func(change func(*messageCircuit)) *messageCircuit {
			s := filled.Slots[0]
			s.Chunks = append([]frontend.Variable(nil), s.Chunks...)
			c := &messageCircuit{
				Digest: v.Digest, Device: v.DeviceID, Deployment: d.ID(), Project: m.Project,
				Slot: s, Signature: filled.Signatures[0], payloadLimit: int(v.PayloadLimit),
			}
			change(c)
			return c
		}
		form := &messageCircuit{Slot: slot{Chunks: make([]frontend.Variable, filled.shape.chunks())}, payloadLimit: int(v.PayloadLimit)}
		ccs, err := frontend.Compile(ecc.BN254.ScalarField(), r1cs.NewBuilder, form)
		require.NoError(t, err)
		solves := func(c *messageCircuit) error {
			w, err := frontend.NewWitness(c, ecc.BN254.ScalarField())
			require.NoError(t, err)
			_, err = ccs.Solve(w)
			return err
		}
		require.NoError(t, solves(assign(func(*messageCircuit) {})), v.Name)
		var sig eddsa.Signature
		_, err = sig.SetBytes(m.Signature)
		require.NoError(t, err)
		for name, change := range map[string]func(*messageCircuit){
			"digest":    func(c *messageCircuit) { c.Digest = 1 },
			"device":    func(c *messageCircuit) { c.Device = 1 },
			"nonce":     func(c *messageCircuit) { c.Slot.Nonce = m.Nonce ^ 1 },
			"length":    func(c *messageCircuit) { c.Slot.PayloadBytes = (len(m.Payload) + 1) % (int(v.PayloadLimit) + 1) },
			"payload":   func(c *messageCircuit) { c.Slot.Chunks[0] = 77 },
			"signature": func(c *messageCircuit) { c.Signature.RX, c.Signature.RY = 0, 1 },
		} {
			require.Error(t, solves(assign(change)), "%s: another %s", v.Name, name)
		}
	}
	require.GreaterOrEqual(t, checked, 5)
}

// vectorCircuit has a team's part that asserts nothing.
type vectorCircuit struct {
	Count frontend.Variable `gnark:",public"`
}

func (c *vectorCircuit) Define(api frontend.API, m *Messages) error {
	api.AssertIsEqual(c.Count, m.Count)
	return nil
}

func TestBodyVectorsInCircuit(t *testing.T) {
	t.Parallel()
	type vector struct {
		ChainID        uint64 `json:"chainId,string"`
		Registry       wire.Address
		BatchSize      int `json:"batchSize,string"`
		PayloadLimit   int `json:"payloadLimit,string"`
		Encoding       hexutil.Bytes
		DataCommitment wire.Hash
	}
	checked, partial := 0, 0
	for _, v := range goldenCases[vector](t, "body.json") {
		var body wire.Body
		require.NoError(t, body.UnmarshalBinary(v.Encoding))
		if !allEdDSA(&body) {
			continue
		}
		checked++
		if len(body.Messages) > 1 && len(body.Messages) < v.BatchSize {
			partial++
		}
		p := &Project{
			Name: "vectors", Version: "1", BatchSize: v.BatchSize, PayloadLimit: v.PayloadLimit,
			New:    func(int) Circuit { return new(vectorCircuit) },
			Assign: func(t Task) (Circuit, error) { return &vectorCircuit{Count: len(t.Messages)}, nil },
		}
		commitment, err := v.DataCommitment.Element()
		require.NoError(t, err)
		j := &job{deployment: wire.Deployment{ChainID: v.ChainID, Registry: v.Registry}, body: body, commitment: commitment}
		good, err := p.assign(j)
		require.NoError(t, err)
		require.NoError(t, solved(newPlatform(p, p.New(p.BatchSize)), good))
		j.commitment.SetUint64(1)
		bad, err := p.assign(j)
		require.NoError(t, err)
		require.Error(t, solved(newPlatform(p, p.New(p.BatchSize)), bad))
	}
	require.GreaterOrEqual(t, checked, 3)
	require.Positive(t, partial, "a batch of several messages with empty slots")
}

func allEdDSA(b *wire.Body) bool {
	for i := range b.Messages {
		if b.Messages[i].Key.Scheme != wire.SchemeEdDSABN254 {
			return false
		}
	}
	return true
}
