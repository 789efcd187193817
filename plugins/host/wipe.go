package host

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/gristmill-zk/gristmill/plugins/internal/solution"
)

// wipe makes the kernel forget what is in a solution file, which keeps its
// size: a witness is a project's private data, and an idle process may stay for
// long.
func wipe(f *os.File, size int64) error {
	err := unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, 0, size)
	if errors.Is(err, unix.EOPNOTSUPP) {
		return solution.Clear(f, size)
	}
	if err != nil {
		return fmt.Errorf("wipe %s: %w", f.Name(), err)
	}
	return nil
}
