package fetch

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/gristmill-zk/gristmill/internal/durable"
	"github.com/gristmill-zk/gristmill/plugins/bundle"
	"github.com/gristmill-zk/gristmill/wire"
)

// notePrefix begins the names of files in a store that say why a bundle is not
// there.
const notePrefix = ".failed-"

// maxNote bounds such a file, in bytes.
const maxNote = 64 << 10

// Note is what went wrong last with a bundle that is still missing.
type Note struct {
	Digest wire.Hash `json:"digest"`
	At     time.Time `json:"at"`
	Kind   Kind      `json:"kind"`
	Reason string    `json:"reason"`
	Advice string    `json:"advice"`
}

func notePath(store string, digest wire.Hash) string {
	return filepath.Join(store, notePrefix+bundle.DirName(digest)+".json")
}

// note writes down a failure. That it can not is only worth a line in the log.
func (f *Fetcher) note(digest wire.Hash, why *Failure) {
	text, err := json.Marshal(Note{Digest: digest, At: time.Now().UTC(), Kind: why.Kind, Reason: why.Err.Error(), Advice: why.Advice()})
	if err == nil {
		err = errors.Join(os.MkdirAll(f.cfg.Store, 0o755), durable.WriteFile(notePath(f.cfg.Store, digest), text))
	}
	if err != nil {
		f.cfg.Logger.WarnContext(f.ctx, "why a bundle is missing could not be written down", "bundle", digest, "error", err)
	}
}

func (f *Fetcher) unnote(digest wire.Hash) {
	if err := os.Remove(notePath(f.cfg.Store, digest)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		f.cfg.Logger.WarnContext(f.ctx, "an old failure could not be removed", "bundle", digest, "error", err)
	}
}

// Failures are what went wrong last with bundles that were wanted and are still
// not in a store.
func Failures(store string) ([]Note, error) {
	paths, err := filepath.Glob(filepath.Join(store, notePrefix+"*.json"))
	if err != nil {
		return nil, fmt.Errorf("fetch: %w", err)
	}
	root, err := os.OpenRoot(store)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("fetch: %w", err)
	}
	defer root.Close()
	var notes []Note
	for _, path := range paths {
		text, err := readSmall(root, filepath.Base(path), maxNote)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		var n Note
		if err == nil {
			err = json.Unmarshal(text, &n)
		}
		if err != nil {
			return nil, fmt.Errorf("fetch: %s: %w", path, err)
		}
		if _, err := root.Stat(bundle.DirName(n.Digest)); err == nil {
			continue // it came by hand
		}
		notes = append(notes, n)
	}
	return notes, nil
}
