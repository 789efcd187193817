package node

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/gristmill-zk/gristmill/scheduler"
	"github.com/gristmill-zk/gristmill/sequencer"
	"github.com/gristmill-zk/gristmill/worker"
)

// stage prints what happens, a line each, with the seconds since the start and
// who does it. It may be used by several goroutines.
type stage struct {
	mu    sync.Mutex
	out   io.Writer
	start time.Time
}

func newStage(out io.Writer) *stage {
	if out == nil {
		out = io.Discard
	}
	return &stage{out: out, start: time.Now()}
}

func (s *stage) tell(who, format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	line := strings.ReplaceAll(strings.TrimSpace(fmt.Sprintf(format, args...)), "\n", "; ")
	fmt.Fprintf(s.out, "%6.1f s  %-9s  %s\n", time.Since(s.start).Seconds(), who, line)
}

// Write takes whole lines, as the set-up prints them.
func (s *stage) Write(p []byte) (int, error) {
	for line := range bytes.Lines(p) {
		s.tell("set-up", "%s", bytes.TrimRight(line, "\n"))
	}
	return len(p), nil
}

// print writes a block of text as it is.
func (s *stage) print(text []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, err := s.out.Write(text)
	return err
}

func (s *stage) observers() observers {
	return observers{sequencer: s.onSequencer, scheduler: s.onScheduler, worker: s.onWorker}
}

func (s *stage) onSequencer(e sequencer.Event) {
	switch e := e.(type) {
	case sequencer.MessagesAccepted:
		s.tell("sequencer", "%d message(s) on disk and acknowledged", len(e.IDs))
	case sequencer.BatchMade:
		s.tell("sequencer", "body of %d messages, %d bytes, data %s, authorised", e.Messages, e.Size, short(e.DataHash))
	case sequencer.BlockFound:
		s.tell("miner", "block %d found: %s, bits %08x, %d task(s)", e.Height, e.Hash.BlockString()[:20], e.Bits, len(e.Tasks))
	case sequencer.BlockLanded:
		s.tell("chain", "block %d stands: tx %s, gas %d", e.Height, short(e.Tx), e.Gas)
	case sequencer.BlockLost:
		s.tell("chain", "block %d refused: %s", e.Height, e.Reason)
	case sequencer.TaskChanged:
		s.tell("chain", "task %s %s %s", short(e.Task), e.State, e.Reason)
	case sequencer.MessagesRefused:
		s.tell("sequencer", "%d message(s) refused: %s", e.Count, e.Reason)
	}
}

func (s *stage) onScheduler(e scheduler.Event) {
	switch e.Kind {
	case scheduler.StateChanged:
		s.tell("scheduler", "task %s is %s", short(e.Task.ID), e.Task.State)
	case scheduler.OfferAccepted:
		s.tell("scheduler", "task %s accepted on chain", short(e.Task.ID))
	case scheduler.ReceiptSeen:
		s.tell("scheduler", "task %s settled by tx %s, gas %d", short(e.Task.ID), short(e.Task.Tx), e.Task.Gas)
	}
}

func (s *stage) onWorker(e worker.Event) {
	switch e.Kind {
	case worker.EventSolved, worker.EventProved:
		s.tell("worker", "task %s %s in %.0f ms", short(e.TaskID), e.Kind, float64(e.Took.Microseconds())/1000)
	case worker.EventFailed, worker.EventBadProof:
		s.tell("worker", "task %s attempt %d: %v", short(e.TaskID), e.Attempt, e.Err)
	}
}
