package subprocess

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// Memory is a memory file of fixed size that this process writes and other
// processes, to which the file is passed, can only read.
type Memory struct {
	// File is what is passed on.
	File *os.File
	// Bytes are the file's contents.
	Bytes []byte
}

// memoryReserve is what a memory file leaves the rest of the machine.
const memoryReserve = 256 << 20

// CheckMemory fails with ENOMEM when the machine has no room for size more
// bytes. It must come first: the kernel does not refuse a memory file that is
// too large, it ends processes, whosever they are, until there is room.
func CheckMemory(size int64) error {
	raw, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return fmt.Errorf("find out how much memory there is: %w", err)
	}
	available, err := availableMemory(string(raw))
	if err != nil {
		return err
	}
	return checkMemory(size, available)
}

func checkMemory(size, available int64) error {
	if size > available-memoryReserve {
		return fmt.Errorf("%w: %d bytes of shared memory are needed, %d are available and %d of them are left to others",
			unix.ENOMEM, size, available, int64(memoryReserve))
	}
	return nil
}

// availableMemory finds what can be used without ending anything.
func availableMemory(meminfo string) (int64, error) {
	for line := range strings.Lines(meminfo) {
		var kib int64
		if n, _ := fmt.Sscanf(line, "MemAvailable: %d kB", &kib); n == 1 {
			return kib << 10, nil
		}
	}
	return 0, errors.New("the kernel does not say how much memory is available")
}

// NewMemory makes a memory file of size bytes, all zero and all there: writing
// to it can not fail for want of memory. It fails with ENOMEM when there is no
// room for it.
func NewMemory(name string, size int64) (_ *Memory, err error) {
	if err := CheckMemory(size); err != nil {
		return nil, err
	}
	f, err := memoryFileWith(name, 0)
	if err != nil {
		return nil, err
	}
	m := &Memory{File: f}
	defer func() {
		if err != nil {
			err = errors.Join(err, m.Close())
		}
	}()
	if err := unix.Fallocate(int(f.Fd()), 0, 0, size); err != nil {
		return nil, fmt.Errorf("%d bytes of shared memory: %w", size, err)
	}
	if m.Bytes, err = unix.Mmap(int(f.Fd()), 0, int(size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED); err != nil {
		return nil, fmt.Errorf("map %d bytes of shared memory: %w", size, err)
	}
	// The mapping that exists stays writable, new ones can only be read. Kernels
	// before 5.1 do not know that seal.
	seals := unix.F_SEAL_GROW | unix.F_SEAL_SHRINK
	if err := seal(f, seals|unix.F_SEAL_FUTURE_WRITE); errors.Is(err, unix.EINVAL) {
		return m, seal(f, seals)
	} else if err != nil {
		return nil, err
	}
	return m, nil
}

// Close gives the memory back. What another process mapped stays there until it
// lets go.
func (m *Memory) Close() error {
	var unmap error
	if m.Bytes != nil {
		unmap = unix.Munmap(m.Bytes)
		m.Bytes = nil
	}
	return errors.Join(unmap, m.File.Close())
}

// MapReadOnly maps the first size bytes of a memory file that another process
// made, which must be sealed against shrinking.
func MapReadOnly(f *os.File, size int64) ([]byte, error) {
	seals, err := unix.FcntlInt(f.Fd(), unix.F_GET_SEALS, 0)
	if err != nil || seals&unix.F_SEAL_SHRINK == 0 {
		return nil, errors.New("the shared memory is not sealed against shrinking")
	}
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if size < 1 || size > info.Size() {
		return nil, fmt.Errorf("%d bytes of a shared memory of %d", size, info.Size())
	}
	return unix.Mmap(int(f.Fd()), 0, int(size), unix.PROT_READ, unix.MAP_SHARED|unix.MAP_POPULATE)
}
