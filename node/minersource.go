package node

import (
	"context"
	"sync"

	"github.com/gristmill-zk/gristmill/miner"
)

// foundSource is the sequencer of the data directory, wherever it listens now:
// it may be started after its miner, or again on another port. Work and Submit
// come from different goroutines.
type foundSource struct {
	dir DataDir

	mu   sync.Mutex
	url  string
	http *miner.HTTPSource
}

var _ miner.Source = (*foundSource)(nil)

// find gives the source at the address that holds now.
func (s *foundSource) find() (*miner.HTTPSource, error) {
	info, err := loadRole(s.dir, upRole)
	if err != nil {
		info, _ = loadRole(s.dir, roleSequencer) // none: the usual address
	}
	url := firstOf(info.Mining, "http://"+DefaultMining)
	s.mu.Lock()
	defer s.mu.Unlock()
	if url == s.url {
		return s.http, nil
	}
	source, err := miner.NewHTTPSource(url, nil)
	if err != nil {
		return nil, err
	}
	s.url, s.http = url, source
	return source, nil
}

// Work implements miner.Source.
func (s *foundSource) Work(ctx context.Context, have string) (miner.Job, error) {
	source, err := s.find()
	if err != nil {
		return miner.Job{}, err
	}
	return source.Work(ctx, have)
}

// Submit implements miner.Source.
func (s *foundSource) Submit(ctx context.Context, solution miner.Solution) error {
	source, err := s.find()
	if err != nil {
		return err
	}
	return source.Submit(ctx, solution)
}
