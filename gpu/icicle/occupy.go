//go:build icicle

package icicle

import (
	"errors"
	"fmt"

	"github.com/gristmill-zk/gristmill/gpu"
)

// Occupy takes a device's memory until left bytes are free, as another program
// might, to see what engines do then. Release gives it back.
func Occupy(kind string, index int, left int64) (release func() error, err error) {
	d, err := openDevice(kind, index)
	if err != nil {
		return nil, err
	}
	var taken []buffer
	release = func() error {
		return d.on(func() error {
			var failures []error
			for i := range taken {
				failures = append(failures, taken[i].free())
			}
			return errors.Join(failures...)
		})
	}
	err = d.on(func() error {
		// Small pieces at the end, as memory is handed out in whole pages.
		for piece := int64(1 << 30); piece >= 1<<20; {
			_, free, err := availableMemory()
			if err != nil {
				return err
			}
			if free-left < piece {
				piece /= 2
				continue
			}
			b, err := allocate("occupied memory", int(piece))
			if errors.Is(err, gpu.ErrDevice) {
				piece /= 2
				continue
			}
			if err != nil {
				return err
			}
			taken = append(taken, b)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("occupy memory of %s: %w", d.Name, errors.Join(err, release()))
	}
	return release, nil
}
