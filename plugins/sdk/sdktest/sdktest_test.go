package sdktest_test

import (
	"math/big"
	"testing"

	"github.com/consensys/gnark/frontend"
	"github.com/stretchr/testify/require"

	"github.com/gristmill-zk/gristmill/plugins/sdk"
	"github.com/gristmill-zk/gristmill/plugins/sdk/sdktest"
)

// roots claims the sum of the square roots of the payloads' first bytes. Spoilt
// ones leave out what a careless author would.
type roots struct {
	Sum   frontend.Variable `gnark:"sum,public"`
	Roots []frontend.Variable

	signs, leak, loose bool
}

func (c *roots) Define(api frontend.API, m *sdk.Messages) error {
	sum := frontend.Variable(0)
	for i, msg := range m.Items {
		v, err := msg.Uint(0, 1)
		if err != nil {
			return err
		}
		root := c.Roots[i]
		if !c.loose {
			msg.AssertEqual(api.Mul(root, root), v)
		}
		if !c.signs {
			sdk.AssertBits(api, root, 4)
		}
		if c.leak {
			api.AssertIsEqual(api.Mul(v, api.Sub(1, msg.Used)), 0)
		}
		if !c.loose {
			sum = api.Add(sum, api.Mul(msg.Used, api.Mul(root, root)))
		}
	}
	if c.loose {
		sum = m.Count
	}
	api.AssertIsEqual(c.Sum, sum)
	return nil
}

// shape is a project of a circuit that is spoilt in some way.
func shape(spoil func(*roots)) *sdk.Project {
	fresh := func(batch int) *roots {
		c := &roots{Roots: make([]frontend.Variable, batch)}
		spoil(c)
		return c
	}
	return &sdk.Project{
		Name: "roots", Version: "1", BatchSize: 2, PayloadLimit: 3,
		New: func(batch int) sdk.Circuit { return fresh(batch) },
		Assign: func(t sdk.Task) (sdk.Circuit, error) {
			c := fresh(t.BatchSize)
			sum := int64(0)
			for i := range c.Roots {
				c.Roots[i] = 0
				if i < len(t.Messages) {
					v := int64(t.Messages[i].Payload[0])
					c.Roots[i] = new(big.Int).Sqrt(big.NewInt(v))
					sum += v
				}
			}
			if c.loose {
				sum = int64(len(t.Messages))
			}
			c.Sum = sum
			return c, nil
		},
		Sample: func(int) []byte { return []byte{9} },
	}
}

func TestProbeFindsWhatIsFree(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		spoil func(*roots)
		free  []string
	}{
		// The root of an unused slot is the prover's own affair.
		"sound": {func(*roots) {}, []string{"Team_Roots_1"}},
		// −3 is a root of 9, too.
		"no check of the sign": {func(c *roots) { c.signs = true }, []string{"Team_Roots_0", "Team_Roots_1"}},
		"no equation":          {func(c *roots) { c.loose = true }, []string{"Team_Roots_0", "Team_Roots_1"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := sdktest.New(t, shape(test.spoil))
			body := c.Task(t, []byte{9, 1, 2})
			require.Equal(t, test.free, c.Free(t, body))
			c.Probe(t, body, test.free...)
		})
	}
}

// A circuit in which an empty slot must look like something is found by what the
// probe puts there; here it would be a payload of zeroes.
func TestProbeFindsUnusedSlotsThatCount(t *testing.T) {
	t.Parallel()
	c := sdktest.New(t, shape(func(c *roots) { c.leak = true }))
	require.Error(t, c.CheckUnused(t, c.Task(t, []byte{9, 1, 2})))
	good := sdktest.New(t, shape(func(*roots) {}))
	require.NoError(t, good.CheckUnused(t, good.Task(t, []byte{9, 1, 2})))
}

func TestGoldenNamesWhatDiffers(t *testing.T) {
	t.Parallel()
	c := sdktest.New(t, shape(func(*roots) {}))
	c.Golden(t, "testdata/roots.json", []sdktest.Case{
		{Name: "nine", Body: c.Task(t, []byte{9})},
		{Name: "no square", Body: c.Task(t, []byte{8}), Refused: "constraint"},
	})
}
