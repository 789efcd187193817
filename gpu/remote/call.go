package remote

import (
	"context"
	"fmt"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/gristmill-zk/gristmill/gpu"
	"github.com/gristmill-zk/gristmill/gpu/proto"
	"github.com/gristmill-zk/gristmill/internal/subprocess"
)

// call is one piece of work in the process. Its fields are the watchdog's and
// guarded by the child's mutex.
type call struct {
	begun  bool      // it reached a stage: it is no more waiting for its turn
	paused bool      // the process waits for this side
	stage  string    // the last it reached
	since  time.Time // when
}

// stuck says what the process is stuck in, if it is. Work that waits for its
// turn may wait as long as other work goes on.
func (c *child) stuck(now time.Time) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	limit, waiting := c.cfg.StallTimeout, len(c.calls) > 0
	for w := range c.calls {
		if w.paused {
			waiting = false
		} else if idle := now.Sub(w.since); w.begun && idle > limit {
			return fmt.Sprintf("was stuck in stage %q for %v", w.stage, idle.Round(time.Millisecond))
		}
	}
	if idle := now.Sub(c.progress); waiting && idle > limit {
		return fmt.Sprintf("did not begin its work for %v", idle.Round(time.Millisecond))
	}
	return ""
}

func (c *child) enter() *call {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if len(c.calls) == 0 {
		c.progress = now
	}
	w := &call{since: now}
	c.calls[w] = struct{}{}
	return w
}

func (c *child) leave(w *call) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.calls, w)
	c.progress = time.Now()
	if c.retired != "" && len(c.calls) == 0 {
		c.condemn(c.retired)
	}
}

// retire lets a process finish the work it has and then ends it: what its device
// failed in may have spoilt its state for good, as errors of CUDA do.
func (c *child) retire(verdict string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.retired = verdict
	if len(c.calls) == 0 {
		c.condemn(verdict)
	}
}

func (c *child) reached(w *call, stage string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	w.begun, w.stage, w.since = stage != stageWaits, stage, time.Now()
	c.progress = w.since
}

func (c *child) pause(w *call, paused bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	w.paused, w.since = paused, time.Now()
	c.progress = w.since
}

type workStream = grpc.BidiStreamingClient[proto.WorkRequest, proto.WorkResponse]

// received is one message of the process, or the end of its messages.
type received struct {
	message *proto.WorkResponse
	err     error
}

// work has the process do a piece of work and returns its result, which may be
// a failure. When it returns the process is at it no more.
func (c *child) work(ctx context.Context, start *proto.Start, key gpu.Key, progress func(string)) (*proto.Result, error) {
	w := c.enter()
	defer c.leave(w)
	ctx, release := context.WithCancel(ctx)
	streaming, end := context.WithCancel(context.Background())
	stream, err := c.rpc.Work(streaming, grpc.MaxCallRecvMsgSize(proto.MaxMessage), grpc.MaxCallSendMsgSize(proto.MaxMessage))
	if err != nil {
		release()
		end()
		return nil, c.lost(err)
	}
	// What is sent on a broken stream gets its error from Recv.
	_ = stream.Send(&proto.WorkRequest{Event: &proto.WorkRequest_Start{Start: start}})

	var helpers sync.WaitGroup
	defer helpers.Wait()
	defer end()
	defer release() // a key is read no further
	events := make(chan received)
	helpers.Go(func() { receive(streaming, stream, events) })

	x := &exchange{child: c, call: w, stream: stream, key: key, progress: progress}
	called, grace := ctx.Done(), (<-chan time.Time)(nil)
	for {
		select {
		case e := <-events:
			if e.err != nil {
				return nil, c.parted(e.err)
			}
			if result, err := x.handle(ctx, e.message, &helpers); result != nil || err != nil {
				return result, err
			}
		case s := <-x.supplied:
			x.supply(s)
		case <-called:
			called = nil
			_ = stream.Send(&proto.WorkRequest{Event: &proto.WorkRequest_Cancel{Cancel: &proto.Cancel{}}})
			timer := time.NewTimer(c.cfg.CancelGrace)
			defer timer.Stop()
			grace = timer.C
		case <-grace:
			return nil, c.ignored()
		case <-c.gone:
			return nil, c.reason
		case <-c.doomed:
			return nil, c.end()
		}
	}
}

// parted says what the end of a stream without a result means: that of a process
// that goes on is its own doing.
func (c *child) parted(err error) error {
	switch status.Code(err) {
	case codes.Unavailable, codes.Canceled:
		return c.lost(err)
	default:
		return c.broke("no result: %v", err)
	}
}

// ignored ends a process that went on with work that was called off.
func (c *child) ignored() error {
	c.kill(fmt.Sprintf("went on for %v with work that was called off", c.cfg.CancelGrace))
	return c.end()
}

func receive(ctx context.Context, stream workStream, to chan<- received) {
	for {
		m, err := stream.Recv()
		select {
		case to <- received{m, err}:
		case <-ctx.Done():
			return
		}
		if err != nil {
			return
		}
	}
}

// exchange is what a call is at with the process.
type exchange struct {
	child    *child
	call     *call
	stream   workStream
	key      gpu.Key
	progress func(string)

	supplied chan suppliedKey // nil until the key was asked for
	keyErr   error
}

type suppliedKey struct {
	number uint64
	err    error
}

// handle takes one message. It returns the result when that is what it is.
func (x *exchange) handle(ctx context.Context, m *proto.WorkResponse, helpers *sync.WaitGroup) (*proto.Result, error) {
	switch event := m.GetEvent().(type) {
	case *proto.WorkResponse_Stage:
		stage := subprocess.Clean(event.Stage.GetName())
		x.child.reached(x.call, stage)
		if x.progress != nil && stage != stageWaits {
			x.progress(stage)
		}
	case *proto.WorkResponse_NeedKey:
		if x.supplied != nil {
			return nil, x.child.broke("it asked for the key twice")
		}
		x.child.pause(x.call, true)
		x.supplied = make(chan suppliedKey, 1)
		helpers.Go(func() {
			number, err := passKey(ctx, x.child.files, x.key, x.child.cfg.StallTimeout)
			x.supplied <- suppliedKey{number, err}
		})
	case *proto.WorkResponse_Result:
		if x.keyErr != nil && event.Result.GetFailure() != nil {
			return nil, x.keyErr
		}
		if event.Result == nil {
			return nil, x.child.broke("a result without contents")
		}
		return event.Result, nil
	default:
		return nil, x.child.broke("a message of kind %T", event)
	}
	return nil, nil
}

// supply answers the process's wish for the key.
func (x *exchange) supply(s suppliedKey) {
	x.keyErr = s.err
	x.child.pause(x.call, false)
	_ = x.stream.Send(&proto.WorkRequest{Event: &proto.WorkRequest_KeyFile{KeyFile: &proto.KeyFile{File: s.number}}})
}
