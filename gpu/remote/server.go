package remote

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"golang.org/x/sys/unix"

	"github.com/gristmill-zk/gristmill/gpu"
	"github.com/gristmill-zk/gristmill/gpu/proto"
	"github.com/gristmill-zk/gristmill/internal/subprocess"
)

// server is the engine's side of the contract.
type server struct {
	proto.UnimplementedEngineServer
	engine  gpu.Engine
	failure error // why there is no engine
	files   *subprocess.FileReceiver
	stdio   *stdio

	mu       sync.Mutex
	sequence uint64
}

// errCalledOff is work that the worker called off.
var errCalledOff = errors.New("called off")

// Describe implements the service.
func (s *server) Describe(context.Context, *proto.DescribeRequest) (*proto.DescribeResponse, error) {
	s.stdio.restore()
	if s.failure != nil {
		return &proto.DescribeResponse{Failure: encodeFailure(s.failure)}, nil
	}
	i := s.engine.Info()
	return &proto.DescribeResponse{
		Name: i.Name, Device: i.Device, Id: i.ID, Runtime: i.Runtime, Parallel: uint32(i.Parallel), Memory: i.Memory,
	}, nil
}

// Work implements the service.
func (s *server) Work(stream grpc.BidiStreamingServer[proto.WorkRequest, proto.WorkResponse]) error {
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	start := first.GetStart()
	if s.engine == nil || start == nil || len(start.GetKeyId()) != len(gpu.KeyID{}) {
		return status.Error(codes.InvalidArgument, "no engine, or a call without its start")
	}
	ctx, callOff := context.WithCancelCause(stream.Context())
	defer callOff(nil)
	w := &work{server: s, ctx: ctx, key: newKeyFile(), out: make(chan *proto.WorkResponse, 64)}
	defer w.key.close()
	go w.receive(stream, callOff)

	sent := make(chan error, 1)
	go func() {
		var failed error
		for m := range w.out {
			if failed == nil {
				failed = stream.Send(m)
			}
		}
		sent <- failed
	}()
	result := w.do(start)
	result.Stats = s.stats()
	w.out <- &proto.WorkResponse{Event: &proto.WorkResponse_Result{Result: result}}
	close(w.out)
	return <-sent
}

// Evict implements the service.
func (s *server) Evict(_ context.Context, req *proto.EvictRequest) (*proto.EvictResponse, error) {
	if s.engine == nil || len(req.GetKeyId()) != len(gpu.KeyID{}) {
		return nil, status.Error(codes.InvalidArgument, "no engine, or no key's name")
	}
	err := s.engine.Evict(gpu.KeyID(req.GetKeyId()))
	return &proto.EvictResponse{Failure: encodeFailure(err), Stats: s.stats()}, nil
}

// Shutdown implements the service.
func (s *server) Shutdown(context.Context, *proto.ShutdownRequest) (*proto.ShutdownResponse, error) {
	if s.engine == nil {
		return &proto.ShutdownResponse{}, nil
	}
	return &proto.ShutdownResponse{Failure: encodeFailure(s.engine.Close())}, nil
}

func (s *server) stats() *proto.Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sequence++
	have := s.engine.Stats()
	return &proto.Stats{
		Sequence: s.sequence, Loads: have.Loads, Evictions: have.Evictions, Keys: int64(have.Keys), KeyBytes: have.KeyBytes,
	}
}

// work is one call of Work.
type work struct {
	*server
	ctx context.Context
	key *keyFile
	out chan *proto.WorkResponse // what is to be sent
}

// receive takes the worker's later messages.
func (w *work) receive(stream grpc.BidiStreamingServer[proto.WorkRequest, proto.WorkResponse], callOff context.CancelCauseFunc) {
	for {
		m, err := stream.Recv()
		switch {
		case err != nil:
			callOff(errCalledOff)
			return
		case m.GetCancel() != nil:
			callOff(errCalledOff)
		case m.GetKeyFile() != nil:
			w.key.answer(m.GetKeyFile().GetFile())
		}
	}
}

// reached reports a stage. One that can not be sent at once is left out: there
// are others before it that the worker has not seen.
func (w *work) reached(stage string) {
	select {
	case w.out <- &proto.WorkResponse{Event: &proto.WorkResponse_Stage{Stage: &proto.Stage{Name: stage}}}:
	default:
	}
}

func (w *work) do(start *proto.Start) *proto.Result {
	key := gpu.Key{ID: gpu.KeyID(start.GetKeyId()), Size: start.GetKeySize(), Open: w.openKey}
	result, err := &proto.Result{}, error(nil)
	switch task := start.GetTask().(type) {
	case *proto.Start_Load:
		err = w.engine.Load(w.ctx, key)
	case *proto.Start_Commit:
		result.Point, err = w.commit(key, task.Commit)
	case *proto.Start_Prove:
		result.Proof, err = w.prove(key, task.Prove)
	default:
		err = fmt.Errorf("%w: a task of kind %T", gpu.ErrUnsupported, task)
	}
	result.Failure = encodeFailure(err)
	return result
}

func (w *work) commit(key gpu.Key, task *proto.Commit) ([]byte, error) {
	if task.GetValues() > maxElements {
		return nil, errLayout
	}
	memory, release, err := w.memory(task.GetFile(), int64(task.GetValues())*fr.Bytes)
	if err != nil {
		return nil, err
	}
	defer release()
	point, err := w.engine.Commit(w.ctx, key, int(task.GetIndex()), view[fr.Element](memory, task.GetValues()))
	if err != nil {
		return nil, err
	}
	return encodeG1(&point), nil
}

func (w *work) prove(key gpu.Key, task *proto.Prove) (*proto.Proof, error) {
	size, err := proveSize(task)
	if err != nil {
		return nil, err
	}
	memory, release, err := w.memory(task.GetFile(), size)
	if err != nil {
		return nil, err
	}
	defer release()
	req, err := readProve(memory, task)
	if err != nil {
		return nil, err
	}
	req.Key, req.Progress = key, w.reached
	proof, err := w.engine.Prove(w.ctx, req)
	if err != nil {
		return nil, err
	}
	return encodeProof(proof), nil
}

// memory maps a file that the worker passed.
func (w *work) memory(number uint64, size int64) ([]byte, func(), error) {
	file, err := w.files.Take(w.ctx, number)
	if err != nil {
		return nil, nil, err
	}
	memory, err := subprocess.MapReadOnly(file, max(size, 1))
	if err := errors.Join(err, file.Close()); err != nil {
		return nil, nil, fmt.Errorf("%w: map the solution: %w", gpu.ErrDevice, err)
	}
	return memory, func() {
		if err := unix.Munmap(memory); err != nil {
			fmt.Fprintln(os.Stderr, "unmap the solution:", err)
		}
	}, nil
}
