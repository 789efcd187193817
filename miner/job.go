package miner

import (
	"context"
	"errors"
	"math/big"

	"github.com/gristmill-zk/gristmill/wire"
)

// Job is a header whose nonce and BIP320 version bits are free.
type Job struct {
	// ID names the job towards its source. A job without one means that there
	// is nothing to mine at the moment.
	ID string
	// Header is the block header to solve; its Nonce is ignored.
	Header wire.Header
	// Target is what the hash, as a little-endian integer, may not exceed.
	Target *big.Int
}

// Solution is a solved header.
type Solution struct {
	JobID  string
	Header wire.Header
}

// Source hands out jobs and takes solutions.
type Source interface {
	// Work blocks until the source's current job is another than the one
	// named have ("" for none) and returns it. A job without ID tells to stop.
	Work(ctx context.Context, have string) (Job, error)
	// Submit hands in a solution. ErrStale means that the job is over and the
	// solution worthless; ErrRefused that the source found it wrong. Any
	// other error says nothing about the solution: it may be sent again.
	Submit(ctx context.Context, s Solution) error
}

var (
	// ErrStale is a source's answer to a solution of a job that is over.
	ErrStale = errors.New("job is over")
	// ErrRefused is a source's answer to a solution that it found wrong.
	ErrRefused = errors.New("solution refused")
)
