package worker_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"

	"github.com/consensys/gnark-crypto/ecc"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	cs "github.com/consensys/gnark/constraint/bn254"
	"github.com/consensys/gnark/frontend"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/gristmill-zk/gristmill/gpu/enginetest"
	"github.com/gristmill-zk/gristmill/internal/groth16vk"
	"github.com/gristmill-zk/gristmill/plugins/bundle"
	"github.com/gristmill-zk/gristmill/plugins/host"
	"github.com/gristmill-zk/gristmill/plugins/sandbox"
	"github.com/gristmill-zk/gristmill/wire"
	"github.com/gristmill-zk/gristmill/worker"
)

func TestMain(m *testing.M) {
	sandbox.Main()
	engineOrTests()
	var err error
	if pluginDir, err = os.MkdirTemp("", "gm-worker-test-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		_ = os.RemoveAll(pluginDir)
		os.Exit(code)
	}))
}

// pluginDir has the bundles of plugins that are built for several tests.
var pluginDir string

// committing is the batch size for which the circuit of plugins/internal/faulty
// uses a commitment.
const committing = 2

// committingBundle is that circuit's bundle.
var committingBundle = sync.OnceValues(func() (*bundle.Bundle, error) {
	return bundle.Build(context.Background(), bundle.BuildConfig{
		Source: filepath.Join("..", "plugins", "internal", "faulty", "cmd"), BatchSize: committing, OutDir: pluginDir, AllowInsecure: true, Logger: quiet(),
	})
})

// committingJob serves a message to that circuit's plugin, for which it is
// honest, and makes a job about it.
func (r *rig) committingJob(n byte, built *bundle.Bundle) *wire.Job {
	r.t.Helper()
	return r.jobOf(n, built, []byte{honestPayload})
}

const honestPayload = 200

// jobOf serves one message to a bundle's plugin and makes a job about it.
func (r *rig) jobOf(n byte, built *bundle.Bundle, payload []byte) *wire.Job {
	r.t.Helper()
	signer, err := wire.NewSigner(wire.SchemeEdDSABN254, append(make([]byte, 31), 1))
	require.NoError(r.t, err)
	info := built.Manifest.Circuit
	m := wire.Message{Project: 1, Nonce: uint64(n) + 1, Time: 1_700_000_060_000, Payload: payload}
	require.NoError(r.t, signer.Sign(deployment, info.PayloadLimit, &m))
	body := wire.Body{Project: 1, Version: 1, Messages: []wire.Message{m}}
	raw, err := body.MarshalBinary()
	require.NoError(r.t, err)
	r.setBody(raw)
	job := r.jobFor(n, info.BatchSize, info.PayloadLimit)
	job.BundleDigest, job.VKID, job.Outputs = built.Digest, built.Manifest.VKID, uint16(len(info.Outputs))
	return job
}

// counting has the public inputs of every gristmill circuit and one output,
// the square of the number of messages.
type counting struct {
	Binding    frontend.Variable `gnark:",public"`
	Commitment frontend.Variable `gnark:",public"`
	Square     frontend.Variable `gnark:",public"`
	Count      frontend.Variable
	B, C       frontend.Variable
}

func (c *counting) Define(api frontend.API) error {
	api.AssertIsEqual(c.Binding, c.B)
	api.AssertIsEqual(c.Commitment, c.C)
	api.AssertIsEqual(c.Square, api.Mul(c.Count, c.Count))
	return nil
}

func assignment(binding, commitment fr.Element, count int) *counting {
	return &counting{Binding: binding, Commitment: commitment, B: binding, C: commitment, Count: count, Square: count * count}
}

const (
	batchSize    = 4
	payloadLimit = 31
)

// circuit is compiled and set up once.
var circuit = sync.OnceValues(func() (*enginetest.Fixture, error) {
	return enginetest.NewFixture(&counting{}, assignment(fr.One(), fr.One(), 1))
})

func fixture(t testing.TB) *enginetest.Fixture {
	t.Helper()
	f, err := circuit()
	require.NoError(t, err)
	return f
}

// writeBundle makes a bundle of the circuit below dir and returns its digest.
func writeBundle(t testing.TB, dir string, change func(*bundle.Manifest)) wire.Hash {
	t.Helper()
	return writeBundleOf(t, dir, fixture(t).Dump, change)
}

// writeBundleOf is writeBundle with that proving key.
func writeBundleOf(t testing.TB, dir string, key []byte, change func(*bundle.Manifest)) wire.Hash {
	t.Helper()
	f := fixture(t)
	vk, err := groth16vk.EncodeVK(f.VK)
	require.NoError(t, err)
	staging, err := os.MkdirTemp(dir, "staging")
	require.NoError(t, err)
	part := func(name string, write func(io.Writer) error) bundle.Part {
		path := filepath.Join(staging, name)
		file, err := os.Create(path)
		require.NoError(t, err)
		require.NoError(t, write(file))
		require.NoError(t, file.Close())
		raw, err := os.ReadFile(path)
		require.NoError(t, err)
		p := bundle.Part{Name: name, Path: name, Size: int64(len(raw)), SHA256: wire.SHA256(raw)}
		if name == bundle.PartPlugin {
			p.OS, p.Arch = runtime.GOOS, runtime.GOARCH
		}
		return p
	}
	plain := func(raw []byte) func(io.Writer) error {
		return func(w io.Writer) error { _, err := w.Write(raw); return err }
	}
	solved, err := f.Circuit.Solve(f.Witness)
	require.NoError(t, err)
	sample := solved.(*cs.R1CSSolution)
	wires := f.Circuit.GetNbPublicVariables() + f.Circuit.GetNbSecretVariables() + f.Circuit.GetNbInternalVariables()
	m := bundle.Manifest{
		Format: bundle.FormatVersion, Name: "counting", Version: "1.0.0", Keys: bundle.KeysInsecureDev, VKID: groth16vk.ID(vk),
		Circuit: bundle.CircuitInfo{
			Curve: "bn254", Scheme: "groth16", DeviceScheme: wire.SchemeEd25519.String(), BatchSize: batchSize, PayloadLimit: payloadLimit,
			Outputs: []string{"square"}, Constraints: uint64(f.Circuit.GetNbConstraints()), Wires: uint64(wires),
			PublicWires: uint32(f.Circuit.GetNbPublicVariables()),
		},
		Tools: bundle.Tools{Go: runtime.Version(), Gnark: "v0.16.0"},
		Parts: []bundle.Part{
			part(bundle.PartCircuit, func(w io.Writer) error { _, err := f.Circuit.WriteTo(w); return err }),
			part(bundle.PartProvingKey, plain(key)),
			part(bundle.PartVerifyingKey, func(w io.Writer) error { _, err := f.VK.WriteRawTo(w); return err }),
			part(bundle.PartVerifyingKeyEVM, plain(vk)),
			part(bundle.PartKnownAnswer, func(w io.Writer) error { _, err := sample.W.WriteTo(w); return err }),
			part(bundle.PartPlugin, plain([]byte("not started in these tests"))),
		},
	}
	if change != nil {
		change(&m)
	}
	text, err := json.Marshal(m)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(staging, bundle.ManifestName), text, 0o600))
	digest := wire.SHA256(text)
	require.NoError(t, os.Rename(staging, filepath.Join(dir, bundle.DirName(digest))))
	return digest
}

// plugins solves in process, what the tests want to happen in between.
type plugins struct {
	// before is called in Solve, with the attempt's context; an error ends it.
	before func(context.Context, host.Task) error

	mu     sync.Mutex // one solver at a time, as gnark needs it
	solves int
}

func (p *plugins) Open(context.Context, *bundle.Bundle) (worker.Circuit, error) { return p, nil }

func (p *plugins) Solve(ctx context.Context, task host.Task) (*host.Solution, error) {
	p.mu.Lock()
	p.solves++
	p.mu.Unlock()
	if p.before != nil {
		if err := p.before(ctx, task); err != nil {
			return nil, err
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return solve(task)
}

func (p *plugins) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.solves
}

func solve(task host.Task) (*host.Solution, error) {
	f, err := circuit()
	if err != nil {
		return nil, err
	}
	var body wire.Body
	if err := body.UnmarshalBinary(task.Body); err != nil {
		return nil, &host.Error{Code: host.CodeBadTask, Plugin: "counting", Task: task.ID, Err: err}
	}
	commitment, err := task.DataCommitment.Element()
	if err != nil {
		return nil, err
	}
	binding := wire.Binding(task.Deployment, task.ID, task.Prover)
	full, err := frontend.NewWitness(assignment(binding, commitment, len(body.Messages)), ecc.BN254.ScalarField())
	if err != nil {
		return nil, err
	}
	solved, err := f.Circuit.Solve(full)
	if err != nil {
		return nil, &host.Error{Code: host.CodeUnsatisfied, Plugin: "counting", Task: task.ID, Err: err}
	}
	s := solved.(*cs.R1CSSolution)
	n, public := f.Circuit.GetNbConstraints(), f.Circuit.GetNbPublicVariables()
	return &host.Solution{W: s.W, A: s.A[:n], B: s.B[:n], C: s.C[:n], Public: public, Outputs: s.W[3:public], SolveMS: 1.5}, nil
}

var (
	deployment = wire.Deployment{ChainID: 31337, Registry: wire.Address{1, 2, 3}}
	prover     = wire.Address{9, 8, 7}
)

// makeBody signs messages of one device.
func makeBody(t testing.TB, count int) []byte {
	t.Helper()
	signer, err := wire.NewSigner(wire.SchemeEd25519, make([]byte, 32))
	require.NoError(t, err)
	body := wire.Body{Project: 1, Version: 1}
	for i := range count {
		m := wire.Message{Project: 1, Nonce: uint64(i + 1), Time: 1_700_000_000_000, Payload: []byte("reading")}
		require.NoError(t, signer.Sign(deployment, payloadLimit, &m))
		body.Messages = append(body.Messages, m)
	}
	raw, err := body.MarshalBinary()
	require.NoError(t, err)
	return raw
}

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }
