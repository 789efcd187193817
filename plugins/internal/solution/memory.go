package solution

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Memory is a solution file in this process's memory: what is written to it the
// other side sees. Close must be called.
type Memory struct {
	// Bytes are the file's contents, nil when it is closed.
	Bytes []byte
}

// Map maps a whole solution file, which keeps its size as long as it is mapped.
func Map(f *os.File) (*Memory, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("map the solution: %w", err)
	}
	m, err := unix.Mmap(int(f.Fd()), 0, int(info.Size()), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map the solution: %w", err)
	}
	return &Memory{Bytes: m}, nil
}

// WriteAt implements io.WriterAt. It fails without having written when there is
// no room for p.
func (m *Memory) WriteAt(p []byte, at int64) (int, error) {
	if at < 0 || at > int64(len(m.Bytes)) || len(p) > len(m.Bytes)-int(at) {
		return 0, errors.New("write beyond the end of the solution")
	}
	return copy(m.Bytes[at:], p), nil
}

// Close gives the memory back. Nothing may be at work on it. A second call does
// nothing.
func (m *Memory) Close() error {
	if m.Bytes == nil {
		return nil
	}
	err := unix.Munmap(m.Bytes)
	m.Bytes = nil
	return err
}
