package faulty

import (
	"bytes"

	"github.com/consensys/gnark-crypto/ecc/bn254"

	"github.com/gristmill-zk/gristmill/plugins/proto"
)

// stream stands between the host and the honest service and spoils what the
// latter says; the task was read already.
type stream struct {
	solveStream
	service *service
	mode    Mode
	task    *proto.SolveRequest // nil once the service had it
}

func (s *stream) Recv() (*proto.SolveRequest, error) {
	if task := s.task; task != nil {
		s.task = nil
		return task, nil
	}
	_, _, other, _ := bn254.Generators()
	made := &proto.SolveRequest{Event: &proto.SolveRequest_Committed{Committed: &proto.Committed{Point: other.Marshal()}}}
	if s.mode == CommitNever {
		return made, nil
	}
	in, err := s.solveStream.Recv()
	if s.service.answer == nil {
		s.service.answer = in
	}
	switch s.mode {
	case WrongChallenge:
		return made, err
	case CommitKept:
		return s.service.answer, err
	}
	return in, err
}

func (s *stream) Send(r *proto.SolveResponse) error {
	if commit := r.GetCommit(); commit != nil {
		if s.mode == CommitNever {
			return nil
		}
		if err := s.spoilCommit(commit); err != nil {
			return err
		}
	}
	if solved := r.GetSolved(); solved != nil {
		if err := s.service.spoil(s.mode, solved); err != nil {
			return err
		}
	}
	return s.solveStream.Send(r)
}

// spoilCommit changes what is committed to.
func (s *stream) spoilCommit(commit *proto.Commit) (err error) {
	switch s.mode {
	case CommitTwice:
		err = s.solveStream.Send(&proto.SolveResponse{Event: &proto.SolveResponse_Commit{Commit: &proto.Commit{Values: commit.GetValues()}}})
	case CommitFewer:
		commit.Values--
	case CommitGarbage:
		_, err = s.service.out.WriteAt(bytes.Repeat([]byte{0xff}, element), header+element)
	case CommitOther:
		_, err = s.service.out.WriteAt(bytes.Repeat([]byte{1}, element), header+element)
	}
	return err
}
