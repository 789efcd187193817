package ceremony

import (
	"context"
	"fmt"
	"io"

	"github.com/consensys/gnark/backend/groth16/bn254/mpcsetup"
)

// Contribute mixes a fresh secret of this process into the phase that is open
// and forgets it. What was written is read back and verified before it counts.
// The steps before are not verified; [Ceremony.Verify] does.
func (c *Ceremony) Contribute(ctx context.Context, name string) (*Contribution, error) {
	if err := checkName(name); err != nil {
		return nil, fmt.Errorf("ceremony: %w", err)
	}
	unlock, err := c.begin()
	if err != nil {
		return nil, err
	}
	defer unlock()
	phase := c.Log.OpenPhase()
	var chain *Phase
	switch phase {
	case 1:
		chain = &c.Log.Phase1
	case 2:
		chain = &c.Log.Phase2.Phase
	default:
		return nil, fmt.Errorf("ceremony: %w: it is final", ErrClosed)
	}
	if len(chain.Contributions) == maxContributions {
		return nil, fmt.Errorf("ceremony: phase %d has %d contributions, which is the most", phase, maxContributions)
	}
	step := Contribution{Number: len(chain.Contributions) + 1, Name: name}
	err = await(ctx, func() error {
		if phase == 1 {
			return c.contribute1(&step)
		}
		return c.contribute2(&step)
	})
	if err != nil {
		return nil, err
	}
	step.Time = now()
	chain.Contributions = append(chain.Contributions, step)
	return &step, c.save()
}

func (c *Ceremony) contribute1(step *Contribution) error {
	before, err := c.last1()
	if err != nil {
		return err
	}
	c.tell("phase 1, contribution %d: mixing in a secret", step.Number)
	before.Contribute()
	if step.SHA256, err = put(c.Dir, contributionFile(1, step.Number), writeTo(before)); err != nil {
		return err
	}
	c.tell("phase 1, contribution %d: checking it", step.Number)
	if before, err = c.last1(); err != nil {
		return err
	}
	after, err := loadPhase1(c.Dir, c.Log.Domain, step)
	if err == nil {
		err = before.Verify(after)
	}
	if err != nil {
		return &StepError{Phase: 1, Number: step.Number, Name: step.Name, Err: err}
	}
	return nil
}

// last1 is the newest state of phase 1.
func (c *Ceremony) last1() (*mpcsetup.Phase1, error) {
	steps := c.Log.Phase1.Contributions
	if len(steps) == 0 {
		return mpcsetup.NewPhase1(c.Log.Domain), nil
	}
	step := &steps[len(steps)-1]
	p, err := loadPhase1(c.Dir, c.Log.Domain, step)
	if err != nil {
		return nil, &StepError{Phase: 1, Number: step.Number, Name: step.Name, Err: err}
	}
	return p, nil
}

func (c *Ceremony) contribute2(step *Contribution) error {
	before, err := c.last2()
	if err != nil {
		return err
	}
	c.tell("phase 2, contribution %d: mixing in a secret", step.Number)
	before.Contribute()
	if step.SHA256, err = put(c.Dir, contributionFile(2, step.Number), writeTo(before)); err != nil {
		return err
	}
	c.tell("phase 2, contribution %d: checking it", step.Number)
	if before, err = c.last2(); err != nil {
		return err
	}
	after, err := loadPhase2(c.Dir, step)
	if err == nil {
		err = before.Verify(after)
	}
	if err != nil {
		return &StepError{Phase: 2, Number: step.Number, Name: step.Name, Err: err}
	}
	return nil
}

// last2 is the newest state of phase 2.
func (c *Ceremony) last2() (*mpcsetup.Phase2, error) {
	steps := c.Log.Phase2.Contributions
	if len(steps) == 0 {
		p, err := loadStart(c.Dir, c.Log.Phase2.Start)
		if err != nil {
			return nil, &StepError{Phase: 2, Err: err}
		}
		return p, nil
	}
	step := &steps[len(steps)-1]
	p, err := loadPhase2(c.Dir, step)
	if err != nil {
		return nil, &StepError{Phase: 2, Number: step.Number, Name: step.Name, Err: err}
	}
	return p, nil
}

func writeTo(s io.WriterTo) func(io.Writer) error {
	return func(w io.Writer) error { _, err := s.WriteTo(w); return err }
}
