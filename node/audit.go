package node

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/ethereum/go-ethereum/common"

	"github.com/gristmill-zk/gristmill/audit"
	"github.com/gristmill-zk/gristmill/chain"
	"github.com/gristmill-zk/gristmill/wire"
)

// Audit checks the whole deployment again. Data and records come from the
// sequencers and provers that are known here (named by a flag, or running on
// the data directory), all of which must have the right bytes, and data also
// from whatever endpoints operators registered on chain.
func (s *Session) Audit(ctx context.Context, progress func(audit.Report)) (audit.Report, error) {
	return runAudit(ctx, s.deployment, progress,
		[]string{s.opts.Endpoints.Sequencer, s.info.Sequencer}, []string{s.opts.Endpoints.Scheduler, s.info.Scheduler})
}

func runAudit(ctx context.Context, d *chain.Deployment, progress func(audit.Report), sequencers, schedulers []string) (audit.Report, error) {
	var places audit.Places
	known := map[string]bool{"": true}
	add := func(urls []string, use func(url string)) {
		for _, url := range urls {
			url = strings.TrimRight(url, "/")
			if !known[url] {
				known[url] = true
				use(url)
			}
		}
	}
	add(sequencers, func(url string) {
		places.Bodies = append(places.Bodies, bodyAt(url, true))
		places.Blocks = append(places.Blocks, (&blockPages{url: url}).at)
	})
	add(schedulers, func(url string) {
		places.Bodies = append(places.Bodies, bodyAt(url, true))
		places.Proofs = append(places.Proofs, proofAt(url))
	})
	registered, err := registeredURLs(ctx, d)
	if err != nil {
		return audit.Report{}, err
	}
	add(registered, func(url string) { places.Bodies = append(places.Bodies, bodyAt(url, false)) })
	return audit.Run(ctx, audit.Config{Source: audit.NewOnChain(d, places), Progress: progress})
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

// proofAt asks a prover for its records. A record that it cannot read any more,
// or that is no proof envelope as it stands, is damaged: what was asked for is
// well-formed, so a refusal with a code is about the record. Anything else that
// goes wrong says nothing about it.
func proofAt(url string) audit.ProofFunc {
	return func(ctx context.Context, task wire.Hash) (*wire.ProofEnvelope, error) {
		envelope := new(wire.ProofEnvelope)
		err := getJSON(ctx, url+"/v1/proofs/"+task.String(), envelope)
		var refused *refusal
		var reject *wire.Reject
		switch {
		case errors.Is(err, errNotFound):
			return nil, audit.ErrNoProof
		case errors.As(err, &refused) && refused.Code != "" && refused.Code != wire.RejectUnavailable && refused.Code != wire.RejectOverloaded:
			return nil, fmt.Errorf("%w: %s: %s", audit.ErrDamaged, refused.Code, refused.Detail)
		case errors.As(err, &reject):
			return nil, fmt.Errorf("%w: %w", audit.ErrDamaged, reject)
		}
		return envelope, err
	}
}

// blockPage is how many blocks a sequencer is asked for at once.
const blockPage = 1000

// blockPages reads a sequencer's record of mined blocks, a page at a time.
type blockPages struct {
	url    string
	begun  bool
	newest uint64 // height of the sequencer's last block when the audit began
	until  uint64 // the page in hand has all blocks below
	page   map[uint64]audit.StoredBlock
}

func (p *blockPages) at(ctx context.Context, height uint64) (*audit.StoredBlock, error) {
	if !p.begun {
		if err := p.read(ctx, "?limit=1"); err != nil {
			return nil, err
		}
		for newest := range p.page {
			p.newest = newest
		}
		p.begun = true
	}
	if height >= p.until {
		if err := p.read(ctx, fmt.Sprintf("?limit=%d&before=%d", blockPage, height+blockPage)); err != nil {
			return nil, err
		}
		p.until = height + blockPage
	}
	b, there := p.page[height]
	switch {
	case there:
		return &b, nil
	case height < p.newest:
		return &audit.StoredBlock{Where: p.url, Missing: true}, nil
	}
	return nil, nil // it follows the chain with some blocks' delay
}

// hexText is bytes as hexadecimal digits.
type hexText []byte

// UnmarshalText reads the digits.
func (h *hexText) UnmarshalText(text []byte) (err error) {
	*h, err = hex.DecodeString(strings.TrimPrefix(string(text), "0x"))
	return err
}

func (p *blockPages) read(ctx context.Context, query string) error {
	var answer struct {
		Blocks []struct {
			Height      uint64       `json:"height"`
			Hash        wire.Hash    `json:"hash"`
			Operator    wire.Address `json:"operator"`
			Beneficiary wire.Address `json:"beneficiary"`
			Tasks       uint32       `json:"tasks"`
			Header      hexText      `json:"header"`
			Coinbase    hexText      `json:"coinbase"`
		} `json:"blocks"`
	}
	if err := getJSON(ctx, p.url+"/v1/blocks"+query, &answer); err != nil {
		return err
	}
	p.page = map[uint64]audit.StoredBlock{}
	for _, b := range answer.Blocks {
		p.page[b.Height] = audit.StoredBlock{
			Where: p.url, Height: b.Height, Hash: b.Hash, Operator: b.Operator, Beneficiary: b.Beneficiary, Tasks: b.Tasks,
			Header: b.Header, Coinbase: b.Coinbase,
		}
	}
	return nil
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
