package node

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// ErrInUse says that another process holds what was to be locked.
var ErrInUse = errors.New("in use by another process")

// DataDir is the folder that all state of a node lives in.
//
//	chain/               the embedded chain
//	keys/NAME.json       account keys (web3 keystore v3)
//	devices/NAME.json    device keys, encrypted the same way
//	signers/NAME.json    keys that bundles are signed with, encrypted the same way
//	password             the keys' password when the node made it up itself
//	tx/ADDRESS.db        journal of the transactions an account has sent
//	sequencer/           mempool, bodies and blocks
//	scheduler/           what this prover does about each task
//	bundles/DIGEST/      circuits
//	deployment.json      which contracts, on which chain
//	node.json            where the running node listens (while it runs)
//	roles/ROLE.json      where a role listens that runs by itself (while it runs)
//	config.yaml          settings, optional
//	locks/               one file per running role
type DataDir struct{ path string }

// DefaultDataDir is where a node lives when nothing else was said:
// $XDG_DATA_HOME/gristmill, or ~/.local/share/gristmill.
func DefaultDataDir() string {
	if base := os.Getenv("XDG_DATA_HOME"); filepath.IsAbs(base) {
		return filepath.Join(base, "gristmill")
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return filepath.Join(".", ".gristmill")
	}
	return filepath.Join(home, ".local", "share", "gristmill")
}

// OpenDataDir makes the folder when it is missing, readable by its owner only.
func OpenDataDir(path string) (DataDir, error) {
	if path == "" {
		return DataDir{}, errors.New("data directory: no path given")
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return DataDir{}, fmt.Errorf("data directory %s: %w", path, err)
	}
	if err := os.MkdirAll(abs, 0o700); err != nil {
		return DataDir{}, fmt.Errorf("data directory: %w", err)
	}
	return DataDir{path: abs}, nil
}

// Path joins names below the data directory.
func (d DataDir) Path(names ...string) string {
	return filepath.Join(append([]string{d.path}, names...)...)
}

// String is the folder's absolute path.
func (d DataDir) String() string { return d.path }

// Lock is the right to be the one process that plays a role in a data
// directory. It ends with Release or with the process, however that ends.
type Lock struct{ file *os.File }

// Lock takes the lock of a role; ErrInUse, naming the holder's pid, when
// another process has it.
func (d DataDir) Lock(role string) (*Lock, error) {
	path := d.Path("locks", role+".lock")
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("lock %s: %w", role, err)
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", role, err)
	}
	if err := flock(file, unix.LOCK_EX); err != nil {
		holder := lockHolder(file)
		_ = file.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("%s in %s is %w%s", role, d.path, ErrInUse, holder)
		}
		return nil, fmt.Errorf("lock %s: %w", role, err)
	}
	// The pid only serves the message above: a failure to write it harms nobody.
	_ = file.Truncate(0)
	_, _ = fmt.Fprintf(file, "%d\n", os.Getpid())
	return &Lock{file: file}, nil
}

// A command that looks whether a role runs holds its lock for a moment; a role
// that starts right then tries again.
const (
	lockTries = 10
	lockPause = 10 * time.Millisecond
)

func flock(file *os.File, how int) (err error) {
	for range lockTries {
		if err = unix.Flock(int(file.Fd()), how|unix.LOCK_NB); !errors.Is(err, unix.EWOULDBLOCK) || how == unix.LOCK_SH {
			return err
		}
		time.Sleep(lockPause)
	}
	return err
}

func lockHolder(file *os.File) string {
	if pid := lockPID(file); pid != 0 {
		return fmt.Sprintf(" (pid %d)", pid)
	}
	return ""
}

// lockPID is who took a lock last; 0 when unknown.
func lockPID(file *os.File) int {
	buf := make([]byte, 32)
	n, _ := file.ReadAt(buf, 0)
	pid, _ := strconv.Atoi(strings.TrimSpace(string(buf[:n])))
	return pid
}

// Holder says whether a process plays a role in the data directory, and which.
// The lock tells it, not the pid: that of a process that was killed may be
// another's by now.
func (d DataDir) Holder(role string) (pid int, held bool, err error) {
	file, err := os.Open(d.Path("locks", role+".lock"))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, fmt.Errorf("lock %s: %w", role, err)
	}
	defer func() { _ = file.Close() }()
	switch err := flock(file, unix.LOCK_SH); {
	case errors.Is(err, unix.EWOULDBLOCK):
		return lockPID(file), true, nil
	case err != nil:
		return 0, false, fmt.Errorf("lock %s: %w", role, err)
	}
	return 0, false, nil
}

// Release gives the role free. A second Release is harmless.
func (l *Lock) Release() error {
	if l == nil || l.file == nil {
		return nil
	}
	err := l.file.Close()
	l.file = nil
	return err
}
