package wire_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"flag"
	"math/big"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/stretchr/testify/require"

	"github.com/gristmill-zk/gristmill/wire"
)

var update = flag.Bool("update", false, "write testdata/*.json from the code")

// Golden files are {"cases": [flat objects]}. Byte strings are 0x hex,
// integers decimal strings, bit patterns 0x hex: forms that Go, JavaScript and
// Foundry's parseJson all read without losing a digit.
func golden[T any](t *testing.T, name string, cases []T) {
	t.Helper()
	want, err := json.MarshalIndent(struct {
		Cases []T `json:"cases"`
	}{cases}, "", "  ")
	require.NoError(t, err)
	want = append(want, '\n')
	file := filepath.Join("testdata", name)
	if *update {
		require.NoError(t, os.WriteFile(file, want, 0o644))
	}
	got, err := os.ReadFile(file)
	require.NoError(t, err)
	if !bytes.Equal(want, got) {
		t.Fatalf("%s does not hold what the code gives; a changed byte here is a changed protocol.\n"+
			"If that is meant: go test ./wire -run TestVectors -update, and say why in docs/protocol.md", file)
	}
}

func hexOf(b []byte) string { return "0x" + hex.EncodeToString(b) }

func dec[T uint8 | uint16 | uint32 | uint64 | int | int64](v T) string {
	if v < 0 {
		return strconv.FormatInt(int64(v), 10)
	}
	return strconv.FormatUint(uint64(v), 10)
}

func bits(v uint32) string { return hexOf([]byte{byte(v >> 24), byte(v >> 16), byte(v >> 8), byte(v)}) }

func element(e fr.Element) string { return wire.ElementHash(e).String() }

// must is for fixtures whose failure is a bug in the fixture.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func pattern(n int, seed byte) []byte {
	out := make([]byte, n)
	for i := range out {
		out[i] = seed + byte(i*7)
	}
	return out
}

// filled has every byte set to b; as a secret it is one of every scheme.
func filled(b byte) (h wire.Hash) {
	for i := range h {
		h[i] = b
	}
	return h
}

func account(b byte) (a wire.Address) {
	for i := range a {
		a[i] = b + byte(i)
	}
	return a
}

var (
	devnet  = wire.Deployment{ChainID: 31337, Registry: must(wire.ParseAddress("0x5FbDB2315678afecb367f032d93F642f64180aa3"))}
	mainnet = wire.Deployment{ChainID: 1, Registry: account(0x40)}
	widest  = wire.Deployment{ChainID: 1<<64 - 1, Registry: wire.Address(bytes.Repeat([]byte{0xff}, 20))}
)

func TestVectorsDeployment(t *testing.T) {
	t.Parallel()
	type vector struct {
		ChainID         string `json:"chainId"`
		Registry        string `json:"registry"`
		DeploymentID    string `json:"deploymentId"`
		GenesisHash     string `json:"genesisHash"`
		DomainSeparator string `json:"domainSeparator"`
	}
	var cases []vector
	for _, d := range []wire.Deployment{devnet, mainnet, widest} {
		cases = append(cases, vector{
			dec(d.ChainID), d.Registry.String(), d.IDBytes().String(),
			wire.GenesisHash(d).String(), d.DomainSeparator().String(),
		})
	}
	golden(t, "deployment.json", cases)
}

func TestVectorsPoseidon(t *testing.T) {
	t.Parallel()
	type vector struct {
		Name   string   `json:"name"`
		Inputs []string `json:"inputs"`
		Hash   string   `json:"hash"`
	}
	one, minusOne := fr.NewElement(1), fr.NewElement(0)
	minusOne.SetInt64(-1)
	inputs := map[string][]fr.Element{
		"0 none": nil, "1 zero": {fr.NewElement(0)}, "2 one": {one}, "3 largest": {minusOne},
		"4 three":    {one, fr.NewElement(2), fr.NewElement(3)},
		"5 zeros":    make([]fr.Element, 4),
		"6 tags":     {wire.TagMessage(), wire.TagTask()},
		"7 31 bytes": wire.Chunks(pattern(31, 1)), "8 32 bytes": wire.Chunks(pattern(32, 1)), "9 100 bytes": wire.Chunks(pattern(100, 9)),
	}
	var cases []vector
	for _, name := range sorted(inputs) {
		v := vector{Name: name[2:], Inputs: []string{}, Hash: element(wire.P2(inputs[name]...))}
		for _, e := range inputs[name] {
			v.Inputs = append(v.Inputs, element(e))
		}
		cases = append(cases, v)
	}
	golden(t, "poseidon2.json", cases)
}

// messageVector is one signed message with everything on the way to its id.
type messageVector struct {
	Name         string   `json:"name"`
	ChainID      string   `json:"chainId"`
	Registry     string   `json:"registry"`
	Scheme       string   `json:"scheme"`
	SchemeNumber string   `json:"schemeNumber"`
	Secret       string   `json:"secret"`
	Key          string   `json:"key"`
	KeyElements  []string `json:"keyElements"`
	DeviceID     string   `json:"deviceId"`
	Project      string   `json:"project"`
	Nonce        string   `json:"nonce"`
	Time         string   `json:"time"`
	Payload      string   `json:"payload"`
	PayloadLimit string   `json:"payloadLimit"`
	Digest       string   `json:"digest"`
	SigningHash  string   `json:"signingHash"`
	Signature    string   `json:"signature"`
	Encoding     string   `json:"encoding"`
	ID           string   `json:"id"`
}

type messageCase struct {
	name       string
	deployment wire.Deployment
	secret     wire.Hash
	message    wire.Message
	limit      uint32
}

func messageCases() []messageCase {
	random := filled(0x5a)
	copy(random[:], pattern(32, 0x11))
	return []messageCase{
		{"meter reading", devnet, filled(1), wire.Message{Project: 1, Nonce: 1, Time: 1700000000000, Payload: pattern(16, 0)}, 32},
		{"empty payload", devnet, filled(2), wire.Message{Project: 1, Nonce: 2, Time: 1700000000001}, 32},
		{"full payload", devnet, filled(3), wire.Message{Project: 7, Nonce: 1 << 40, Time: 1800000000000, Payload: pattern(62, 0xf0)}, 62},
		{"zero tail", devnet, filled(4), wire.Message{Project: 7, Nonce: 3, Time: 5, Payload: make([]byte, 40)}, 64},
		{"largest numbers", widest, random, wire.Message{Project: 1<<64 - 1, Nonce: 1<<64 - 1, Time: 1<<64 - 1, Payload: pattern(32, 0xff)}, 100},
		{"other chain", mainnet, filled(1), wire.Message{Project: 1, Nonce: 1, Time: 1700000000000, Payload: pattern(16, 0)}, 32},
	}
}

func TestVectorsMessage(t *testing.T) {
	t.Parallel()
	var cases []messageVector
	for _, c := range messageCases() {
		for _, scheme := range wire.Schemes() {
			cases = append(cases, vectorOfMessage(t, c, scheme))
		}
	}
	golden(t, "message.json", cases)
}

func vectorOfMessage(t *testing.T, c messageCase, scheme wire.Scheme) messageVector {
	signer := must(wire.NewSigner(scheme, c.secret[:]))
	m := c.message
	require.NoError(t, signer.Sign(c.deployment, c.limit, &m))
	require.NoError(t, m.Verify(c.deployment, c.limit))
	encoding := must(m.MarshalBinary())
	return messageVector{
		Name: c.name, ChainID: dec(c.deployment.ChainID), Registry: c.deployment.Registry.String(),
		Scheme: scheme.String(), SchemeNumber: dec(uint8(scheme)), Secret: c.secret.String(),
		Key: hexOf(m.Key.Bytes), KeyElements: elements(must(m.Key.Elements())), DeviceID: must(m.Key.ID()).String(),
		Project: dec(m.Project), Nonce: dec(m.Nonce), Time: dec(m.Time),
		Payload: hexOf(m.Payload), PayloadLimit: dec(c.limit),
		Digest:      element(must(m.Digest(c.deployment, c.limit))),
		SigningHash: must(m.SigningHash(c.deployment, c.limit)).String(),
		Signature:   hexOf(m.Signature), Encoding: hexOf(encoding), ID: must(m.ID()).String(),
	}
}

func elements(in []fr.Element) []string {
	out := make([]string, len(in))
	for i := range in {
		out[i] = element(in[i])
	}
	return out
}

// signed makes a valid message of a project.
func signed(scheme wire.Scheme, secret byte, project, nonce uint64, payload []byte, limit uint32) wire.Message {
	key := filled(secret)
	signer := must(wire.NewSigner(scheme, key[:]))
	m := wire.Message{Project: project, Nonce: nonce, Time: 1700000000000 + nonce, Payload: payload}
	if err := signer.Sign(devnet, limit, &m); err != nil {
		panic(err)
	}
	return m
}

// fixtureBody has count messages of mixed schemes.
func fixtureBody(project uint64, count int) wire.Body {
	return schemeBody(project, count, wire.Schemes())
}

// schemeBody has count messages of the schemes, in turn.
func schemeBody(project uint64, count int, schemes []wire.Scheme) wire.Body {
	body := wire.Body{Project: project, Version: 3}
	for i := range count {
		scheme := schemes[i%len(schemes)]
		body.Messages = append(body.Messages, signed(scheme, byte(i+1), project, uint64(i+1), pattern(8+i, byte(i)), 32))
	}
	return body
}

func TestVectorsBody(t *testing.T) {
	t.Parallel()
	type vector struct {
		ChainID        string   `json:"chainId"`
		Registry       string   `json:"registry"`
		Project        string   `json:"project"`
		Version        string   `json:"version"`
		Count          string   `json:"count"`
		BatchSize      string   `json:"batchSize"`
		PayloadLimit   string   `json:"payloadLimit"`
		Encoding       string   `json:"encoding"`
		DataHash       string   `json:"dataHash"`
		Digests        []string `json:"digests"`
		DataCommitment string   `json:"dataCommitment"`
	}
	var cases []vector
	for _, c := range []struct {
		count     int
		batchSize uint32
		schemes   []wire.Scheme
	}{
		{1, 1, wire.Schemes()}, {1, 4, wire.Schemes()}, {2, 2, wire.Schemes()}, {5, 8, wire.Schemes()},
		{3, 4, []wire.Scheme{wire.SchemeEdDSABN254}}, // what a circuit takes
	} {
		body := schemeBody(uint64(10+c.count), c.count, c.schemes)
		encoding := must(body.MarshalBinary())
		var decoded wire.Body
		require.NoError(t, decoded.UnmarshalBinary(encoding))
		require.Equal(t, body, decoded)
		v := vector{
			ChainID: dec(devnet.ChainID), Registry: devnet.Registry.String(),
			Project: dec(body.Project), Version: dec(body.Version), Count: dec(c.count),
			BatchSize: dec(c.batchSize), PayloadLimit: "32",
			Encoding: hexOf(encoding), DataHash: wire.DataHash(encoding).String(),
			DataCommitment: element(must(body.Commitment(devnet, c.batchSize, 32))),
		}
		for i := range body.Messages {
			v.Digests = append(v.Digests, element(must(body.Messages[i].Digest(devnet, 32))))
		}
		cases = append(cases, v)
	}
	golden(t, "body.json", cases)
}

func TestVectorsBinding(t *testing.T) {
	t.Parallel()
	type vector struct {
		ChainID      string `json:"chainId"`
		Registry     string `json:"registry"`
		DeploymentID string `json:"deploymentId"`
		TaskID       string `json:"taskId"`
		Prover       string `json:"prover"`
		Binding      string `json:"binding"`
	}
	var cases []vector
	for _, d := range []wire.Deployment{devnet, mainnet, widest} {
		for i := range byte(3) {
			task, prover := filled(0x10+i*0x77), account(i*0x55)
			cases = append(cases, vector{
				dec(d.ChainID), d.Registry.String(), d.IDBytes().String(),
				task.String(), prover.String(), element(wire.Binding(d, task, prover)),
			})
		}
	}
	golden(t, "binding.json", cases)
}

func TestVectorsCompact(t *testing.T) {
	t.Parallel()
	type vector struct {
		Bits string `json:"bits"`
		// Valid says whether the bits are a target; if not, target is 0.
		Valid  bool   `json:"valid"`
		Target string `json:"target"`
		// Canonical is what the target is written back as.
		Canonical string `json:"canonical"`
	}
	var cases []vector
	for _, b := range []uint32{
		0x1d00ffff, 0x1e7fffff, 0x1e00ffff, 0x1802aee8, 0x1a2b3c4d, 0x01010000, 0x017fffff, 0x01000000, 0x02008000,
		0x0200ffff, 0x03000001, 0x037fffff, 0x03800000, 0x04800000, 0x04800001, 0x01fedcba, 0x04923456, 0x00000000, 0x00123456,
		0x05009234, 0x1d00ff00, 0x1d0000ff, 0x1d000001, 0x207fffff, 0x2000ffff, 0x2100ffff, 0x22000001, 0x210000ff,
		0x220000ff, 0x22000100, 0x23000001, 0x2100ff00, 0x21010000, 0xff000001, 0xff7fffff, 0xff123456, 0xffffffff, 0x1d80ffff, 0x20800000,
	} {
		v := vector{Bits: bits(b), Target: wire.Hash{}.String(), Canonical: bits(0)}
		if target, err := wire.CompactToTarget(b); err == nil {
			v.Valid, v.Target, v.Canonical = true, word(target), bits(wire.TargetToCompact(target))
		}
		cases = append(cases, v)
	}
	golden(t, "compact.json", cases)
}

func word(v *big.Int) string {
	var h wire.Hash
	v.FillBytes(h[:])
	return h.String()
}

// TestVectorsASERT has our own chains' parameters; the published vectors have
// only Bitcoin Cash's.
func TestVectorsASERT(t *testing.T) {
	t.Parallel()
	type vector struct {
		AnchorHeight     string `json:"anchorHeight"`
		AnchorParentTime string `json:"anchorParentTime"`
		AnchorBits       string `json:"anchorBits"`
		TargetSeconds    string `json:"targetSeconds"`
		HalfLife         string `json:"halfLife"`
		PowLimit         string `json:"powLimit"`
		Height           string `json:"height"`
		Time             string `json:"time"`
		NextBits         string `json:"nextBits"`
	}
	var cases []vector
	for _, a := range []wire.ASERT{
		{ParentTime: 1699999990, Bits: 0x1e7fffff, TargetSeconds: 10, HalfLife: 300, PowLimit: 0x1e7fffff},
		{ParentTime: 1699999998, Bits: 0x1e3fffff, TargetSeconds: 2, HalfLife: 60, PowLimit: 0x1e7fffff},
		{ParentTime: 1699999999, Bits: 0x1d00ffff, TargetSeconds: 1, HalfLife: 3600, PowLimit: 0x1e7fffff},
	} {
		for _, height := range []uint64{0, 1, 2, 10, 1000, 123456} {
			for _, late := range []int64{0, 1, -1, 7, -7, 59, 61, -300, 301, -100000, 100000, -3000000, 3000000} {
				time := a.ParentTime + a.TargetSeconds*int64(height+1) + late
				if time < a.ParentTime+a.TargetSeconds {
					continue
				}
				cases = append(cases, vector{
					dec(a.Height), dec(a.ParentTime), bits(a.Bits), dec(a.TargetSeconds), dec(a.HalfLife), bits(a.PowLimit),
					dec(height), dec(time), bits(a.NextBits(height, time)),
				})
			}
		}
	}
	golden(t, "asert.json", cases)
}
