package sdk

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	cs "github.com/consensys/gnark/constraint/bn254"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/gristmill-zk/gristmill/internal/bsb22"
	"github.com/gristmill-zk/gristmill/plugins/internal/solution"
	"github.com/gristmill-zk/gristmill/plugins/proto"
	"github.com/gristmill-zk/gristmill/wire"
)

// server is the circuit service inside a plugin.
type server struct {
	proto.UnimplementedCircuitServer
	project  *Project
	circuit  func() (*loaded, error)
	solution io.WriterAt

	// gnark's solver keeps state in the constraint system: one solve at a time.
	solving sync.Mutex
	drained atomic.Bool
}

// loaded is the constraint system of the bundle.
type loaded struct {
	system      *cs.R1CS
	commitment  *bsb22.Commitment // nil if the circuit uses none
	description *Description
	digest      [sha256.Size]byte
}

// NewServer is a plugin's service over a constraint system and a place for
// solutions, for plugins that do not leave their main function to Main.
func NewServer(p *Project, circuit io.ReadCloser, out io.WriterAt) proto.CircuitServer {
	return &server{
		project:  p,
		solution: out,
		circuit:  sync.OnceValues(func() (*loaded, error) { return loadCircuit(p, circuit) }),
	}
}

// loadCircuit reads the bundle's constraint system: the keys belong to that
// one, so it is used as it is and not compiled again.
func loadCircuit(p *Project, f io.ReadCloser) (*loaded, error) {
	outputs, err := outputNames(p.New(p.BatchSize))
	if err != nil {
		return nil, err
	}
	hash := sha256.New()
	l := &loaded{system: new(cs.R1CS)}
	r := io.TeeReader(f, hash)
	if _, err := l.system.ReadFrom(r); err != nil {
		return nil, fmt.Errorf("read the circuit: %w", err)
	}
	if _, err := io.Copy(io.Discard, r); err != nil {
		return nil, fmt.Errorf("read the circuit: %w", err)
	}
	if l.commitment, err = bsb22.Of(l.system); err != nil {
		return nil, fmt.Errorf("read the circuit: %w", err)
	}
	hash.Sum(l.digest[:0])
	l.description = p.describe(l.system, outputs)
	return l, f.Close()
}

// Describe implements the service.
func (s *server) Describe(context.Context, *proto.DescribeRequest) (*proto.DescribeResponse, error) {
	l, err := s.circuit()
	if err != nil {
		return nil, status.Error(codes.Internal, err.Error())
	}
	d := l.description
	return &proto.DescribeResponse{
		Name: d.Name, Version: d.Version, Curve: d.Curve, Scheme: d.Scheme, DeviceScheme: d.DeviceScheme,
		BatchSize: d.BatchSize, PayloadLimit: d.PayloadLimit, Outputs: d.Outputs,
		Constraints: d.Constraints, Wires: d.Wires, PublicWires: d.PublicWires,
		CircuitSha256: l.digest[:], Commitments: d.Commitments,
	}, nil
}

// Drain implements the service.
func (s *server) Drain(context.Context, *proto.DrainRequest) (*proto.DrainResponse, error) {
	s.drained.Store(true)
	return &proto.DrainResponse{}, nil
}

// Solve implements the service.
func (s *server) Solve(stream grpc.BidiStreamingServer[proto.SolveRequest, proto.SolveResponse]) error {
	if s.drained.Load() {
		return status.Error(codes.Unavailable, "the plugin is draining")
	}
	if !s.solving.TryLock() {
		return status.Error(codes.ResourceExhausted, "a solve is under way in this process")
	}
	defer s.solving.Unlock()
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	if first.GetTask() == nil {
		return status.Error(codes.Internal, "the first message of a solve must be a task")
	}
	solved, err := s.solve(first.GetTask(), &session{stream: stream, solution: s.solution})
	if err != nil {
		return status.Error(codeOf(err), err.Error())
	}
	return stream.Send(&proto.SolveResponse{Event: &proto.SolveResponse_Solved{Solved: solved}})
}

func codeOf(err error) codes.Code {
	switch {
	case errors.Is(err, ErrTask):
		return codes.InvalidArgument
	case errors.Is(err, ErrUnsatisfied):
		return codes.FailedPrecondition
	default:
		return codes.Internal
	}
}

func (s *server) solve(req *proto.Task, talk *session) (*proto.Solved, error) {
	l, err := s.circuit()
	if err != nil {
		return nil, err
	}
	if err := talk.progress("assign"); err != nil {
		return nil, err
	}
	j, err := s.project.parse(req)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrTask, err)
	}
	assignment, err := s.project.assign(j)
	if err != nil {
		return nil, err
	}
	if err := talk.progress("solve"); err != nil {
		return nil, err
	}
	start := time.Now()
	r, err := solve(l.system, assignment, l.commitment, talk.commit)
	if err != nil {
		return nil, err
	}
	took := time.Since(start) - talk.waited
	h := solution.Header{
		Wires: l.description.Wires, Constraints: l.description.Constraints, Public: l.description.PublicWires,
	}
	copy(h.Task[:], req.GetTaskId())
	copy(h.Ticket[:], req.GetTicket())
	if err := solution.Write(s.solution, h, r.W, r.A, r.B); err != nil {
		return nil, err
	}
	return &proto.Solved{
		Outputs: encodeOutputs(r.W[3:h.Public]), SolveMs: float64(took.Microseconds()) / 1000,
	}, nil
}

func encodeOutputs(v fr.Vector) [][]byte {
	out := make([][]byte, len(v))
	for i := range v {
		word := v[i].Bytes()
		out[i] = word[:]
	}
	return out
}

// parse reads a request and checks that its body is what the data commitment
// and the signatures say.
func (p *Project) parse(req *proto.Task) (*job, error) {
	var task, commitment wire.Hash
	var prover, registry wire.Address
	for _, field := range []struct {
		name     string
		got, dst []byte
	}{
		{"task_id", req.GetTaskId(), task[:]}, {"data_commitment", req.GetDataCommitment(), commitment[:]},
		{"prover", req.GetProver(), prover[:]}, {"registry", req.GetRegistry(), registry[:]},
	} {
		if copy(field.dst, field.got) != len(field.dst) || len(field.got) != len(field.dst) {
			return nil, fmt.Errorf("%s has %d bytes, must have %d", field.name, len(field.got), len(field.dst))
		}
	}
	j := &job{deployment: wire.Deployment{ChainID: req.GetChainId(), Registry: registry}}
	if err := j.body.UnmarshalBinary(req.GetBody()); err != nil {
		return nil, fmt.Errorf("body: %w", err)
	}
	var err error
	if j.commitment, err = commitment.Element(); err != nil {
		return nil, fmt.Errorf("data_commitment: %w", err)
	}
	if err := p.checkBody(j); err != nil {
		return nil, err
	}
	j.binding = wire.Binding(j.deployment, task, prover)
	return j, nil
}

func (p *Project) checkBody(j *job) error {
	if n := len(j.body.Messages); n > p.BatchSize {
		return fmt.Errorf("body has %d messages, the circuit has room for %d", n, p.BatchSize)
	}
	limit := uint32(p.PayloadLimit)
	for i := range j.body.Messages {
		if err := j.body.Messages[i].Verify(j.deployment, limit); err != nil {
			return fmt.Errorf("message %d: %w", i, err)
		}
	}
	got, err := j.body.Commitment(j.deployment, uint32(p.BatchSize), limit)
	if err != nil {
		return err
	}
	if !got.Equal(&j.commitment) {
		return fmt.Errorf("data_commitment is %s, the body's is %s",
			wire.ElementHash(j.commitment), wire.ElementHash(got))
	}
	return nil
}
