package wire_test

import (
	"encoding/json"
	"maps"
	"slices"
	"testing"

	"github.com/consensys/gnark-crypto/ecc/bn254"
	"github.com/stretchr/testify/require"

	"github.com/gristmill-zk/gristmill/wire"
)

func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

var (
	sequencerSecret = filled(0x31)
	minter          = account(0x60)
	operator        = account(0x70)
	beneficiary     = account(0x80)
)

// fixtureTask is an authorised task over a fixture body.
func fixtureTask(project uint64, count int, expiry uint64) (wire.Task, []byte) {
	body := fixtureBody(project, count)
	encoding := must(body.MarshalBinary())
	task := wire.Task{
		Project: project, Version: body.Version, Count: uint32(count),
		DataCommitment: wire.ElementHash(must(body.Commitment(devnet, 8, 32))),
		DataHash:       wire.DataHash(encoding), Size: uint32(len(encoding)),
		Authorisation: wire.Authorisation{Expiry: expiry},
	}
	if err := task.Authorise(devnet, sequencerSecret); err != nil {
		panic(err)
	}
	return task, encoding
}

type taskVector struct {
	ChainID        string `json:"chainId"`
	Registry       string `json:"registry"`
	Parent         string `json:"parent"`
	Project        string `json:"project"`
	Version        string `json:"version"`
	Count          string `json:"count"`
	DataCommitment string `json:"dataCommitment"`
	DataHash       string `json:"dataHash"`
	Size           string `json:"size"`
	Expiry         string `json:"expiry"`
	Secret         string `json:"secret"`
	Authoriser     string `json:"authoriser"`
	SigningHash    string `json:"signingHash"`
	Signature      string `json:"signature"`
	AuthHash       string `json:"authHash"`
	TaskID         string `json:"taskId"`
	Leaf           string `json:"leaf"`
	LeafHash       string `json:"leafHash"`
}

func vectorOfTask(task wire.Task, parent wire.Hash) taskVector {
	leaf := task.Leaf(devnet, parent)
	return taskVector{
		ChainID: dec(devnet.ChainID), Registry: devnet.Registry.String(), Parent: parent.String(),
		Project: dec(task.Project), Version: dec(task.Version), Count: dec(task.Count),
		DataCommitment: task.DataCommitment.String(), DataHash: task.DataHash.String(),
		Size: dec(task.Size), Expiry: dec(task.Authorisation.Expiry),
		Secret: sequencerSecret.String(), Authoriser: must(task.Authoriser(devnet)).String(),
		SigningHash: task.SigningHash(devnet).String(), Signature: hexOf(task.Authorisation.Signature),
		AuthHash: task.Authorisation.Hash().String(), TaskID: task.ID(devnet, parent).String(),
		Leaf: hexOf(leaf), LeafHash: wire.SHA256D(leaf).String(),
	}
}

func TestVectorsTask(t *testing.T) {
	t.Parallel()
	var cases []taskVector
	for i, expiry := range []uint64{1700003600, 0, 1<<64 - 1} {
		task, encoding := fixtureTask(uint64(21+i), i+1, expiry)
		body, err := task.CheckBody(devnet, encoding, 8, 32)
		require.NoError(t, err)
		require.Len(t, body.Messages, i+1)
		for _, parent := range []wire.Hash{wire.GenesisHash(devnet), filled(byte(i))} {
			cases = append(cases, vectorOfTask(task, parent))
		}
	}
	golden(t, "task.json", cases)
}

// TestAuthorisationCoversTheTask: under the same signature no field of the task
// may be another, the size included, which neither data nor commitment fixes
// before somebody has the body.
func TestAuthorisationCoversTheTask(t *testing.T) {
	t.Parallel()
	task, _ := fixtureTask(21, 2, 1700003600)
	signer := must(task.Authoriser(devnet))
	require.Equal(t, must(wire.SecretAddress(sequencerSecret[:])), signer)
	for name, change := range map[string]func(*wire.Task){
		"project":        func(t *wire.Task) { t.Project++ },
		"version":        func(t *wire.Task) { t.Version++ },
		"dataHash":       func(t *wire.Task) { t.DataHash[31] ^= 1 },
		"dataCommitment": func(t *wire.Task) { t.DataCommitment[31] ^= 1 },
		"count":          func(t *wire.Task) { t.Count++ },
		"size":           func(t *wire.Task) { t.Size++ },
		"expiry":         func(t *wire.Task) { t.Authorisation.Expiry++ },
	} {
		changed := task
		change(&changed)
		if other, err := changed.Authoriser(devnet); err == nil {
			require.NotEqual(t, signer, other, name)
		}
	}
	elsewhere := devnet
	elsewhere.ChainID++
	if other, err := task.Authoriser(elsewhere); err == nil {
		require.NotEqual(t, signer, other, "another deployment")
	}
}

type coinbaseVector struct {
	ChainID     string `json:"chainId"`
	Registry    string `json:"registry"`
	Minter      string `json:"minter"`
	Operator    string `json:"operator"`
	Beneficiary string `json:"beneficiary"`
	Height      string `json:"height"`
	TaskCount   string `json:"taskCount"`
	ExtraNonce  string `json:"extraNonce"`
	Encoding    string `json:"encoding"`
	LeafHash    string `json:"leafHash"`
}

func vectorOfCoinbase(d wire.Deployment, c wire.Coinbase) coinbaseVector {
	encoding := must(c.Encode(d))
	return coinbaseVector{
		ChainID: dec(d.ChainID), Registry: d.Registry.String(), Minter: c.Minter.String(), Operator: c.Operator.String(),
		Beneficiary: c.Beneficiary.String(), Height: dec(c.Height), TaskCount: dec(c.TaskCount),
		ExtraNonce: hexOf(c.ExtraNonce), Encoding: hexOf(encoding), LeafHash: wire.SHA256D(encoding).String(),
	}
}

func TestVectorsCoinbase(t *testing.T) {
	t.Parallel()
	var cases []coinbaseVector
	for _, d := range []wire.Deployment{devnet, widest} {
		for _, c := range []wire.Coinbase{
			{Minter: minter, Operator: operator, Beneficiary: beneficiary, Height: 1, ExtraNonce: make([]byte, 8)},
			{Minter: minter, Operator: operator, Beneficiary: operator, Height: 1 << 33, TaskCount: 10, ExtraNonce: pattern(32, 3)},
			{Height: 1<<64 - 1, TaskCount: 1<<32 - 1, ExtraNonce: pattern(11, 0xee)},
		} {
			parsed, err := wire.ParseCoinbase(d, must(c.Encode(d)))
			require.NoError(t, err)
			require.Equal(t, c, parsed)
			cases = append(cases, vectorOfCoinbase(d, c))
		}
	}
	golden(t, "coinbase.json", cases)
}

type headerVector struct {
	Version    string `json:"version"`
	Prev       string `json:"prev"`
	MerkleRoot string `json:"merkleRoot"`
	Time       string `json:"time"`
	Bits       string `json:"bits"`
	Nonce      string `json:"nonce"`
	Encoding   string `json:"encoding"`
	Hash       string `json:"hash"`
	Display    string `json:"display"`
	// VersionOK is whether only BIP320's bits are rolled, WorkOK whether the
	// hash meets the bits too.
	VersionOK bool `json:"versionOk"`
	WorkOK    bool `json:"workOk"`
}

func vectorOfHeader(h wire.Header) headerVector {
	encoding := h.Encode()
	return headerVector{
		Version: bits(h.Version), Prev: h.Prev.String(), MerkleRoot: h.MerkleRoot.String(),
		Time: dec(h.Time), Bits: bits(h.Bits), Nonce: dec(h.Nonce), Encoding: hexOf(encoding[:]),
		Hash: h.Hash().String(), Display: h.Hash().BlockString(),
		VersionOK: h.CheckVersion() == nil, WorkOK: h.CheckWork() == nil,
	}
}

func TestVectorsHeader(t *testing.T) {
	t.Parallel()
	genesis := wire.GenesisHash(devnet)
	var cases []headerVector
	for _, h := range []wire.Header{
		{Version: wire.HeaderVersion, Prev: genesis, MerkleRoot: filled(0xab), Time: 1700000000, Bits: 0x1e7fffff, Nonce: 1},
		{Version: wire.HeaderVersion | wire.VersionMask, Prev: genesis, MerkleRoot: filled(0xcd), Time: 1<<32 - 1, Bits: 0x207fffff, Nonce: 1<<32 - 1},
		{Version: wire.HeaderVersion | 1, Prev: genesis, MerkleRoot: filled(1), Time: 1, Bits: 0x207fffff, Nonce: 4},
		{Version: 0x3fffe000 | 0x40000000, Prev: genesis, Bits: 0x207fffff},
		{Version: 0, Bits: 0xffffffff},
		mined(wire.Header{Version: wire.HeaderVersion, Prev: genesis, MerkleRoot: filled(0x77), Time: 1700000010, Bits: 0x1f7fffff}),
		mined(wire.Header{Version: wire.HeaderVersion | 0x00a0a000, Prev: filled(9), MerkleRoot: filled(8), Time: 1700000020, Bits: 0x1f00ffff}),
	} {
		cases = append(cases, vectorOfHeader(h))
	}
	golden(t, "header.json", cases)
}

// mined searches the nonce from 0, so the result is fixed.
func mined(h wire.Header) wire.Header {
	for h.CheckWork() != nil {
		h.Nonce++
	}
	return h
}

func TestVectorsMerkle(t *testing.T) {
	t.Parallel()
	type vector struct {
		Count      string   `json:"count"`
		Leaves     []string `json:"leaves"`
		LeafHashes []string `json:"leafHashes"`
		Root       string   `json:"root"`
	}
	var cases []vector
	for n := 1; n <= 9; n++ {
		v := vector{Count: dec(n)}
		var leaves [][]byte
		for i := range n {
			leaf := pattern(20+13*i, byte(i))
			leaves = append(leaves, leaf)
			v.Leaves, v.LeafHashes = append(v.Leaves, hexOf(leaf)), append(v.LeafHashes, wire.SHA256D(leaf).String())
		}
		v.Root = must(wire.MerkleRoot(leaves)).String()
		cases = append(cases, v)
	}
	golden(t, "merkle.json", cases)
}

// TestVectorsBlock has whole mined blocks: coinbase, tasks, root, header.
func TestVectorsBlock(t *testing.T) {
	t.Parallel()
	type vector struct {
		ChainID     string       `json:"chainId"`
		Registry    string       `json:"registry"`
		Minter      string       `json:"minter"`
		Operator    string       `json:"operator"`
		Beneficiary string       `json:"beneficiary"`
		Height      string       `json:"height"`
		TaskCount   string       `json:"taskCount"`
		Coinbase    string       `json:"coinbase"`
		Tasks       []taskVector `json:"tasks"`
		MerkleRoot  string       `json:"merkleRoot"`
		Header      string       `json:"header"`
		Hash        string       `json:"hash"`
	}
	var cases []vector
	parent, height := wire.GenesisHash(devnet), uint64(1)
	for _, n := range []int{0, 1, 2, 3} {
		coinbase := wire.Coinbase{Minter: minter, Operator: operator, Beneficiary: beneficiary, Height: height, TaskCount: uint32(n), ExtraNonce: pattern(8, byte(n))}
		encoding := must(coinbase.Encode(devnet))
		v := vector{
			ChainID: dec(devnet.ChainID), Registry: devnet.Registry.String(), Minter: minter.String(), Operator: operator.String(),
			Beneficiary: beneficiary.String(), Height: dec(height), TaskCount: dec(n), Coinbase: hexOf(encoding), Tasks: []taskVector{},
		}
		leaves := [][]byte{encoding}
		for i := range n {
			task, _ := fixtureTask(uint64(100*n+i), i+1, 1700003600)
			leaves = append(leaves, task.Leaf(devnet, parent))
			v.Tasks = append(v.Tasks, vectorOfTask(task, parent))
		}
		root := must(wire.MerkleRoot(leaves))
		header := mined(wire.Header{Version: wire.HeaderVersion, Prev: parent, MerkleRoot: root, Time: 1700000000 + uint32(height)*10, Bits: 0x1f7fffff})
		raw := header.Encode()
		v.MerkleRoot, v.Header, v.Hash = root.String(), hexOf(raw[:]), header.Hash().String()
		cases = append(cases, v)
		parent, height = header.Hash(), height+1
	}
	golden(t, "block.json", cases)
}

// fixtureProof is made of real points, so that it decodes; it proves nothing.
func fixtureProof() wire.Proof {
	_, _, g1, g2 := bn254.Generators()
	return wire.NewProof(wire.ProofPoints{A: g1, B: g2, C: g1})
}

func fixtureEnvelope() *wire.ProofEnvelope {
	return &wire.ProofEnvelope{
		TaskID: filled(0x21), Attempt: 2, Prover: operator, Curve: wire.CurveBN254, Proof: fixtureProof(),
		Outputs: []wire.Hash{{31: 7}, {30: 1}}, BundleDigest: filled(0x22), VKID: filled(0x23),
		Engine: "cpu", SolveMS: 12.5, ProveMS: 250, VerifyMS: 1.25,
	}
}

// fixtureCommitted is an envelope whose proof has a commitment.
func fixtureCommitted() *wire.ProofEnvelope {
	e := fixtureEnvelope()
	points := must(e.Proof.Points())
	points.Commitment.Double(&points.A)
	points.Knowledge.Neg(&points.A)
	e.Proof = wire.NewProof(points)
	return e
}

func fixtureJob() *wire.Job {
	job := wire.NewJob()
	job.Deployment, job.TaskID, job.Attempt, job.Prover = devnet, filled(0x21), 2, operator
	job.Project, job.Version, job.BundleDigest, job.BundleURI = 1, 3, filled(0x22), "file:///bundles/meter"
	job.DataHash, job.DataURLs = filled(0x24), []string{"http://127.0.0.1:8080/v1/data"}
	job.BatchSize, job.PayloadLimit, job.Count = 8, 32, 5
	job.VKID, job.Outputs = filled(0x23), 2
	job.DataCommitment, job.ReplyQueue = wire.Hash{31: 9}, wire.ResultQueue(devnet, operator)
	return job
}

func fixtureResult(kind wire.ResultKind) *wire.Result {
	r := wire.NewResult()
	r.TaskID, r.Attempt, r.Worker, r.Kind, r.At = filled(0x21), 2, "worker-1", kind, 1700000000123
	switch kind {
	case wire.ResultProved:
		r.ProofEnvelope = fixtureEnvelope()
	case wire.ResultFailed:
		r.Error = &wire.WorkError{Code: "plugin_crashed", Message: "exit status 2", Retry: true}
	}
	return r
}

func TestVectorsEnvelope(t *testing.T) {
	t.Parallel()
	type vector struct {
		Name    string          `json:"name"`
		JSON    json.RawMessage `json:"json"`
		Binary  string          `json:"binary,omitempty"`
		QueueID string          `json:"queueId,omitempty"`
	}
	envelope, committed, job := fixtureEnvelope(), fixtureCommitted(), fixtureJob()
	cases := []vector{
		{"proof envelope", must(json.Marshal(envelope)), hexOf(must(envelope.MarshalBinary())), ""},
		{"job", must(job.Encode()), "", job.ID()},
		{"proof envelope with a commitment", must(json.Marshal(committed)), hexOf(must(committed.MarshalBinary())), ""},
	}
	for _, kind := range []wire.ResultKind{wire.ResultSolved, wire.ResultProved, wire.ResultFailed} {
		result := fixtureResult(kind)
		cases = append(cases, vector{"result " + string(kind), must(result.Encode()), "", result.ID()})
	}
	golden(t, "envelope.json", cases)
}
