package scheduler_test

import (
	"context"
	"crypto/rand"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/consensys/gnark-crypto/ecc"
	"github.com/consensys/gnark/backend/groth16"
	"github.com/consensys/gnark/constraint"
	"github.com/consensys/gnark/frontend"
	"github.com/consensys/gnark/frontend/cs/r1cs"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	gnarklog "github.com/consensys/gnark/logger"

	"github.com/gristmill-zk/gristmill/internal/groth16vk"
	"github.com/gristmill-zk/gristmill/internal/service"
	"github.com/gristmill-zk/gristmill/scheduler"
	"github.com/gristmill-zk/gristmill/scheduler/dispatchertest"
	"github.com/gristmill-zk/gristmill/wire"
)

// runChildIfAsked makes the process a crash test's child, if it is one, and
// says so; a build with failpoints replaces it.
var runChildIfAsked = func() bool { return false }

func TestMain(m *testing.M) {
	gnarklog.Disable()
	if runChildIfAsked() {
		return
	}
	if err := flag.Set("rapid.checks", propertyChecks); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	goleak.VerifyTestMain(m)
}

const (
	patience     = 2 * time.Minute        // what only a hang exceeds
	soon         = 150 * time.Millisecond // after which silent workers are lost where a test is about them
	tick         = 5 * time.Millisecond
	payloadLimit = 31
	batchSize    = 4
)

var (
	me    = wire.Address{7}
	other = wire.Address{8}
)

// square is a circuit with the public inputs of a task: the output is a square.
type square struct {
	Binding    frontend.Variable `gnark:",public"`
	Commitment frontend.Variable `gnark:",public"`
	Output     frontend.Variable `gnark:",public"`
	Root       frontend.Variable
	Product    frontend.Variable
}

func (c *square) Define(api frontend.API) error {
	api.AssertIsEqual(api.Mul(c.Root, c.Root), c.Output)
	api.AssertIsEqual(api.Mul(c.Binding, c.Commitment), c.Product)
	return nil
}

type circuit struct {
	ccs constraint.ConstraintSystem
	pk  groth16.ProvingKey
	key []byte
}

var compiled = sync.OnceValues(func() (circuit, error) {
	ccs, err := frontend.Compile(ecc.BN254.ScalarField(), r1cs.NewBuilder, &square{})
	if err != nil {
		return circuit{}, err
	}
	pk, vk, err := groth16.Setup(ccs)
	if err != nil {
		return circuit{}, err
	}
	key, err := groth16vk.EncodeVK(vk)
	return circuit{ccs: ccs, pk: pk, key: key}, err
})

// testingT is what testing.T and rapid.T share.
type testingT interface {
	require.TestingT
	Helper()
	Fatalf(format string, args ...any)
}

// env is a prover's world: chain, queue, sequencer and workers.
type env struct {
	circuit circuit
	chain   *fakeChain
	queue   *dispatchertest.Memory
	signer  wire.Signer
	cfg     scheduler.Config

	mu     sync.Mutex
	bodies map[wire.Hash][]byte
	seed   byte
	events []scheduler.Event
	watch  func(scheduler.Event)
}

func newEnv(t *testing.T) *env {
	t.Helper()
	e := newWorld(t, t.TempDir())
	server := httptest.NewServer(http.HandlerFunc(e.serveBody))
	t.Cleanup(server.Close)
	e.chain.urls = []string{server.URL + "/"}
	return e
}

// newWorld is an env without a sequencer's endpoint.
func newWorld(t testingT, dir string) *env {
	c, err := compiled()
	require.NoError(t, err)
	secret, err := wire.GenerateSecret(wire.SchemeEdDSABN254, rand.Reader)
	require.NoError(t, err)
	signer, err := wire.NewSigner(wire.SchemeEdDSABN254, secret)
	require.NoError(t, err)
	version := scheduler.Version{
		VKID: groth16vk.ID(c.key), BundleDigest: wire.Hash{0xbb}, BundleURI: "bundle:meter",
		BatchSize: batchSize, PayloadLimit: payloadLimit, Outputs: 1,
	}
	e := &env{
		circuit: c, chain: newFakeChain(me, version, c.key), queue: dispatchertest.NewMemory(),
		signer: signer, bodies: map[wire.Hash][]byte{},
	}
	e.cfg = scheduler.Config{
		Chain: e.chain, Dispatcher: e.queue, Prover: me, DB: filepath.Join(dir, "scheduler.db"),
		LostAfter: patience, RetryMin: 10 * time.Millisecond, RetryMax: 50 * time.Millisecond,
		Poll: 20 * time.Millisecond, ChainPoll: 10 * time.Millisecond, DutyPoll: 20 * time.Millisecond,
		FetchTries: 3, Attempts: 3, Observe: e.observe, Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
	}
	return e
}

// another is a second prover's side of the same world.
func (e *env) another(t *testing.T, prover wire.Address) *env {
	t.Helper()
	e.mu.Lock()
	defer e.mu.Unlock()
	second := &env{
		circuit: e.circuit, chain: e.chain, queue: dispatchertest.NewMemory(), signer: e.signer, bodies: e.bodies, seed: e.seed, cfg: e.cfg,
	}
	second.cfg.Chain, second.cfg.Dispatcher, second.cfg.Prover = e.chain.As(prover), second.queue, prover
	second.cfg.DB, second.cfg.Observe = filepath.Join(t.TempDir(), "scheduler.db"), second.observe
	return second
}

func (e *env) observe(event scheduler.Event) {
	e.mu.Lock()
	e.events = append(e.events, event)
	watch := e.watch
	e.mu.Unlock()
	if watch != nil {
		watch(event)
	}
}

func (e *env) serveBody(w http.ResponseWriter, r *http.Request) {
	hash, err := wire.ParseHash(strings.TrimPrefix(r.URL.Path, "/v1/data/"))
	e.mu.Lock()
	body, ok := e.bodies[hash]
	e.mu.Unlock()
	if err != nil || !ok {
		http.NotFound(w, r)
		return
	}
	_, _ = w.Write(body)
}

// body signs messages and packs them.
func (e *env) body(t testingT, count int) ([]byte, scheduler.Mined) {
	t.Helper()
	e.mu.Lock()
	e.seed++
	seed := e.seed
	e.mu.Unlock()
	b := wire.Body{Project: 1, Version: 1}
	for i := range count {
		m := wire.Message{Project: 1, Nonce: uint64(i + 1), Time: 1700000000000, Payload: []byte{seed, byte(i)}}
		require.NoError(t, e.signer.Sign(e.chain.d, payloadLimit, &m))
		b.Messages = append(b.Messages, m)
	}
	return e.pack(t, b)
}

func (e *env) pack(t testingT, b wire.Body) ([]byte, scheduler.Mined) {
	t.Helper()
	raw, err := b.MarshalBinary()
	require.NoError(t, err)
	commitment, err := b.Commitment(e.chain.d, batchSize, payloadLimit)
	require.NoError(t, err)
	return raw, scheduler.Mined{
		Project: b.Project, Version: b.Version, Count: uint32(len(b.Messages)), DataCommitment: wire.ElementHash(commitment),
		DataHash: wire.DataHash(raw), Size: uint32(len(raw)), Operator: wire.Address{5},
	}
}

// serve makes the sequencer serve a body.
func (e *env) serve(raw []byte) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.bodies[wire.DataHash(raw)] = raw
}

// mine brings a good task, offered to a prover.
func (e *env) mine(t testingT, to wire.Address) wire.Hash {
	t.Helper()
	raw, m := e.body(t, 2)
	e.serve(raw)
	return e.mineAs(m, to)
}

func (e *env) mineAs(m scheduler.Mined, to wire.Address) wire.Hash {
	id := wire.TaskID(e.chain.d, wire.Hash{1}, m.Project, m.DataHash)
	e.chain.Mine(id, m, to)
	return id
}

// solvedResult and provedResult are what a worker reports about a job.
func solvedResult(job wire.Job) wire.Result { return dispatchertest.Result(job) }

func failedResult(job wire.Job, retry bool) wire.Result {
	r := dispatchertest.Result(job)
	r.Kind, r.Error = wire.ResultFailed, &wire.WorkError{Code: "unsatisfied", Message: "constraint 3 does not hold", Retry: retry}
	return r
}

func (e *env) provedResult(t testingT, job wire.Job) wire.Result {
	t.Helper()
	r := dispatchertest.Result(job)
	r.Kind = wire.ResultProved
	binding := wire.Binding(job.Deployment, job.TaskID, job.Prover)
	commitment, err := job.DataCommitment.Element()
	require.NoError(t, err)
	product := binding
	product.Mul(&binding, &commitment)
	witness, err := frontend.NewWitness(&square{Binding: binding, Commitment: commitment, Output: 49, Root: 7, Product: product}, ecc.BN254.ScalarField())
	require.NoError(t, err)
	made, err := groth16.Prove(e.circuit.ccs, e.circuit.pk, witness)
	require.NoError(t, err)
	proof, err := groth16vk.EncodeProof(made)
	require.NoError(t, err)
	r.ProofEnvelope = &wire.ProofEnvelope{
		TaskID: job.TaskID, Attempt: job.Attempt, Prover: job.Prover, Curve: wire.CurveBN254, Proof: proof,
		Outputs: []wire.Hash{{31: 49}}, BundleDigest: job.BundleDigest, VKID: groth16vk.ID(e.circuit.key),
		Engine: "test", SolveMS: 1, ProveMS: 2, VerifyMS: 3,
	}
	return r
}

// jobID is an attempt's id in the queue.
func (e *env) jobID(task wire.Hash, attempt uint32) string {
	return wire.JobID(e.chain.d, me, task, attempt)
}

// start runs a scheduler on the env's store until the test, or stop, ends it.
func (e *env) start(t *testing.T) (*scheduler.Scheduler, func()) {
	t.Helper()
	return e.startIn(context.Background(), t)
}

// startIn is start until ctx ends.
func (e *env) startIn(ctx context.Context, t *testing.T) (*scheduler.Scheduler, func()) {
	t.Helper()
	s, err := scheduler.New(context.Background(), e.cfg)
	require.NoError(t, err)
	unit := service.New("scheduler", s.Run)
	var once sync.Once
	stop := func() {
		once.Do(func() {
			unit.Stop()
			require.NoError(t, unit.Err())
			require.NoError(t, s.Close())
		})
	}
	t.Cleanup(stop)
	require.NoError(t, unit.Start(ctx))
	return s, stop
}

// take waits for the next job.
func (e *env) take(t *testing.T) wire.Job {
	t.Helper()
	var job *wire.Job
	require.Eventually(t, func() bool { job = e.queue.Take(); return job != nil }, patience, tick, "a job is dispatched")
	return *job
}

// workers takes jobs and proves them until the test or stop ends it.
func (e *env) workers(t *testing.T) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	all.Go(func() {
		ticker := time.NewTicker(tick)
		defer ticker.Stop()
		for ctx.Err() == nil {
			if job := e.queue.Take(); job != nil {
				e.queue.Beat(job.ID(), time.Minute)
				e.queue.Report(solvedResult(*job))
				e.queue.Report(e.provedResult(t, *job))
				continue
			}
			select {
			case <-ctx.Done():
			case <-ticker.C:
			}
		}
	})
	stop = func() { cancel(); all.Wait() }
	t.Cleanup(stop)
	return stop
}

// await waits until a task is in a state, and returns it.
func await(t *testing.T, s *scheduler.Scheduler, id wire.Hash, state scheduler.State) *scheduler.TaskDetail {
	t.Helper()
	var detail *scheduler.TaskDetail
	var err error
	require.Eventually(t, func() bool {
		detail, err = s.Store().Detail(context.Background(), id)
		return err == nil && detail.State == state
	}, patience, tick, "task gets %s", lazy(func() string { return fmt.Sprintf("%s, is %+v, %v", state, detail, err) }))
	return detail
}

// lazy is text made when it is printed.
type lazy func() string

func (l lazy) String() string { return l() }

func states(steps []scheduler.Step) []scheduler.State {
	var out []scheduler.State
	for _, s := range steps {
		if len(out) == 0 || out[len(out)-1] != s.State {
			out = append(out, s.State)
		}
	}
	return out
}

var zero wire.Address

func ids(list ...wire.Hash) []wire.Hash { return list }

// chainStatus is a task's status as the store has it, once that agrees with
// the chain.
func chainStatus(t *testing.T, s *scheduler.Scheduler, e *env, id wire.Hash) scheduler.ChainStatus {
	t.Helper()
	record, err := e.chain.Record(context.Background(), id)
	require.NoError(t, err)
	task, err := s.Store().Task(context.Background(), id)
	if err != nil || task.Status != record.Status {
		return ""
	}
	return task.Status
}
