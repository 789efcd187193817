package ceremony

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"path/filepath"

	groth16 "github.com/consensys/gnark/backend/groth16/bn254"
	"github.com/consensys/gnark/backend/groth16/bn254/mpcsetup"

	"github.com/gristmill-zk/gristmill/internal/groth16vk"
	"github.com/gristmill-zk/gristmill/plugins/bundle"
	"github.com/gristmill-zk/gristmill/wire"
)

// StepError blames one step of a ceremony.
type StepError struct {
	Phase  int
	Number int    // of the contribution; 0 is the start of the phase
	Name   string // of the contributor
	Err    error
}

// Error implements error.
func (e *StepError) Error() string {
	if e.Number == 0 {
		return fmt.Sprintf("ceremony: phase %d, start: %v", e.Phase, e.Err)
	}
	return fmt.Sprintf("ceremony: phase %d, contribution %d (%s): %v", e.Phase, e.Number, e.Name, e.Err)
}

// Unwrap gives the cause.
func (e *StepError) Unwrap() error { return e.Err }

// Verify repeats all steps that are in the log and checks those that need a
// secret. A ceremony that is not final may verify: then so far all is well.
func (c *Ceremony) Verify(ctx context.Context) error {
	return await(ctx, func() error {
		_, err := c.replay(ctx)
		return err
	})
}

// replayed is where a ceremony has come to.
type replayed struct {
	phase1 *mpcsetup.Phase1 // until it is sealed
	common mpcsetup.SrsCommons
	evals  mpcsetup.Phase2Evaluations
	phase2 *mpcsetup.Phase2
}

// replay verifies the log from its beginning.
func (c *Ceremony) replay(ctx context.Context) (*replayed, error) {
	r := &replayed{phase1: mpcsetup.NewPhase1(c.Log.Domain)}
	if err := c.replay1(ctx, r); err != nil {
		return nil, err
	}
	if c.Log.Phase1.Beacon == nil {
		return r, c.checkCircuit()
	}
	c.tell("phase 1: applying the beacon")
	r.common = r.phase1.Seal(c.Log.Phase1.Beacon.Value)
	if c.Log.Phase2 == nil {
		return r, nil
	}
	if err := c.start2(r); err != nil {
		return nil, err
	}
	if digest(r.phase2) != c.Log.Phase2.Start {
		return nil, &StepError{Phase: 2, Err: errors.New("it does not follow from phase 1 and the circuit")}
	}
	if err := c.replay2(ctx, r); err != nil || c.Log.Keys == nil {
		return r, err
	}
	pk, vk, err := c.seal2(r, c.Log.Phase2.Beacon)
	if err != nil {
		return nil, err
	}
	return r, c.checkKeys(pk, vk)
}

func (c *Ceremony) checkCircuit() error {
	if c.Log.Circuit == nil {
		return nil
	}
	if _, err := loadCircuit(c.Dir, c.Log.Circuit); err != nil {
		return fmt.Errorf("ceremony: circuit: %w", err)
	}
	return nil
}

func (c *Ceremony) replay1(ctx context.Context, r *replayed) error {
	steps := c.Log.Phase1.Contributions
	for i := range steps {
		if err := ctx.Err(); err != nil {
			return err
		}
		c.tell("phase 1: verifying contribution %d of %d (%s)", i+1, len(steps), steps[i].Name)
		next, err := loadPhase1(c.Dir, c.Log.Domain, &steps[i])
		if err == nil {
			err = r.phase1.Verify(next)
		}
		if err != nil {
			return &StepError{Phase: 1, Number: i + 1, Name: steps[i].Name, Err: err}
		}
		r.phase1 = next
	}
	return nil
}

// start2 derives the beginning of phase 2.
func (c *Ceremony) start2(r *replayed) error {
	system, err := loadCircuit(c.Dir, c.Log.Circuit)
	if err != nil {
		return fmt.Errorf("ceremony: circuit: %w", err)
	}
	c.tell("phase 2: deriving its start from phase 1 and the circuit")
	r.phase2 = new(mpcsetup.Phase2)
	r.evals = r.phase2.Initialize(system, &r.common)
	return nil
}

func (c *Ceremony) replay2(ctx context.Context, r *replayed) error {
	steps := c.Log.Phase2.Contributions
	for i := range steps {
		if err := ctx.Err(); err != nil {
			return err
		}
		c.tell("phase 2: verifying contribution %d of %d (%s)", i+1, len(steps), steps[i].Name)
		next, err := loadPhase2(c.Dir, &steps[i])
		if err == nil {
			err = r.phase2.Verify(next)
		}
		if err != nil {
			return &StepError{Phase: 2, Number: i + 1, Name: steps[i].Name, Err: err}
		}
		r.phase2 = next
	}
	return nil
}

// seal2 applies the last beacon and gives the keys.
func (c *Ceremony) seal2(r *replayed, beacon *Beacon) (*groth16.ProvingKey, *groth16.VerifyingKey, error) {
	c.tell("phase 2: applying the beacon")
	pk, vk := r.phase2.Seal(&r.common, &r.evals, beacon.Value)
	proving, ok1 := pk.(*groth16.ProvingKey)
	verifying, ok2 := vk.(*groth16.VerifyingKey)
	if !ok1 || !ok2 {
		return nil, nil, fmt.Errorf("ceremony: gnark made keys of the types %T and %T", pk, vk)
	}
	return proving, verifying, nil
}

// checkKeys compares keys with those of the log and the files.
func (c *Ceremony) checkKeys(pk *groth16.ProvingKey, vk *groth16.VerifyingKey) error {
	evm, err := groth16vk.EncodeVK(vk)
	if err != nil {
		return fmt.Errorf("ceremony: %w", err)
	}
	if id := groth16vk.ID(evm); id != c.Log.Keys.VKID {
		return fmt.Errorf("ceremony: the contributions make the verifying key %s, the log says %s", id, c.Log.Keys.VKID)
	}
	for _, key := range []struct {
		name  string
		write func(io.Writer) error
		want  wire.Hash
	}{
		{fileProvingKey, pk.WriteDump, c.Log.Keys.ProvingKey},
		{fileVerifyingKey, func(w io.Writer) error { _, err := vk.WriteRawTo(w); return err }, c.Log.Keys.VerifyingKey},
	} {
		hash := sha256.New()
		if err := key.write(hash); err != nil {
			return fmt.Errorf("ceremony: %w", err)
		}
		if got := wire.Hash(hash.Sum(nil)); got != key.want {
			return fmt.Errorf("ceremony: the contributions make a %s of digest %s, the log says %s", key.name, got, key.want)
		}
		err := checked(c.Dir, key.name, key.want, nil, func(io.Reader) error { return nil })
		if err != nil {
			return fmt.Errorf("ceremony: %w", err)
		}
	}
	return nil
}

// KeySource lends the keys of a final ceremony to a bundle.
func (c *Ceremony) KeySource() (*bundle.KeySource, error) {
	if c.Log.Keys == nil {
		return nil, fmt.Errorf("ceremony: %s: %w", c.Dir, ErrNotFinal)
	}
	path := func(name string) string { return filepath.Join(c.Dir, name) }
	return &bundle.KeySource{
		Origin:       bundle.KeysCeremony,
		Ceremony:     &bundle.CeremonyInfo{Transcript: c.Digest, Contributors: c.Log.Contributors()},
		Circuit:      c.Log.Circuit.SHA256,
		ProvingKey:   bundle.KeyFile{Path: path(fileProvingKey), SHA256: c.Log.Keys.ProvingKey},
		VerifyingKey: bundle.KeyFile{Path: path(fileVerifyingKey), SHA256: c.Log.Keys.VerifyingKey},
	}, nil
}
