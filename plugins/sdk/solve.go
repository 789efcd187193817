package sdk

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/consensys/gnark-crypto/ecc"
	"github.com/consensys/gnark-crypto/ecc/bn254"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	cs "github.com/consensys/gnark/constraint/bn254"
	"github.com/consensys/gnark/constraint/solver"
	"github.com/consensys/gnark/frontend"
	"google.golang.org/grpc"

	"github.com/gristmill-zk/gristmill/internal/bsb22"
	"github.com/gristmill-zk/gristmill/plugins/internal/solution"
	"github.com/gristmill-zk/gristmill/plugins/proto"
)

// errCommit marks a commitment that could not be had: no word about the task.
var errCommit = errors.New("commitment")

// solve runs gnark's solver. It keeps state in the system: one call at a time.
// commit is called at most once, if the circuit uses a commitment.
func solve(system *cs.R1CS, assignment *platform, c *bsb22.Commitment, commit bsb22.Commit, opts ...solver.Option) (*cs.R1CSSolution, error) {
	full, err := frontend.NewWitness(assignment, ecc.BN254.ScalarField())
	if err != nil {
		return nil, fmt.Errorf("witness: %w", err)
	}
	var failed error
	opts = append(opts, bsb22.Hint(c, func(values fr.Vector) (point bn254.G1Affine, err error) {
		point, failed = commit(values)
		return point, failed
	}))
	result, err := system.Solve(full, opts...)
	switch {
	case failed != nil:
		return nil, fmt.Errorf("%w: %w", errCommit, failed)
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrUnsatisfied, err)
	}
	solved, ok := result.(*cs.R1CSSolution)
	if !ok {
		return nil, fmt.Errorf("solver returned a %T", result)
	}
	return solved, nil
}

// session is the talk with the host during one solve.
type session struct {
	stream   grpc.BidiStreamingServer[proto.SolveRequest, proto.SolveResponse]
	solution io.WriterAt
	waited   time.Duration // for the host's answer
}

func (s *session) progress(stage string) error {
	return s.stream.Send(&proto.SolveResponse{
		Event: &proto.SolveResponse_Progress{Progress: &proto.Progress{Stage: stage}},
	})
}

// commit asks the host, which has the proving key, for the commitment.
func (s *session) commit(values fr.Vector) (point bn254.G1Affine, err error) {
	start := time.Now()
	defer func() { s.waited += time.Since(start) }()
	if err := solution.WriteCommitted(s.solution, values); err != nil {
		return point, err
	}
	err = s.stream.Send(&proto.SolveResponse{
		Event: &proto.SolveResponse_Commit{Commit: &proto.Commit{Values: uint32(len(values))}},
	})
	if err != nil {
		return point, err
	}
	answer, err := s.stream.Recv()
	if err != nil {
		return point, err
	}
	raw := answer.GetCommitted().GetPoint()
	if len(raw) != bn254.SizeOfG1AffineUncompressed {
		return point, fmt.Errorf("the host's point has %d bytes, must have %d", len(raw), bn254.SizeOfG1AffineUncompressed)
	}
	_, err = point.SetBytes(raw)
	return point, err
}
