package bundle

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gristmill-zk/gristmill/wire"
)

const (
	// buildPrefix begins the names of directories in which builds are under way.
	buildPrefix = ".build-"
	// receivePrefix begins those in which bundles come in that are resumed when
	// something breaks; the digest follows.
	receivePrefix = ".receive-"
	// leftoverAge is longer than any build takes.
	leftoverAge = 24 * time.Hour
)

// ErrBusy says that another process receives the same bundle into the store.
var ErrBusy = errors.New("another process is receiving it")

// makeStage makes a directory in a store in which a bundle is put together.
// What a killed process left goes away with later calls.
func makeStage(store string) (dir string, err error) {
	if err := os.MkdirAll(store, 0o755); err != nil {
		return "", fmt.Errorf("bundle: %w", err)
	}
	removeLeftovers(store)
	if dir, err = os.MkdirTemp(store, buildPrefix); err != nil {
		return "", fmt.Errorf("bundle: %w", err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		return "", fmt.Errorf("bundle: %w", err)
	}
	return dir, nil
}

// stage is the directory that a bundle comes into.
type stage struct {
	dir  string
	lock *os.File // nil for one that nobody else can have
}

// openStage makes a stage; with resume it is the one that an earlier try left.
func openStage(store string, digest wire.Hash, resume bool) (*stage, error) {
	if !resume {
		dir, err := makeStage(store)
		return &stage{dir: dir}, err
	}
	dir := filepath.Join(store, receivePrefix+DirName(digest))
	for {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, fmt.Errorf("bundle: %w", err)
		}
		lock, err := lockDir(dir)
		if err == nil {
			removeLeftovers(store)
			return &stage{dir: dir, lock: lock}, nil
		}
		// Whoever had it may have moved or removed it in the meantime.
		if !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
	}
}

// lockDir takes a directory for this process. ErrBusy when another has it,
// os.ErrNotExist when it went away just now.
func lockDir(dir string) (*os.File, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, fmt.Errorf("bundle: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, ErrBusy
		}
		return nil, fmt.Errorf("bundle: lock %s: %w", dir, err)
	}
	if s := (&stage{dir: dir, lock: f}); !s.ours() {
		_ = f.Close()
		return nil, os.ErrNotExist
	}
	return f, nil
}

// leave ends the use of a stage and removes what is in it, unless it is kept.
func (s *stage) leave(keep bool) (err error) {
	if !keep && s.ours() {
		err = os.RemoveAll(s.dir)
	}
	if s.lock != nil {
		err = errors.Join(err, s.lock.Close())
	}
	if err != nil {
		return fmt.Errorf("bundle: %w", err)
	}
	return nil
}

// ours says that the directory is still the one that was opened: a bundle that
// got its place took it along, and another process may have made it anew.
func (s *stage) ours() bool {
	if s.lock == nil {
		return true
	}
	locked, err1 := s.lock.Stat()
	there, err2 := os.Stat(s.dir)
	return err1 == nil && err2 == nil && os.SameFile(locked, there)
}

// removeLeftovers removes what killed processes left behind and nobody came back
// for. What can not be removed harms nobody.
func removeLeftovers(store string) {
	entries, err := os.ReadDir(store)
	if err != nil {
		return
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || time.Since(info.ModTime()) <= leftoverAge {
			continue
		}
		dir := filepath.Join(store, e.Name())
		switch {
		case strings.HasPrefix(e.Name(), buildPrefix):
			_ = os.RemoveAll(dir)
		case strings.HasPrefix(e.Name(), receivePrefix):
			if lock, err := lockDir(dir); err == nil {
				_ = (&stage{dir: dir, lock: lock}).leave(false)
			}
		}
	}
}
