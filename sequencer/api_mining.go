package sequencer

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/gristmill-zk/gristmill/miner"
	"github.com/gristmill-zk/gristmill/wire"
)

const maxSubmission = 4 << 10 // bytes of a submitted solution

// newMiningAPI builds the API for outside miners. It has no access control:
// its listener is for machines the operator trusts with being asked a lot.
func newMiningAPI(s *Sequencer) http.Handler {
	mux, api := newHuma("gristmill mining", "Hands out block headers to solve and takes the solved ones.")
	register(api, huma.Operation{
		OperationID: "get-work", Method: http.MethodGet, Path: "/v1/mining/work", Summary: "The job to work on",
		DefaultStatus: http.StatusOK,
		Responses: map[string]*huma.Response{
			"200": jsonResponse("The job; without an id while there is nothing to mine", schemaOf[miner.WorkAnswer](api)),
			"204": {Description: "No other job within the time waited"},
		},
	}, s.getWork)
	op := huma.Operation{
		OperationID: "submit-solution", Method: http.MethodPost, Path: "/v1/mining/submit", Summary: "Hand in a solved header",
		Middlewares: huma.Middlewares{withBody(maxSubmission, s.bodies)},
		RequestBody: jsonBody("The solution.", schemaOf[miner.SubmitRequest](api)),
	}
	documentProblems(api, &op, 400, 405, 408, 409, 413, 415, 429, 503)
	huma.Register(api, op, func(ctx context.Context, _ *struct{}) (*bodyOf[miner.SubmitAnswer], error) {
		a, err := s.postSolution(ctx, bodyFrom(ctx))
		if err != nil {
			return nil, problemOf(err)
		}
		return &bodyOf[miner.SubmitAnswer]{a}, nil
	})
	requireBody(api, "/v1/mining/submit")
	dropUnused(api)
	return withNotFound(mux)
}

type workInput struct {
	Have string `query:"have" doc:"The job the miner works on; the answer waits until another is current."`
	Wait string `query:"wait" doc:"Seconds to wait at most, 0 to 60; 25 when missing."`
}

type workOutput struct {
	Status int
	Body   *miner.WorkAnswer
}

func (s *Sequencer) getWork(ctx context.Context, in *workInput) (*workOutput, error) {
	seconds, err := parseUint("wait", in.Wait, 25, 0, uint64(longPollMost/time.Second))
	if err != nil {
		return nil, err
	}
	waiting, cancel := context.WithTimeout(ctx, time.Duration(seconds)*time.Second)
	defer cancel()
	job, height, err := s.desk.work(waiting, in.Have)
	switch {
	case err == nil:
		answer := job.Answer(height)
		return &workOutput{http.StatusOK, &answer}, nil
	case errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled):
		return &workOutput{Status: http.StatusNoContent}, nil
	case errors.Is(err, errStopping):
		return nil, err
	default:
		return nil, s.failed(ctx, err)
	}
}

func (s *Sequencer) postSolution(ctx context.Context, body []byte) (miner.SubmitAnswer, error) {
	var req miner.SubmitRequest
	if err := json.Unmarshal(body, &req); err != nil {
		return miner.SubmitAnswer{}, refuse(wire.RejectMalformed, "", "not a solution: %v", err)
	}
	solution, err := req.Solution()
	if err != nil {
		return miner.SubmitAnswer{}, err
	}
	err = s.Submit(ctx, solution)
	switch {
	case errors.Is(err, miner.ErrStale):
		return miner.SubmitAnswer{}, problem(http.StatusConflict, codeStaleJob, "job_id", "this job is over")
	case err != nil:
		return miner.SubmitAnswer{}, s.answerable(ctx, err)
	}
	return miner.SubmitAnswer{Block: solution.Header.Hash().BlockString()}, nil
}
