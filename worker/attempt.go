package worker

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/consensys/gnark-crypto/ecc/bn254"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"golang.org/x/sync/errgroup"

	"github.com/gristmill-zk/gristmill/gpu"
	"github.com/gristmill-zk/gristmill/gpu/pool"
	"github.com/gristmill-zk/gristmill/internal/failpoint"
	"github.com/gristmill-zk/gristmill/internal/groth16vk"
	"github.com/gristmill-zk/gristmill/plugins/host"
	"github.com/gristmill-zk/gristmill/wire"
)

// attempt is one job being worked on.
type attempt struct {
	*Worker
	job *wire.Job
	// committedBy is the device that made the solution's commitment, if any.
	committedBy string
	progress    *progress
}

// run makes the proof. The error is what the failed result is made of, or that
// of sending.
func (a *attempt) run(ctx context.Context) error {
	started := time.Now()
	a.progress.note("fetch data")
	body, err := a.fetcher.fetch(ctx, a.job)
	if err != nil {
		return err
	}
	a.observe(EventFetched, time.Since(started), nil)
	a.progress.note("open circuit")
	circuit, err := a.bundles.get(ctx, a.job)
	if err != nil {
		return err
	}
	solution, err := a.solve(ctx, circuit, body)
	if err != nil {
		return err
	}
	defer solution.Release()
	started = time.Now()
	a.progress.note("prove")
	envelope, err := a.prove(ctx, circuit, solution)
	if err != nil {
		return err
	}
	if err := a.results.proved(a.lasting, a.job, a.progress.text(), envelope); err != nil {
		return unsent{err}
	}
	a.observe(EventProved, time.Since(started), nil)
	return nil
}

// solve runs the plugin while the engine reads the key, and reports success at
// once: the scheduler accepts the task then, while the proof is made.
func (a *attempt) solve(ctx context.Context, circuit *opened, body []byte) (*host.Solution, error) {
	started := time.Now()
	group, inner := errgroup.WithContext(ctx)
	group.Go(func() error {
		if err := a.pool.Load(inner, circuit.key); err != nil {
			return engineError{err}
		}
		return nil
	})
	var solution *host.Solution
	group.Go(func() error {
		plugin, err := a.cfg.Plugins.Open(inner, circuit.Bundle)
		if err != nil {
			return err
		}
		failpoint.Hit("worker.solve.before")
		solution, err = plugin.Solve(inner, host.Task{
			ID: a.job.TaskID, Deployment: a.job.Deployment, Prover: a.job.Prover,
			Body: body, DataCommitment: a.job.DataCommitment, Progress: a.progress.note,
			Commit: func(ctx context.Context, values fr.Vector) (bn254.G1Affine, error) {
				point, device, err := a.pool.Commit(ctx, circuit.key, 0, values)
				if err != nil {
					return point, engineError{err}
				}
				a.committedBy = device
				return point, nil
			},
		})
		failpoint.Hit("worker.solve.after")
		if err != nil {
			return err
		}
		a.observe(EventSolved, time.Since(started), nil)
		if err := a.results.solved(a.lasting, a.job, a.progress.text()); err != nil {
			return unsent{err}
		}
		return nil
	})
	if err := group.Wait(); err != nil {
		if solution != nil {
			solution.Release()
		}
		return nil, err
	}
	return solution, nil
}

// prove returns a proof that verifies, whichever device made it.
func (a *attempt) prove(ctx context.Context, circuit *opened, solution *host.Solution) (*wire.ProofEnvelope, error) {
	blinding, err := gpu.NewBlinding()
	if err != nil {
		return nil, err
	}
	failpoint.Hit("worker.prove.before")
	made, err := a.pool.Prove(ctx, pool.Task{
		Request: gpu.Request{
			Key:      circuit.key,
			Solution: EngineSolution(solution),
			Blinding: blinding,
		},
		Due:         a.due(),
		CommittedBy: a.committedBy,
		Verify:      func(proof *gpu.Proof) error { return a.verify(circuit, a.envelope(circuit, solution, proof)) },
		Failed:      func(_ string, err error) { a.observe(EventBadProof, 0, err) },
	})
	failpoint.Hit("worker.prove.after")
	switch {
	case err == nil:
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case errors.Is(err, pool.ErrBlocked):
		// A bundle passed its known answer to get here, and a solution its check:
		// something is wrong that another attempt here does not mend.
		blocked := failure(CodeWrongProof, false, "no engine of worker %s makes a proof under bundle %s that verifies; the worker takes no more work for it until it is started again: %v", a.cfg.Name, circuit.Digest, err)
		a.bundles.block(circuit.Digest, blocked)
		return nil, blocked
	case errors.Is(err, pool.ErrWrongProof):
		return nil, failure(CodeWrongProof, true, "proofs under bundle %s do not verify: check the device (gristmill doctor): %v", circuit.Digest, err)
	default:
		return nil, engineError{err}
	}
	envelope := a.envelope(circuit, solution, made.Proof)
	envelope.Engine = made.Engine
	envelope.SolveMS, envelope.ProveMS, envelope.VerifyMS = solution.SolveMS, milliseconds(made.Prove), milliseconds(made.Verify)
	return envelope, nil
}

// due is when something is lost if the proof is not there; zero when nothing is.
func (a *attempt) due() time.Time {
	if a.job.Due == 0 || a.job.Due > math.MaxInt64 {
		return time.Time{}
	}
	return time.Unix(int64(a.job.Due), 0)
}

func (a *attempt) envelope(circuit *opened, solution *host.Solution, proof *gpu.Proof) *wire.ProofEnvelope {
	outputs := make([]wire.Hash, len(solution.Outputs))
	for i := range solution.Outputs {
		outputs[i] = wire.ElementHash(solution.Outputs[i])
	}
	return &wire.ProofEnvelope{
		TaskID: a.job.TaskID, Attempt: a.job.Attempt, Prover: a.job.Prover,
		Curve: wire.CurveBN254, Proof: WireProof(proof), Outputs: outputs,
		BundleDigest: circuit.Digest, VKID: circuit.Manifest.VKID,
	}
}

// verify checks the envelope as it will be sent, against what the job says the
// proof must be about. Anything wrong with it counts as a wrong proof.
func (a *attempt) verify(circuit *opened, envelope *wire.ProofEnvelope) error {
	inputs, err := wire.PublicInputs(a.job.Deployment, a.job.TaskID, a.job.Prover, a.job.DataCommitment, envelope.Outputs)
	if err == nil {
		err = groth16vk.Verify(circuit.vk, envelope.Proof, inputs)
	}
	if err != nil && !errors.Is(err, groth16vk.ErrInvalid) {
		err = fmt.Errorf("%w: %w", groth16vk.ErrInvalid, err)
	}
	return err
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func (a *attempt) observe(kind EventKind, took time.Duration, err error) {
	a.cfg.Observe(Event{Kind: kind, TaskID: a.job.TaskID, Attempt: a.job.Attempt, Project: a.job.Project, Took: took, Err: err})
}

// unsent marks a result that could not be queued.
type unsent struct{ err error }

func (e unsent) Error() string { return e.err.Error() }
func (e unsent) Unwrap() error { return e.err }
