package subprocess

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// MaxRunDir leaves room in a socket's address, which ends after 108 bytes, for
// the names go-plugin appends: a parent is at most this long.
const MaxRunDir = 66

const (
	runDirPattern = "gm-*"
	runDirLock    = "lock"
)

// RunDir is a directory for sockets. A lock that the kernel lets go with
// the process tells it from what a killed process left behind.
type RunDir struct {
	path string
	lock *os.File
}

// NewRunDir makes a directory under parent, or when parent is empty under the
// system's temporary one, or /tmp where that one's name is too long, and removes
// those of dead processes.
func NewRunDir(parent string) (*RunDir, error) {
	if parent == "" && len(os.TempDir()) > MaxRunDir {
		parent = "/tmp"
	}
	if parent != "" {
		if err := os.MkdirAll(parent, 0o700); err != nil {
			return nil, fmt.Errorf("run directory: %w", err)
		}
	}
	const attempts = 16
	for range attempts {
		d, err := lockRunDir(parent)
		if errors.Is(err, errTaken) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("run directory: %w", err)
		}
		removeStale(filepath.Dir(d.path))
		return d, nil
	}
	return nil, fmt.Errorf("run directory: %w", errTaken)
}

// errTaken says that another host, cleaning up, saw the directory before it was
// locked and removed it.
var errTaken = errors.New("the directory was removed while it was made")

func lockRunDir(parent string) (*RunDir, error) {
	path, err := os.MkdirTemp(parent, runDirPattern)
	if err != nil {
		return nil, err
	}
	if len(path) > MaxRunDir+len("/gm-4294967295") {
		return nil, errors.Join(os.Remove(path),
			fmt.Errorf("the temporary directory %s is too long for a socket's address: set RunDir", path))
	}
	name := filepath.Join(path, runDirLock)
	lock, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	lockErr := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	ours, err1 := lock.Stat()
	there, err2 := os.Stat(name)
	if lockErr != nil || err1 != nil || err2 != nil || !os.SameFile(ours, there) {
		return nil, errors.Join(errTaken, lock.Close())
	}
	return &RunDir{path: path, lock: lock}, nil
}

// removeStale is best effort: what can not be removed harms nobody.
func removeStale(parent string) {
	locks, err := filepath.Glob(filepath.Join(parent, runDirPattern, runDirLock))
	if err != nil {
		return
	}
	for _, name := range locks {
		// An open description of our own is what the lock belongs to, so this
		// process's live hosts are safe too.
		f, err := os.OpenFile(name, os.O_RDWR, 0)
		if err != nil {
			continue
		}
		if unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil {
			_ = os.RemoveAll(filepath.Dir(name))
		}
		_ = f.Close()
	}
}

// Path is where the directory is.
func (d *RunDir) Path() string { return d.path }

// Remove deletes the directory with all that is in it.
func (d *RunDir) Remove() error {
	return errors.Join(os.RemoveAll(d.path), d.lock.Close())
}
