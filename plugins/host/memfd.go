package host

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"github.com/gristmill-zk/gristmill/plugins/internal/solution"
)

// mfdExec asks for an executable memory file where the kernel's default is not
// to allow that. Kernels before 6.3 do not know it.
const mfdExec = 0x10

// executableFile copies a plugin into a memory file nobody can change any more.
func executableFile(name string, plugin io.Reader) (*os.File, error) {
	f, err := memoryFile(name, mfdExec)
	if err != nil {
		return nil, err
	}
	if _, err := io.Copy(f, plugin); err != nil {
		return nil, errors.Join(fmt.Errorf("copy the plugin: %w", err), f.Close())
	}
	if err := seal(f, unix.F_SEAL_WRITE|unix.F_SEAL_GROW|unix.F_SEAL_SHRINK); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// solutionFile makes a memory file that keeps its size: a reader of it can not
// run into a hole that was not there before.
func solutionFile(name string, size int64) (*os.File, error) {
	f, err := memoryFile(name, 0)
	if err != nil {
		return nil, err
	}
	if err := f.Truncate(size); err != nil {
		return nil, errors.Join(fmt.Errorf("size the solution file: %w", err), f.Close())
	}
	if err := seal(f, unix.F_SEAL_GROW|unix.F_SEAL_SHRINK); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

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

func memoryFile(name string, flags int) (*os.File, error) {
	flags |= unix.MFD_CLOEXEC | unix.MFD_ALLOW_SEALING
	fd, err := unix.MemfdCreate(name, flags)
	if errors.Is(err, unix.EINVAL) && flags&mfdExec != 0 {
		fd, err = unix.MemfdCreate(name, flags&^mfdExec)
	}
	if err != nil {
		return nil, fmt.Errorf("memory file: %w", err)
	}
	return os.NewFile(uintptr(fd), name), nil
}

func seal(f *os.File, seals int) error {
	if _, err := unix.FcntlInt(f.Fd(), unix.F_ADD_SEALS, seals|unix.F_SEAL_SEAL); err != nil {
		return fmt.Errorf("seal %s: %w", f.Name(), err)
	}
	return nil
}
