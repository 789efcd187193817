package scheduler

import (
	"context"
	"fmt"

	groth16bn254 "github.com/consensys/gnark/backend/groth16/bn254"

	"github.com/gristmill-zk/gristmill/internal/groth16vk"
	"github.com/gristmill-zk/gristmill/wire"
)

// verifier is a registered key, ready for use.
type verifier struct{ key *groth16bn254.VerifyingKey }

// badProof is an envelope that does not prove the task.
type badProof struct{ err error }

func (e *badProof) Error() string { return "proof refused: " + e.err.Error() }
func (e *badProof) Unwrap() error { return e.err }

// verify says whether an envelope proves a task, with the verifying key that
// the task's project version pins on chain. A *badProof is final; any other
// error means that it could not be told.
func (s *Scheduler) verify(ctx context.Context, t *Task, e *wire.ProofEnvelope) error {
	version, err := s.version(ctx, t)
	if err != nil {
		return err
	}
	if err := s.matches(t, e, version); err != nil {
		return &badProof{err}
	}
	v, _, err := s.keys.get(version.VKID, func() (*verifier, error) { return s.readKey(ctx, version.VKID) })
	if err != nil {
		return err
	}
	inputs, err := wire.PublicInputs(s.chain.Deployment(), t.ID, s.cfg.Prover, t.DataCommitment, e.Outputs)
	if err != nil {
		return &badProof{err}
	}
	if err := groth16vk.Verify(v.key, e.Proof, inputs); err != nil {
		return &badProof{err}
	}
	return nil
}

func (s *Scheduler) matches(t *Task, e *wire.ProofEnvelope, version Version) error {
	switch {
	case e.TaskID != t.ID:
		return fmt.Errorf("it is for task %s", e.TaskID)
	case e.Prover != s.cfg.Prover:
		return fmt.Errorf("it is bound to prover %s", e.Prover)
	case e.VKID != version.VKID:
		return fmt.Errorf("it is under verifying key %s, the version pins %s", e.VKID, version.VKID)
	case e.BundleDigest != version.BundleDigest:
		return fmt.Errorf("it is of bundle %s, the version pins %s", e.BundleDigest, version.BundleDigest)
	case len(e.Outputs) != int(version.Outputs):
		return fmt.Errorf("it has %d outputs, the version has %d", len(e.Outputs), version.Outputs)
	}
	return nil
}

func (s *Scheduler) readKey(ctx context.Context, id wire.Hash) (*verifier, error) {
	raw, err := s.chain.VerifyingKey(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("verifying key %s: %w", id, err)
	}
	if got := groth16vk.ID(raw); got != id {
		return nil, fmt.Errorf("verifying key %s: the chain gave %d bytes with id %s", id, len(raw), got)
	}
	key, err := groth16vk.ParseVK(raw)
	if err != nil {
		return nil, fmt.Errorf("verifying key %s: %w", id, err)
	}
	return &verifier{key}, nil
}
