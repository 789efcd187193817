package ceremony

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	groth16 "github.com/consensys/gnark/backend/groth16/bn254"

	"github.com/gristmill-zk/gristmill/internal/groth16vk"
	"github.com/gristmill-zk/gristmill/plugins/bundle"
)

// Finalize ends a phase with a beacon, after all before it was verified. Ending
// phase 1 begins phase 2; ending phase 2 makes the keys.
func (c *Ceremony) Finalize(ctx context.Context, phase int, beacon Beacon) error {
	beacon.Time = now()
	if err := beacon.validate(); err != nil {
		return fmt.Errorf("ceremony: %w", err)
	}
	unlock, err := c.begin()
	if err != nil {
		return err
	}
	defer unlock()
	switch {
	case phase != c.Log.OpenPhase():
		return fmt.Errorf("ceremony: phase %d can not be ended: %w", phase, c.whatIsOpen())
	case phase == 1 && len(c.Log.Phase1.Contributions) == 0, phase == 2 && len(c.Log.Phase2.Contributions) == 0:
		return fmt.Errorf("ceremony: phase %d has no contribution: with the beacon alone everybody would know its secret", phase)
	case phase == 1:
		return c.endPhase1(ctx, beacon)
	default:
		return c.endPhase2(ctx, beacon)
	}
}

func (c *Ceremony) whatIsOpen() error {
	if open := c.Log.OpenPhase(); open != 0 {
		return fmt.Errorf("phase %d is the one that takes contributions", open)
	}
	return errors.New("no phase is open")
}

// endPhase1 verifies phase 1 and, with a circuit, derives the start of phase 2.
func (c *Ceremony) endPhase1(ctx context.Context, beacon Beacon) error {
	var phase2 *Phase2
	err := await(ctx, func() error {
		r, err := c.replay(ctx)
		if err != nil || c.Log.Circuit == nil {
			return err
		}
		c.tell("phase 1: applying the beacon")
		r.common = r.phase1.Seal(beacon.Value)
		if err := c.start2(r); err != nil {
			return err
		}
		start, err := put(c.Dir, fileStart, writeTo(r.phase2))
		phase2 = &Phase2{Start: start, Phase: Phase{Contributions: []Contribution{}}}
		return err
	})
	if err != nil {
		return err
	}
	c.Log.Phase1.Beacon, c.Log.Phase2 = &beacon, phase2
	return c.save()
}

// endPhase2 verifies everything and makes the keys.
func (c *Ceremony) endPhase2(ctx context.Context, beacon Beacon) error {
	var keys *Keys
	err := await(ctx, func() error {
		r, err := c.replay(ctx)
		if err != nil {
			return err
		}
		pk, vk, err := c.seal2(r, &beacon)
		if err != nil {
			return err
		}
		c.tell("writing the keys")
		keys, err = c.putKeys(pk, vk)
		return err
	})
	if err != nil {
		return err
	}
	c.Log.Phase2.Beacon, c.Log.Keys = &beacon, keys
	return c.save()
}

func (c *Ceremony) putKeys(pk *groth16.ProvingKey, vk *groth16.VerifyingKey) (*Keys, error) {
	evm, err := groth16vk.EncodeVK(vk)
	if err != nil {
		return nil, fmt.Errorf("ceremony: %w", err)
	}
	keys := &Keys{VKID: groth16vk.ID(evm)}
	if keys.ProvingKey, err = put(c.Dir, fileProvingKey, pk.WriteDump); err != nil {
		return nil, err
	}
	keys.VerifyingKey, err = put(c.Dir, fileVerifyingKey, func(w io.Writer) error { _, err := vk.WriteRawTo(w); return err })
	return keys, err
}

// CheckBundle makes sure that a bundle's keys are those of this ceremony, and
// verifies the ceremony.
func (c *Ceremony) CheckBundle(ctx context.Context, b *bundle.Bundle) error {
	keys, err := c.KeySource()
	if err != nil {
		return err
	}
	have, err := b.KeySource()
	if err != nil {
		return err
	}
	switch {
	case have.Origin != bundle.KeysCeremony:
		return fmt.Errorf("ceremony: the bundle has keys of the kind %q", have.Origin)
	case have.Ceremony.Transcript != c.Digest:
		return fmt.Errorf("ceremony: the bundle names the transcript %s, this one is %s", have.Ceremony.Transcript, c.Digest)
	case !slices.Equal(have.Ceremony.Contributors, keys.Ceremony.Contributors):
		return errors.New("ceremony: the bundle names other contributors than the transcript")
	case have.Circuit != keys.Circuit:
		return fmt.Errorf("ceremony: the bundle's circuit is %s, the ceremony is for %s", have.Circuit, keys.Circuit)
	case have.ProvingKey.SHA256 != keys.ProvingKey.SHA256:
		return fmt.Errorf("ceremony: the bundle's proving key is %s, that of the ceremony %s", have.ProvingKey.SHA256, keys.ProvingKey.SHA256)
	case have.VerifyingKey.SHA256 != keys.VerifyingKey.SHA256 || b.Manifest.VKID != c.Log.Keys.VKID:
		return fmt.Errorf("ceremony: the bundle's verifying key is %s, that of the ceremony %s", b.Manifest.VKID, c.Log.Keys.VKID)
	}
	return c.Verify(ctx)
}
