package sdk

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/consensys/gnark-crypto/ecc"
	"github.com/consensys/gnark/frontend"
	"github.com/consensys/gnark/frontend/cs/r1cs"
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
	platform
}

func (c *messageCircuit) Define(api frontend.API) error {
	h, err := newHasher(api)
	if err != nil {
		return err
	}
	v, err := c.verifier(api, h, api.ToBinary(c.ProjectID, 64))
	if err != nil {
		return err
	}
	m := c.message(api, 0)
	m.hash(h, c.shape.scheme, h.start(wire.TagMessage(), c.DeploymentID, c.ProjectID))
	api.AssertIsEqual(c.Digest, m.Digest)
	api.AssertIsEqual(c.Device, m.DeviceID)
	return v.verify(m, 0)
}

// messageVector is one of wire/testdata/message.json.
type messageVector struct {
	Name         string
	ChainID      uint64 `json:"chainId,string"`
	Registry     wire.Address
	Scheme       string
	DeviceID     string
	PayloadLimit uint32 `json:"payloadLimit,string"`
	Digest       string
	Encoding     hexutil.Bytes
}

func (v *messageVector) deployment() wire.Deployment {
	return wire.Deployment{ChainID: v.ChainID, Registry: v.Registry}
}

// assign makes the circuit's assignment of one message, changed.
func (v *messageVector) assign(t *testing.T, form *messageCircuit, change func(*messageCircuit, *wire.Message)) *messageCircuit {
	t.Helper()
	var m wire.Message
	require.NoError(t, m.UnmarshalBinary(v.Encoding), v.Name)
	c := newMessageCircuit(form.shape)
	c.Digest, c.Device = v.Digest, v.DeviceID
	c.Binding, c.DataCommitment, c.DeploymentID, c.ProjectID, c.Count = 0, 0, v.deployment().ID(), m.Project, 1
	require.NoError(t, c.assignMessage(0, &m), v.Name)
	change(c, &m)
	return c
}

func newMessageCircuit(s shape) *messageCircuit {
	p := newPlatform(&Project{BatchSize: 1, PayloadLimit: s.payloadLimit, DeviceScheme: s.scheme}, &vectorCircuit{Count: 1})
	return &messageCircuit{platform: *p}
}

func TestMessageVectorsInCircuit(t *testing.T) {
	t.Parallel()
	checked := 0
	for _, v := range goldenCases[messageVector](t, "message.json") {
		if v.Scheme != wire.SchemeEdDSABN254.String() {
			continue
		}
		checked++
		form := newMessageCircuit(shape{payloadLimit: int(v.PayloadLimit), scheme: wire.SchemeEdDSABN254})
		ccs, err := frontend.Compile(ecc.BN254.ScalarField(), r1cs.NewBuilder, form, frontend.IgnoreUnconstrainedInputs())
		require.NoError(t, err)
		solves := func(change func(*messageCircuit, *wire.Message)) error {
			w, err := frontend.NewWitness(v.assign(t, form, change), ecc.BN254.ScalarField())
			require.NoError(t, err)
			_, err = ccs.Solve(w)
			return err
		}
		require.NoError(t, solves(func(*messageCircuit, *wire.Message) {}), v.Name)
		for name, change := range map[string]func(*messageCircuit, *wire.Message){
			"digest": func(c *messageCircuit, _ *wire.Message) { c.Digest = 1 },
			"device": func(c *messageCircuit, _ *wire.Message) { c.Device = 1 },
			"nonce":  func(c *messageCircuit, m *wire.Message) { c.Slots[0].Nonce = m.Nonce ^ 1 },
			"length": func(c *messageCircuit, m *wire.Message) {
				c.Slots[0].PayloadBytes = (len(m.Payload) + 1) % (int(v.PayloadLimit) + 1)
			},
			"payload":   func(c *messageCircuit, _ *wire.Message) { c.Slots[0].Chunks[0] = 77 },
			"signature": func(c *messageCircuit, _ *wire.Message) { c.Signatures[0].RX, c.Signatures[0].RY = 0, 1 },
		} {
			require.Error(t, solves(change), "%s: another %s", v.Name, name)
		}
	}
	require.GreaterOrEqual(t, checked, 5)
}

// Where the payload is as long as its limit the circuit knows the digest of a
// p256 device's message, too.
func TestP256VectorInCircuit(t *testing.T) {
	t.Parallel()
	checked := 0
	for _, v := range goldenCases[messageVector](t, "message.json") {
		var m wire.Message
		require.NoError(t, m.UnmarshalBinary(v.Encoding), v.Name)
		if v.Scheme != wire.SchemeP256.String() || len(m.Payload) != int(v.PayloadLimit) {
			continue
		}
		checked++
		form := newMessageCircuit(shape{payloadLimit: len(m.Payload), scheme: wire.SchemeP256})
		require.NoError(t, solved(form, v.assign(t, form, func(*messageCircuit, *wire.Message) {})), v.Name)
		require.Error(t, solved(form, v.assign(t, form, func(c *messageCircuit, _ *wire.Message) { c.Digest = 1 })), v.Name)
	}
	require.Equal(t, 1, checked)
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
