package sdk_test

import (
	"fmt"
	"testing"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/consensys/gnark/frontend"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/gristmill-zk/gristmill/plugins/sdk"
	"github.com/gristmill-zk/gristmill/plugins/sdk/sdktest"
	"github.com/gristmill-zk/gristmill/wire"
)

// sum adds up the first two payload bytes of the used slots, as one number.
type sum struct {
	Total frontend.Variable `gnark:"total,public"`
	Extra frontend.Variable `gnark:"extra,public"`

	define func(api frontend.API, c *sum, m *sdk.Messages) error
}

func (c *sum) Define(api frontend.API, m *sdk.Messages) error {
	if c.define != nil {
		return c.define(api, c, m)
	}
	return defineSum(api, c, m)
}

func defineSum(api frontend.API, c *sum, m *sdk.Messages) error {
	total := frontend.Variable(0)
	for _, msg := range m.Items {
		v, err := msg.Uint(0, 2)
		if err != nil {
			return err
		}
		total = api.Add(total, api.Mul(msg.Used, v))
	}
	api.AssertIsEqual(c.Total, total)
	api.AssertIsEqual(c.Extra, 7)
	return nil
}

func project(define func(frontend.API, *sum, *sdk.Messages) error) *sdk.Project {
	return &sdk.Project{
		Name: "sum", Version: "1", BatchSize: 3, PayloadLimit: 40,
		New: func(int) sdk.Circuit { return &sum{define: define} },
		Assign: func(t sdk.Task) (sdk.Circuit, error) {
			total := 0
			for i, m := range t.Messages {
				if len(m.Payload) < 2 {
					return nil, fmt.Errorf("message %d is too short", i)
				}
				total += int(m.Payload[0])<<8 | int(m.Payload[1])
			}
			return &sum{Total: total, Extra: 7}, nil
		},
		Sample: func(i int) []byte { return []byte{byte(i), 2} },
	}
}

// Every digest, commitment and signature the wire package makes must be one the
// circuit accepts, whatever the fields are.
func TestCircuitAgreesWithWire(t *testing.T) {
	t.Parallel()
	c := sdktest.New(t, project(nil))
	rapid.Check(t, func(rt *rapid.T) {
		body := &wire.Body{Project: rapid.Uint64Min(1).Draw(rt, "project"), Version: 1}
		for i := range rapid.IntRange(1, 3).Draw(rt, "count") {
			m := wire.Message{
				Project: body.Project,
				Nonce:   rapid.Uint64().Draw(rt, "nonce"),
				Time:    rapid.Uint64().Draw(rt, "time"),
				Payload: rapid.SliceOfN(rapid.Byte(), 2, 40).Draw(rt, "payload"),
			}
			require.NoError(t, sdktest.Signer(t, i).Sign(sdktest.Deployment, 40, &m))
			body.Messages = append(body.Messages, m)
		}
		require.NoError(t, c.Check(body))
	})
}

func TestEveryInputIsBound(t *testing.T) {
	t.Parallel()
	c := sdktest.New(t, project(nil))
	c.Probe(t, c.Task(t, []byte{1, 2, 3}, make([]byte, 40), []byte("hello")))
}

// In a slot that is not used everything but its being unused is free, within the
// ranges and curve that hold everywhere.
func TestUnusedSlotChangesNothing(t *testing.T) {
	t.Parallel()
	c := sdktest.New(t, project(nil))
	w, err := c.Witness(c.Task(t, []byte{1, 2}))
	require.NoError(t, err)
	require.NoError(t, c.Solve(w))
	sdktest.Set(t, w, "Slots_2_Nonce", 77)
	sdktest.Set(t, w, "Slots_2_Chunks_0", 77)
	require.NoError(t, c.Solve(w))
	sdktest.Set(t, w, "Slots_2_Used", 1)
	require.Error(t, c.Solve(w), "a used slot after an unused one")
	sdktest.Set(t, w, "Slots_2_Used", 0)
	sdktest.Set(t, w, "Slots_0_Used", 0)
	require.Error(t, c.Solve(w), "no slot used")
	sdktest.Set(t, w, "Slots_0_Used", 1)
	sdktest.Set(t, w, "Count", 2)
	require.Error(t, c.Solve(w), "another count")
}

// A commitment to a gap between used slots is not one of a task, even if it is
// computed right.
func TestUsedSlotsHaveNoGap(t *testing.T) {
	t.Parallel()
	c := sdktest.New(t, project(nil))
	body := c.Task(t, []byte{0, 1}, []byte{0, 2}, []byte{0, 4})
	commit := func(used [3]bool) fr.Element {
		count := 0
		elements := []fr.Element{wire.TagTask(), sdktest.Deployment.ID(), fr.NewElement(body.Project), {}}
		for i := range used {
			var digest fr.Element
			if used[i] {
				var err error
				digest, err = body.Messages[i].Digest(sdktest.Deployment, 40)
				require.NoError(t, err)
				count++
			}
			elements = append(elements, digest)
		}
		elements[3] = fr.NewElement(uint64(count))
		return wire.P2(elements...)
	}
	w, err := c.Witness(body)
	require.NoError(t, err)
	sdktest.Set(t, w, "Slots_2_Used", 0)
	sdktest.Set(t, w, "Count", 2)
	sdktest.Set(t, w, "Team_total", 3)
	sdktest.Set(t, w, "DataCommitment", commit([3]bool{true, true, false}))
	require.NoError(t, c.Solve(w), "the first two")
	sdktest.Set(t, w, "Slots_1_Used", 0)
	sdktest.Set(t, w, "Slots_2_Used", 1)
	sdktest.Set(t, w, "Team_total", 5)
	sdktest.Set(t, w, "DataCommitment", commit([3]bool{true, false, true}))
	require.Error(t, c.Solve(w), "the first and the last")
}

func TestWrongSignatureIsRefused(t *testing.T) {
	t.Parallel()
	c := sdktest.New(t, project(nil))
	good := c.Task(t, []byte{1, 2}, []byte{3, 4})

	swapped := *good
	swapped.Messages = append([]wire.Message{}, good.Messages...)
	swapped.Messages[0].Signature = good.Messages[1].Signature
	require.Error(t, c.Check(&swapped))

	// Another device's key under the same signature.
	stolen := *good
	stolen.Messages = append([]wire.Message{}, good.Messages...)
	stolen.Messages[0].Key = sdktest.Signer(t, 5).Key()
	require.Error(t, c.Check(&stolen))

	// S + order is the same scalar: wire refuses it, so does the circuit.
	w, err := c.Witness(good)
	require.NoError(t, err)
	for i, name := range w.Names {
		if name == "Signatures_0_S" {
			var order fr.Element
			_, err := order.SetString("2736030358979909402780800718157159386076813972158567259200215660948447373041")
			require.NoError(t, err)
			w.Values[i].Add(&w.Values[i], &order)
		}
	}
	require.Error(t, c.Solve(w))
	require.NoError(t, c.Check(good))
}

func TestCompileRefusesBadCircuits(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		define func(frontend.API, *sum, *sdk.Messages) error
		text   string
	}{
		"free output": {func(api frontend.API, c *sum, _ *sdk.Messages) error {
			api.AssertIsEqual(c.Total, 1)
			return nil
		}, "does not constrain the output extra"},
		"two commitments": {func(api frontend.API, c *sum, _ *sdk.Messages) error {
			committer, ok := api.(frontend.Committer)
			if !ok {
				return fmt.Errorf("no committer")
			}
			for _, v := range []frontend.Variable{c.Total, c.Extra} {
				challenge, err := committer.Commit(v)
				if err != nil {
					return err
				}
				api.AssertIsDifferent(challenge, 0)
			}
			return nil
		}, "2 gnark commitments, at most 1"},
		"outside payload": {func(_ frontend.API, _ *sum, m *sdk.Messages) error {
			_, err := m.Items[0].Uint(39, 2)
			return err
		}, "outside the limit of 40 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, _, err := sdk.Compile(project(test.define))
			require.ErrorContains(t, err, test.text)
		})
	}
	for field, spoil := range map[string]func(*sdk.Project){
		"Name":         func(p *sdk.Project) { p.Name = "" },
		"Version":      func(p *sdk.Project) { p.Version = "" },
		"BatchSize":    func(p *sdk.Project) { p.BatchSize = 0 },
		"PayloadLimit": func(p *sdk.Project) { p.PayloadLimit = 1 << 20 },
		"New, Assign":  func(p *sdk.Project) { p.Assign = nil },
	} {
		p := project(nil)
		spoil(p)
		_, _, err := sdk.Compile(p)
		require.ErrorContains(t, err, field)
	}
}

// Min and max are exact over the used slots only.
func TestBounds(t *testing.T) {
	t.Parallel()
	p := project(func(api frontend.API, c *sum, m *sdk.Messages) error {
		values := make([]frontend.Variable, len(m.Items))
		for i, msg := range m.Items {
			v, err := msg.Uint(0, 2)
			if err != nil {
				return err
			}
			values[i] = v
		}
		m.AssertIsMin(c.Total, values, 16)
		m.AssertIsMax(c.Extra, values, 16)
		return nil
	})
	c := sdktest.New(t, p)
	for name, test := range map[string]struct {
		low, high int
		ok        bool
	}{
		"exact":     {300, 500, true},
		"lower":     {299, 500, false},
		"higher":    {300, 501, false},
		"too high":  {301, 500, false},
		"too low":   {300, 499, false},
		"unused":    {0, 500, false},
		"negative":  {-1, 500, false},
		"wrapped":   {300, -1, false},
		"exchanged": {500, 300, false},
	} {
		w, err := c.Witness(c.Task(t, []byte{1, 44}, []byte{1, 244}))
		require.NoError(t, err)
		sdktest.Set(t, w, "Team_total", test.low)
		sdktest.Set(t, w, "Team_extra", test.high)
		if test.ok {
			require.NoError(t, c.Solve(w), name)
		} else {
			require.Error(t, c.Solve(w), name)
		}
	}
}
