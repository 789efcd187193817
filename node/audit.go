package node

import (
	"context"
	"errors"

	"github.com/ethereum/go-ethereum/common"

	"github.com/gristmill-zk/gristmill/audit"
	"github.com/gristmill-zk/gristmill/chain"
	"github.com/gristmill-zk/gristmill/wire"
)

// Audit checks the whole deployment again. Data comes from the sequencer and
// the prover that are known here, both of which must have the right bytes, and
// from whatever endpoints operators registered on chain.
func (s *Session) Audit(ctx context.Context, progress func(audit.Report)) (audit.Report, error) {
	return runAudit(ctx, s.deployment, progress, s.SequencerURL(), s.SchedulerURL())
}

func runAudit(ctx context.Context, d *chain.Deployment, progress func(audit.Report), sequencer, scheduler string) (audit.Report, error) {
	var bodies []audit.BodyFunc
	known := map[string]bool{"": true}
	for _, url := range []string{sequencer, scheduler} {
		if !known[url] {
			known[url] = true
			bodies = append(bodies, bodyAt(url, true))
		}
	}
	registered, err := registeredURLs(ctx, d)
	if err != nil {
		return audit.Report{}, err
	}
	for _, url := range registered {
		if !known[url] {
			known[url] = true
			bodies = append(bodies, bodyAt(url, false))
		}
	}
	return audit.Run(ctx, audit.Config{Source: audit.NewOnChain(d, proofAt(scheduler), bodies...), Progress: progress})
}

// strikes is how often in a row an endpoint of somebody else may fail before an
// audit asks it no more: each time may take as long as a request can.
const strikes = 3

// bodyAt asks an endpoint for bodies. One that must answer makes the audit fail
// when it does not, and its wrong bytes are a finding. Any other may be gone for
// good or lie: anyone may register an endpoint, so its wrong bytes are none.
func bodyAt(url string, must bool) audit.BodyFunc {
	failed := 0
	return func(ctx context.Context, hash wire.Hash) ([]byte, error) {
		if failed == strikes {
			return nil, audit.ErrNoBody
		}
		body, err := getBytes(ctx, url+"/v1/data/"+hash.String())
		switch {
		case errors.Is(err, errNotFound):
			failed = 0
			return nil, audit.ErrNoBody
		case must || ctx.Err() != nil:
			return body, err
		case err != nil:
			failed++
			return nil, audit.ErrNoBody
		case wire.DataHash(body) != hash:
			return nil, audit.ErrNoBody
		}
		failed = 0
		return body, nil
	}
}

// proofAt asks a prover for its records; nil when there is none to ask.
func proofAt(url string) audit.ProofFunc {
	if url == "" {
		return nil
	}
	return func(ctx context.Context, task wire.Hash) (*wire.ProofEnvelope, error) {
		envelope := new(wire.ProofEnvelope)
		err := getJSON(ctx, url+"/v1/proofs/"+task.String(), envelope)
		if errors.Is(err, errNotFound) {
			return nil, audit.ErrNoProof
		}
		return envelope, err
	}
}

// registeredURLs are the endpoints that operators have on chain now.
func registeredURLs(ctx context.Context, d *chain.Deployment) ([]string, error) {
	now := map[wire.Address][]string{}
	var order []wire.Address
	err := eachEvent(ctx, d, []common.Address{d.Parts().Sequencers}, nil, func(e chain.Event) error {
		if set, is := e.(chain.EndpointsSet); is {
			if _, seen := now[set.Operator]; !seen {
				order = append(order, set.Operator)
			}
			now[set.Operator] = set.URLs
		}
		return nil
	})
	var urls []string
	for _, operator := range order {
		urls = append(urls, now[operator]...)
	}
	return urls, err
}
