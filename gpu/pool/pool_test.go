package pool_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/consensys/gnark-crypto/ecc/bn254"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/gristmill-zk/gristmill/gpu"
	"github.com/gristmill-zk/gristmill/gpu/check"
	"github.com/gristmill-zk/gristmill/gpu/cpu"
	"github.com/gristmill-zk/gristmill/gpu/enginetest"
	"github.com/gristmill-zk/gristmill/gpu/pool"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// card is an engine whose behaviour the test scripts: each proof takes a fixed
// time and ends as the next of its outcomes says, the last one from then on.
type card struct {
	id       string
	parallel int
	takes    time.Duration

	mu       sync.Mutex
	outcomes []error // nil makes a right proof, errWrong a wrong one
	begun    []gpu.KeyID
	busy     int
	most     int
}

var errWrong = errors.New("a wrong proof")

func (c *card) Info() gpu.Info {
	return gpu.Info{Name: "card", Device: "test", ID: c.id, Parallel: max(1, c.parallel)}
}
func (c *card) Load(context.Context, gpu.Key) error { return nil }

// Commit ends as the next proof would.
func (c *card) Commit(ctx context.Context, key gpu.Key, _ int, _ fr.Vector) (bn254.G1Affine, error) {
	p, err := c.Prove(ctx, gpu.Request{Key: key})
	if err != nil {
		return bn254.G1Affine{}, err
	}
	return p.Ar, nil
}
func (c *card) Evict(gpu.KeyID) error { return nil }
func (c *card) Stats() gpu.Stats      { return gpu.Stats{} }
func (c *card) Close() error          { return nil }

func (c *card) Prove(ctx context.Context, req gpu.Request) (*gpu.Proof, error) {
	c.mu.Lock()
	c.begun = append(c.begun, req.Key.ID)
	c.busy++
	c.most = max(c.most, c.busy)
	var outcome error
	if len(c.outcomes) > 0 {
		outcome = c.outcomes[0]
		if len(c.outcomes) > 1 {
			c.outcomes = c.outcomes[1:]
		}
	}
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		c.busy--
		c.mu.Unlock()
	}()
	select {
	case <-time.After(c.takes):
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	var p gpu.Proof
	switch {
	case outcome == nil:
		_, _, p.Ar, _ = bn254.Generators()
	case !errors.Is(outcome, errWrong):
		return nil, outcome
	}
	return &p, nil
}

func (c *card) proofs() []gpu.KeyID {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]gpu.KeyID(nil), c.begun...)
}

func (c *card) set(outcomes ...error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.outcomes = outcomes
}

// right accepts the proof that a card makes when nothing is scripted.
func right(p *gpu.Proof) error {
	if p.Ar.IsInfinity() {
		return errors.New("pairing check failed")
	}
	return nil
}

// key is a task under one of several keys.
func key(n byte) pool.Task {
	return pool.Task{Request: gpu.Request{Key: gpu.Key{ID: gpu.KeyID{n}}}, Verify: right}
}

func device(why string) error { return fmt.Errorf("%w: %s", gpu.ErrDevice, why) }

func newPool(t *testing.T, cfg pool.Config) *pool.Pool {
	t.Helper()
	p, err := pool.New(cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, p.Close()) })
	return p
}

func TestPolicy(t *testing.T) {
	t.Parallel()
	bad := fmt.Errorf("%w: A∘B = C does not hold", gpu.ErrBadSolution)
	for name, c := range map[string]struct {
		first, second, last []error
		by                  string
		err                 error
		tries               [3]int
		faults              [2]uint64
	}{
		"right at once":          {by: "a", tries: [3]int{1, 0, 0}},
		"wrong once":             {first: []error{errWrong, nil}, by: "a", tries: [3]int{2, 0, 0}},
		"device error once":      {first: []error{device("hiccup"), nil}, by: "a", tries: [3]int{2, 0, 0}},
		"wrong twice":            {first: []error{errWrong}, by: "b", tries: [3]int{2, 1, 0}, faults: [2]uint64{1, 0}},
		"device errors on both":  {first: []error{device("x")}, second: []error{device("y")}, by: "cpu", tries: [3]int{2, 1, 1}, faults: [2]uint64{1, 1}},
		"too little memory":      {first: []error{gpu.ErrBudget}, by: "b", tries: [3]int{1, 1, 0}},
		"nobody can":             {first: []error{errWrong}, second: []error{errWrong}, last: []error{errWrong}, err: pool.ErrBlocked, tries: [3]int{2, 1, 1}},
		"a solution that is bad": {first: []error{bad}, second: []error{bad}, last: []error{bad}, err: gpu.ErrBadSolution, tries: [3]int{1, 1, 1}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, b, last := &card{id: "a", outcomes: c.first}, &card{id: "b", outcomes: c.second}, &card{id: "cpu", outcomes: c.last}
			p := newPool(t, pool.Config{Devices: []gpu.Engine{a, b}, Fallback: last})
			failed := 0
			task := key(1)
			task.Failed = func(string, error) { failed++ }
			result, err := p.Prove(t.Context(), task)
			require.Equal(t, c.tries, [3]int{len(a.proofs()), len(b.proofs()), len(last.proofs())})
			status := p.Status()
			require.Equal(t, c.faults, [2]uint64{status[0].Faults, status[1].Faults})
			if c.err != nil {
				require.ErrorIs(t, err, c.err)
				return
			}
			require.NoError(t, err)
			require.Equal(t, c.by, result.Device)
			require.NoError(t, right(result.Proof))
			require.Equal(t, c.tries[0]+c.tries[1]+c.tries[2], result.Tries)
			require.Equal(t, result.Tries-1, failed)
		})
	}
}

// TestWithoutFallback: two devices that fail are told, and nobody is blamed.
func TestWithoutFallback(t *testing.T) {
	t.Parallel()
	a := &card{id: "a", outcomes: []error{errWrong}}
	p := newPool(t, pool.Config{Devices: []gpu.Engine{a}})
	_, err := p.Prove(t.Context(), key(1))
	require.ErrorIs(t, err, pool.ErrWrongProof)
	require.NotErrorIs(t, err, pool.ErrBlocked)
	require.Len(t, a.proofs(), 2)
	require.Zero(t, p.Status()[0].Faults)
}

// TestQuarantine: a device with faults in a row gets no work until it proved a
// known answer; rests grow while it does not.
func TestQuarantine(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a, last := &card{id: "a", outcomes: []error{device("Xid 79")}}, &card{id: "cpu"}
		var asked []time.Duration
		started, known := time.Now(), errors.New("still broken")
		var mu sync.Mutex
		p, err := pool.New(pool.Config{
			Devices: []gpu.Engine{a}, Fallback: last, Faults: 2, Rest: time.Minute, RestLimit: 3 * time.Minute,
			KnownAnswer: func(context.Context, gpu.Engine) error {
				mu.Lock()
				defer mu.Unlock()
				asked = append(asked, time.Since(started))
				return known
			},
		})
		require.NoError(t, err)
		for range 2 {
			result, err := p.Prove(t.Context(), key(1))
			require.NoError(t, err)
			require.Equal(t, "cpu", result.Device)
		}
		require.True(t, p.Status()[0].Quarantined)
		require.ErrorContains(t, p.Status()[0].LastFault, "Xid 79")
		before := len(a.proofs())
		a.set(nil)
		result, err := p.Prove(t.Context(), key(1))
		require.NoError(t, err)
		require.Equal(t, "cpu", result.Device)
		require.Len(t, a.proofs(), before, "a quarantined device was given work")

		time.Sleep(10 * time.Minute) // of the bubble's clock: nobody waits
		synctest.Wait()
		mu.Lock()
		require.Equal(t, []time.Duration{1 * time.Minute, 3 * time.Minute, 6 * time.Minute, 9 * time.Minute}, asked)
		known = nil
		mu.Unlock()
		time.Sleep(3 * time.Minute)
		synctest.Wait()
		require.False(t, p.Status()[0].Quarantined)
		result, err = p.Prove(t.Context(), key(1))
		require.NoError(t, err)
		require.Equal(t, "a", result.Device)
		require.NoError(t, p.Close())
	})
}

// TestFaultsMustBeInARow: a right proof between two faults starts the count anew.
func TestFaultsMustBeInARow(t *testing.T) {
	t.Parallel()
	a, last := &card{id: "a", outcomes: []error{errWrong, errWrong, nil, errWrong}}, &card{id: "cpu"}
	p := newPool(t, pool.Config{Devices: []gpu.Engine{a}, Fallback: last, Faults: 2})
	for range 3 {
		_, err := p.Prove(t.Context(), key(1))
		require.NoError(t, err)
	}
	require.False(t, p.Status()[0].Quarantined)
	_, err := p.Prove(t.Context(), key(1))
	require.NoError(t, err)
	require.True(t, p.Status()[0].Quarantined)
}

func TestUnfitDevicesGetNoWork(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a, b := &card{id: "a"}, &card{id: "b"}
		var mu sync.Mutex
		reasons, fail := map[string]string{"a": "95 °C, at most 90"}, error(nil)
		p, err := pool.New(pool.Config{
			Devices: []gpu.Engine{a, b}, UnfitEvery: time.Second,
			Unfit: func(context.Context) (map[string]string, error) {
				mu.Lock()
				defer mu.Unlock()
				return reasons, fail
			},
		})
		require.NoError(t, err)
		by := func() string {
			result, err := p.Prove(t.Context(), key(1))
			require.NoError(t, err)
			return result.Device
		}
		synctest.Wait()
		require.Equal(t, "b", by())
		mu.Lock()
		reasons, fail = nil, errors.New("the driver hangs")
		mu.Unlock()
		time.Sleep(2 * time.Second)
		require.Equal(t, "b", by(), "an unreadable device is as fit as it was")
		mu.Lock()
		fail = nil
		mu.Unlock()
		time.Sleep(2 * time.Second)
		synctest.Wait()
		require.Empty(t, p.Status()[0].Unfit)
		require.NoError(t, p.Close())
	})
}

// TestNoDeviceMayWork: without a usable device the fallback proves at once, and
// without a fallback the reason is told.
func TestNoDeviceMayWork(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		unfit := func(context.Context) (map[string]string, error) { return map[string]string{"a": "too hot"}, nil }
		last := &card{id: "cpu"}
		with, err := pool.New(pool.Config{Devices: []gpu.Engine{&card{id: "a"}}, Fallback: last, Unfit: unfit})
		require.NoError(t, err)
		without, err := pool.New(pool.Config{Devices: []gpu.Engine{&card{id: "a"}}, Unfit: unfit})
		require.NoError(t, err)
		synctest.Wait()
		result, err := with.Prove(t.Context(), key(1))
		require.NoError(t, err)
		require.Equal(t, "cpu", result.Device)
		_, err = without.Prove(t.Context(), key(1))
		require.ErrorIs(t, err, gpu.ErrDevice)
		require.NoError(t, with.Close())
		require.NoError(t, without.Close())
	})
}

// TestOrder: a device is never given more than it takes, and keys stay together.
func TestOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := &card{id: "a", parallel: 1, takes: time.Second}
		p, err := pool.New(pool.Config{Devices: []gpu.Engine{a}})
		require.NoError(t, err)
		var calls sync.WaitGroup
		for _, k := range []byte{1, 2, 1, 2, 1} {
			calls.Go(func() {
				_, err := p.Prove(t.Context(), key(k))
				require.NoError(t, err)
			})
			synctest.Wait() // so that the calls come in this order
		}
		calls.Wait()
		var got []byte
		for _, id := range a.proofs() {
			got = append(got, id[0])
		}
		require.Equal(t, []byte{1, 1, 1, 2, 2}, got)
		require.Equal(t, 1, a.most)
		require.NoError(t, p.Close())
	})
}

// TestPassedOver: proofs under another key are passed over for a while only.
func TestPassedOver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := &card{id: "a", parallel: 1, takes: time.Second}
		p, err := pool.New(pool.Config{Devices: []gpu.Engine{a}})
		require.NoError(t, err)
		var calls sync.WaitGroup
		for i := range 30 {
			k := byte(1)
			if i == 1 {
				k = 2
			}
			calls.Go(func() {
				_, err := p.Prove(t.Context(), key(k))
				require.NoError(t, err)
			})
			synctest.Wait()
		}
		calls.Wait()
		at := -1
		for i, id := range a.proofs() {
			if id == (gpu.KeyID{2}) {
				at = i
			}
		}
		require.Equal(t, 9, at, "the first and eight that passed over it go before")
		require.NoError(t, p.Close())
	})
}

// TestDue: among waiting proofs the one that is due first goes first, and one
// that is due soon waits for no other's key.
func TestDue(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := &card{id: "a", parallel: 1, takes: time.Second}
		p, err := pool.New(pool.Config{Devices: []gpu.Engine{a}})
		require.NoError(t, err)
		now := time.Now()
		var calls sync.WaitGroup
		for _, c := range []struct {
			key byte
			due time.Time
		}{
			{1, time.Time{}}, // takes the device
			{1, time.Time{}},
			{1, now.Add(2 * time.Hour)},
			{2, now.Add(time.Hour)}, // has time: proofs under key 1 pass
			{3, now.Add(time.Minute)},
		} {
			calls.Go(func() {
				task := key(c.key)
				task.Due = c.due
				_, err := p.Prove(t.Context(), task)
				require.NoError(t, err)
			})
			synctest.Wait()
		}
		calls.Wait()
		var got []byte
		for _, id := range a.proofs() {
			got = append(got, id[0])
		}
		require.Equal(t, []byte{1, 3, 1, 1, 2}, got)
		require.NoError(t, p.Close())
	})
}

func TestSpreadsOverDevices(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a, b := &card{id: "a", parallel: 2, takes: time.Second}, &card{id: "b", parallel: 2, takes: time.Second}
		p, err := pool.New(pool.Config{Devices: []gpu.Engine{a, b}})
		require.NoError(t, err)
		require.Equal(t, 4, p.Parallel())
		var calls sync.WaitGroup
		for i := range 8 {
			calls.Go(func() {
				_, err := p.Prove(t.Context(), key(byte(i)))
				require.NoError(t, err)
			})
		}
		started := time.Now()
		calls.Wait()
		require.Equal(t, 2*time.Second, time.Since(started))
		require.Equal(t, 2, a.most)
		require.Equal(t, 2, b.most)
		require.NoError(t, p.Close())
	})
}

func TestCancelAndClose(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := &card{id: "a", takes: time.Hour}
		p, err := pool.New(pool.Config{Devices: []gpu.Engine{a}})
		require.NoError(t, err)
		why := errors.New("not wanted any more")
		ctx, cancel := context.WithCancelCause(t.Context())
		errs := make(chan error, 3)
		go func() { _, err := p.Prove(ctx, key(1)); errs <- err }()
		synctest.Wait()
		go func() { _, err := p.Prove(ctx, key(1)); errs <- err }() // waits
		synctest.Wait()
		cancel(why)
		require.ErrorIs(t, <-errs, why)
		require.ErrorIs(t, <-errs, why)
		require.Zero(t, p.Status()[0].Busy)
		go func() { _, err := p.Prove(t.Context(), key(1)); errs <- err }()
		synctest.Wait()
		require.NoError(t, p.Close())
		require.ErrorIs(t, <-errs, gpu.ErrClosed)
		require.NoError(t, p.Close())
		_, err = p.Prove(t.Context(), key(1))
		require.ErrorIs(t, err, gpu.ErrClosed)
		require.ErrorIs(t, p.Load(t.Context(), key(1).Key), gpu.ErrClosed)
	})
}

func TestConfigNamesTheField(t *testing.T) {
	t.Parallel()
	a := &card{id: "a"}
	for field, cfg := range map[string]pool.Config{
		"Devices is empty": {},
		"Devices[0]":       {Devices: []gpu.Engine{nil}},
		"there twice":      {Devices: []gpu.Engine{a, &card{id: "a"}}},
		"Faults":           {Devices: []gpu.Engine{a}, Faults: -1},
		"Rest":             {Devices: []gpu.Engine{a}, Rest: -1},
	} {
		_, err := pool.New(cfg)
		require.ErrorContains(t, err, field)
	}
}

// TestRealEngines: real proofs under the policy, with a device whose proofs are
// spoilt on purpose; none of them leaves the pool, and a known answer of the
// real kind brings the device back once it is well.
func TestRealEngines(t *testing.T) {
	t.Parallel()
	well, err := cpu.New(cpu.Config{})
	require.NoError(t, err)
	defer func() { require.NoError(t, well.Close()) }()
	sick := &spoilt{Engine: well}
	revived := make(chan struct{})
	p := newPool(t, pool.Config{
		Devices: []gpu.Engine{sick}, Fallback: well, Faults: 1, Rest: time.Millisecond,
		KnownAnswer: check.KnownAnswer,
		Observe: func(e pool.Event) {
			switch e.Kind {
			case pool.EventQuarantine:
				sick.cure()
			case pool.EventRevived:
				close(revived)
			}
		},
	})
	f := enginetest.Get(t, "dense")
	result, err := p.Prove(t.Context(), pool.Task{Request: f.Request(t), Verify: f.Verify})
	require.NoError(t, err)
	require.NoError(t, f.Verify(result.Proof))
	require.Equal(t, "cpu", result.Device)
	require.Equal(t, 3, result.Tries)
	<-revived
	result, err = p.Prove(t.Context(), pool.Task{Request: f.Request(t), Verify: f.Verify})
	require.NoError(t, err)
	require.Equal(t, "sick", result.Device)
}

// spoilt negates one point of each proof until it is cured.
type spoilt struct {
	gpu.Engine
	mu    sync.Mutex
	cured bool
}

func (s *spoilt) Info() gpu.Info {
	info := s.Engine.Info()
	info.ID = "sick"
	return info
}

func (s *spoilt) cure() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cured = true
}

func (s *spoilt) Prove(ctx context.Context, req gpu.Request) (*gpu.Proof, error) {
	proof, err := s.Engine.Prove(ctx, req)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil && !s.cured {
		proof.Krs.Neg(&proof.Krs)
	}
	return proof, err
}
