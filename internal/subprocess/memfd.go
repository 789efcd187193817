package subprocess

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// mfdExec asks for an executable memory file where the kernel's default is not
// to allow that. Kernels before 6.3 do not know it.
const mfdExec = 0x10

// ExecutableFile copies a program into a memory file nobody can change any more.
func ExecutableFile(name string, program io.Reader) (*os.File, error) {
	f, err := memoryFileWith(name, mfdExec)
	if err != nil {
		return nil, err
	}
	if _, err := io.Copy(f, program); err != nil {
		return nil, errors.Join(fmt.Errorf("copy the program: %w", err), f.Close())
	}
	if err := seal(f, unix.F_SEAL_WRITE|unix.F_SEAL_GROW|unix.F_SEAL_SHRINK); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// FixedFile makes a memory file that keeps its size: a reader of it can not
// run into a hole that was not there before.
func FixedFile(name string, size int64) (*os.File, error) {
	f, err := memoryFileWith(name, 0)
	if err != nil {
		return nil, err
	}
	if err := f.Truncate(size); err != nil {
		return nil, errors.Join(fmt.Errorf("size the memory file: %w", err), f.Close())
	}
	if err := seal(f, unix.F_SEAL_GROW|unix.F_SEAL_SHRINK); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// MemoryFile makes an empty memory file.
func MemoryFile(name string) (*os.File, error) { return memoryFileWith(name, 0) }

func memoryFileWith(name string, flags int) (*os.File, error) {
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
