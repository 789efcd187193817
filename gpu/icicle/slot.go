//go:build icicle

package icicle

import (
	"errors"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
)

// slot is what one proof on the device needs besides its key. It is made once
// and lasts as long as the engine.
type slot struct {
	wires, quotient stream
	work            buffer
	used            int // bytes of work that hold a witness
}

// newSlot runs on the device's thread, as do all methods.
func newSlot() (*slot, error) {
	var s slot
	var err, err2 error
	s.wires, err = newStream()
	s.quotient, err2 = newStream()
	return &s, errors.Join(err, err2)
}

// take makes room for so many scalars.
func (s *slot) take(scalars int) error {
	size := scalars * fr.Bytes
	if size > s.work.size {
		if err := s.work.free(); err != nil {
			return err
		}
		var err error
		if s.work, err = allocate("a proof's work buffer", size); err != nil {
			return err
		}
	}
	s.used = size
	return nil
}

// wipe waits for both strands and overwrites what they left.
func (s *slot) wipe() error {
	err := errors.Join(s.quotient.wait(), s.work.zero(s.used, s.wires), s.wires.wait())
	s.used = 0
	return err
}

func (s *slot) close() error {
	return errors.Join(s.work.free(), s.wires.destroy(), s.quotient.destroy())
}
