package scheduler_test

import (
	"bytes"
	"math/big"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gristmill-zk/gristmill/scheduler"
	"github.com/gristmill-zk/gristmill/wire"
)

// good is a valid body as decoded.
func (e *env) good(t *testing.T, count int) wire.Body {
	t.Helper()
	raw, _ := e.body(t, count)
	var b wire.Body
	require.NoError(t, b.UnmarshalBinary(raw))
	return b
}

func TestUnfitDataIsDeclinedAndNeverAccepted(t *testing.T) {
	t.Parallel()
	for name, make := range map[string]func(*testing.T, *env) ([]byte, scheduler.Mined, string){
		"flipped byte": func(t *testing.T, e *env) ([]byte, scheduler.Mined, string) {
			raw, m := e.body(t, 2)
			bad := bytes.Clone(raw)
			bad[len(bad)/2] ^= 1
			e.bodies[m.DataHash] = bad
			return nil, m, "other data"
		},
		"truncated": func(t *testing.T, e *env) ([]byte, scheduler.Mined, string) {
			raw, m := e.body(t, 2)
			e.bodies[m.DataHash] = raw[:len(raw)-1]
			return nil, m, "other data"
		},
		"longer than mined": func(t *testing.T, e *env) ([]byte, scheduler.Mined, string) {
			raw, m := e.body(t, 2)
			e.bodies[m.DataHash] = append(bytes.Clone(raw), 0)
			return nil, m, "other data"
		},
		"nowhere": func(t *testing.T, e *env) ([]byte, scheduler.Mined, string) {
			_, m := e.body(t, 2)
			return nil, m, "404"
		},
		"size of another body": func(t *testing.T, e *env) ([]byte, scheduler.Mined, string) {
			raw, m := e.body(t, 2)
			m.Size--
			return raw, m, "other data"
		},
		"absurd size": func(t *testing.T, e *env) ([]byte, scheduler.Mined, string) {
			raw, m := e.body(t, 2)
			m.Size = wire.MaxBodySize + 1
			return raw, m, "at most"
		},
		"not a body": func(_ *testing.T, e *env) ([]byte, scheduler.Mined, string) {
			raw := []byte("not a body")
			return raw, scheduler.Mined{Project: 1, Version: 1, Count: 1, DataHash: wire.DataHash(raw), Size: uint32(len(raw))}, "body"
		},
		"other count": func(t *testing.T, e *env) ([]byte, scheduler.Mined, string) {
			raw, m := e.body(t, 2)
			m.Count = 3
			return raw, m, "2 messages"
		},
		"other commitment": func(t *testing.T, e *env) ([]byte, scheduler.Mined, string) {
			raw, m := e.body(t, 2)
			m.DataCommitment[31] ^= 1
			return raw, m, "commit to"
		},
		"other project": func(t *testing.T, e *env) ([]byte, scheduler.Mined, string) {
			raw, m := e.body(t, 2)
			m.Project = 2
			return raw, m, "project"
		},
		"batch too big": func(t *testing.T, e *env) ([]byte, scheduler.Mined, string) {
			b := e.good(t, batchSize)
			more := e.good(t, 1)
			b.Messages = append(b.Messages, more.Messages...)
			raw, err := b.MarshalBinary()
			require.NoError(t, err)
			return raw, scheduler.Mined{Project: 1, Version: 1, Count: batchSize + 1, DataHash: wire.DataHash(raw), Size: uint32(len(raw))}, "5 messages"
		},
		"forged signature": func(t *testing.T, e *env) ([]byte, scheduler.Mined, string) {
			b := e.good(t, 2)
			b.Messages[1].Payload[0] ^= 1
			raw, m := e.pack(t, b)
			return raw, m, "message 1"
		},
		"strange device": func(t *testing.T, e *env) ([]byte, scheduler.Mined, string) {
			raw, m := e.body(t, 2)
			device, err := e.signer.Key().ID()
			require.NoError(t, err)
			e.chain.banned[device] = true
			return raw, m, "not allowed"
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newEnv(t)
			raw, mined, reason := make(t, e)
			if raw != nil {
				e.serve(raw)
			}
			s, _ := e.start(t)
			e.workers(t)
			bad := e.mineAs(mined, me)
			declined := await(t, s, bad, scheduler.Declined)
			require.Contains(t, declined.Reason, reason)
			require.Zero(t, declined.Attempt, "nothing was dispatched")
			require.Eventually(t, func() bool { return chainStatus(t, s, e, bad) == scheduler.ChainWaiting }, patience, tick, "declined on chain")

			e.chain.Set(func(c *fakeChain) {
				require.Zero(t, c.attempts[scheduler.CallAccept])
				c.banned = map[wire.Hash]bool{}
			})
			next := e.mine(t, me) // the next good one goes through
			await(t, s, next, scheduler.Settled)
		})
	}
}

func TestAnotherSourceServesWhatTheFirstSpoils(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	liar := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("lies")) }))
	t.Cleanup(liar.Close)
	e.cfg.DataURLs = e.chain.urls
	e.chain.urls = []string{"ftp://nowhere", liar.URL}
	s, _ := e.start(t)
	e.workers(t)
	await(t, s, e.mine(t, me), scheduler.Settled)
}

// A block by a miner that serves nothing cannot hide the data from provers: the
// sequencer that authorised the task has it.
func TestTheAuthorisingSequencerServesWhatTheOperatorDoesNot(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	sequencer := wire.Address{0x5e}
	e.chain.signer = sequencer
	e.chain.urlsOf = map[wire.Address][]string{sequencer: e.chain.urls}
	e.chain.urls = nil
	s, _ := e.start(t)
	e.workers(t)
	await(t, s, e.mine(t, me), scheduler.Settled)
}

func TestOffersBelowTheProversTermsAreDeclined(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		spoil  func(*env)
		reason string
	}{
		"too little time, by the default": {func(e *env) { e.chain.version.ProveWindow = 59 * time.Second }, "prove window of 59s is below the 1m0s"},
		"too little time":                 {func(e *env) { e.cfg.MinProveWindow = window*time.Second + 1 }, "prove window of 1m40s is below the 1m40.000000001s"},
		"too little money":                {func(e *env) { e.cfg.MinReward = big.NewInt(1001) }, "reward of 1000 is below the 1001"},
		"no money":                        {func(e *env) { e.chain.version.Reward, e.cfg.MinReward = nil, big.NewInt(1) }, "reward of 0 is below the 1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newEnv(t)
			c.spoil(e)
			s, _ := e.start(t)
			e.workers(t)
			offered, waiting := e.mine(t, me), e.mine(t, wire.Address{})
			require.Contains(t, await(t, s, offered, scheduler.Declined).Reason, c.reason)
			require.Contains(t, await(t, s, waiting, scheduler.Declined).Reason, c.reason, "nor claimed")
			require.Eventually(t, func() bool { return chainStatus(t, s, e, offered) == scheduler.ChainWaiting }, patience, tick, "declined on chain")
			e.chain.Set(func(c *fakeChain) {
				require.Zero(t, c.attempts[scheduler.CallAccept])
				require.Zero(t, c.attempts[scheduler.CallClaim])
			})
		})
	}
}

func TestOffersAtTheProversTermsAreTaken(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	e.cfg.MinProveWindow, e.cfg.MinReward = window*time.Second, big.NewInt(1000)
	s, _ := e.start(t)
	e.workers(t)
	await(t, s, e.mine(t, me), scheduler.Settled)
}

func TestDataThatComesLateIsWaitedFor(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	e.cfg.FetchTries = 1000
	s, _ := e.start(t)
	e.workers(t)
	raw, mined := e.body(t, 1)
	id := e.mineAs(mined, me)
	require.Eventually(t, func() bool {
		detail, err := s.Store().Detail(t.Context(), id)
		return err == nil && len(detail.History) > 2
	}, patience, tick, "asked more than once")
	e.serve(raw)
	await(t, s, id, scheduler.Settled)
}
