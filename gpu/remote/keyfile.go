package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"sync"

	"github.com/gristmill-zk/gristmill/gpu/proto"
)

// StageReadKey is the stage that an engine in another process reports while it
// reads a key, besides the engine's own.
const StageReadKey = "read key"

// stageWaits says that work waits for its turn again. The caller is not told.
const stageWaits = "waits"

// keyNote is after how many bytes of a key the next note is due.
const keyNote = 64 << 20

// keyFile is the key's file in the engine's process. It is asked for when the
// engine first opens the key, and stays open until the call ends.
type keyFile struct {
	ask      sync.Once
	answered chan struct{}
	reply    sync.Once
	number   uint64 // set before answered is closed

	mu   sync.Mutex
	file *os.File
}

func newKeyFile() *keyFile { return &keyFile{answered: make(chan struct{})} }

// answer is called with the worker's answer.
func (k *keyFile) answer(number uint64) {
	k.reply.Do(func() {
		k.number = number
		close(k.answered)
	})
}

func (k *keyFile) close() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.file != nil {
		_ = k.file.Close()
	}
}

// errKeySource is a key that the worker can not read. The worker replaces it by
// the reason, which it knows.
var errKeySource = errors.New("the worker can not read the key")

// openKey is the Open of the gpu.Key that the engine is given.
func (w *work) openKey() (io.ReadCloser, error) {
	w.key.ask.Do(func() {
		w.out <- &proto.WorkResponse{Event: &proto.WorkResponse_NeedKey{NeedKey: &proto.NeedKey{}}}
	})
	select {
	case <-w.key.answered:
	case <-w.ctx.Done():
		return nil, context.Cause(w.ctx)
	}
	if w.key.number == 0 {
		return nil, errKeySource
	}
	w.key.mu.Lock()
	defer w.key.mu.Unlock()
	if w.key.file == nil {
		file, err := w.files.Take(w.ctx, w.key.number)
		if err != nil {
			return nil, fmt.Errorf("the key's file: %w", err)
		}
		w.key.file = file
	}
	w.reached(StageReadKey)
	return &keyReader{SectionReader: io.NewSectionReader(w.key.file, 0, math.MaxInt64), work: w}, nil
}

// keyReader reads the key, reporting progress, and ends with the call.
type keyReader struct {
	*io.SectionReader
	work  *work
	since int64 // bytes since the last note
}

// Read implements io.Reader.
func (r *keyReader) Read(to []byte) (int, error) {
	if r.work.ctx.Err() != nil {
		return 0, context.Cause(r.work.ctx)
	}
	n, err := r.SectionReader.Read(to)
	if r.since += int64(n); r.since >= keyNote {
		r.since = 0
		r.work.reached(StageReadKey)
	}
	return n, err
}

// Close implements io.Closer; the file stays for the next reader. What follows
// may be a wait for room, which is no progress and no fault.
func (r *keyReader) Close() error {
	r.work.reached(stageWaits)
	return nil
}
