package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/gristmill-zk/gristmill/gpu"
	"github.com/gristmill-zk/gristmill/internal/subprocess"
)

// passKey opens a key and passes it to the process: the file itself when the
// key lies in one, else a copy in memory.
func passKey(ctx context.Context, files *subprocess.FileSender, key gpu.Key, patience time.Duration) (_ uint64, err error) {
	if key.Open == nil {
		return 0, fmt.Errorf("%w: key %s can not be opened", gpu.ErrBadKey, key.ID)
	}
	source, err := key.Open()
	if err != nil {
		return 0, fmt.Errorf("open proving key %s: %w", key.ID, err)
	}
	defer func() { err = errors.Join(err, source.Close()) }()
	if file, ok := source.(*os.File); ok && wholeFile(file) {
		return files.Send(file, patience)
	}
	copied, err := copyKey(ctx, key, source)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, copied.Close()) }()
	return files.Send(copied, patience)
}

// wholeFile says whether reading goes on from a regular file's beginning.
func wholeFile(f *os.File) bool {
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return false
	}
	at, err := f.Seek(0, io.SeekCurrent)
	return err == nil && at == 0
}

// copyKey reads the key to its end, where its reader says whether it was
// altered, but not much further than the key is long.
func copyKey(ctx context.Context, key gpu.Key, source io.Reader) (*os.File, error) {
	if err := subprocess.CheckMemory(key.Size); err != nil {
		return nil, fmt.Errorf("%w: copy proving key %s: %w: keep the key in a file, or give the machine more memory", gpu.ErrDevice, key.ID, err)
	}
	copied, err := subprocess.MemoryFile("key")
	if err != nil {
		return nil, err
	}
	reader := &untilDone{ctx: ctx, source: io.LimitReader(source, key.Size+1)}
	if _, err := io.CopyBuffer(copied, reader, make([]byte, 1<<20)); err != nil {
		return nil, errors.Join(fmt.Errorf("%w: read proving key %s: %w", gpu.ErrBadKey, key.ID, err), copied.Close())
	}
	return copied, nil
}

// untilDone reads until a context ends.
type untilDone struct {
	ctx    context.Context
	source io.Reader
}

// Read implements io.Reader.
func (u *untilDone) Read(to []byte) (int, error) {
	if u.ctx.Err() != nil {
		return 0, context.Cause(u.ctx)
	}
	return u.source.Read(to)
}
