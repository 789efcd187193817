package resident_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/gristmill-zk/gristmill/gpu"
	"github.com/gristmill-zk/gristmill/gpu/internal/resident"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// held is a key whose size is its name's first byte.
type held struct {
	id      gpu.KeyID
	gone    bool
	trimmed int
}

func name(size byte, i byte) gpu.Key { return gpu.Key{ID: gpu.KeyID{size, i}} }

func newCache(budget int64) *resident.Cache[held] {
	c := resident.New(budget,
		func(key gpu.Key) (int64, error) { return int64(key.ID[0]), nil },
		func(key gpu.Key) (*held, error) { return &held{id: key.ID}, nil },
		func(h *held) { h.gone = true })
	c.Trims(func(h *held) { h.trimmed++ })
	return c
}

// TestCacheKeepsItsBudget whatever is asked of it: never more bytes than allowed,
// none freed in use, and its figures add up.
func TestCacheKeepsItsBudget(t *testing.T) {
	t.Parallel()
	const budget = 100
	rapid.Check(t, func(t *rapid.T) {
		c := newCache(budget)
		pinned := map[gpu.KeyID][]*held{}
		sizes := map[gpu.KeyID]int64{}
		full, cancel := context.WithCancel(context.Background())
		cancel()
		t.Repeat(map[string]func(*rapid.T){
			"acquire": func(t *rapid.T) {
				key := name(rapid.ByteRange(1, 60).Draw(t, "size"), rapid.ByteRange(0, 3).Draw(t, "name"))
				used := int64(key.ID[0])
				for id, holders := range pinned {
					if len(holders) > 0 && id != key.ID {
						used += sizes[id]
					}
				}
				ctx := context.Background()
				if used > budget && len(pinned[key.ID]) == 0 {
					ctx = full // it would wait for ever
				}
				h, err := c.Acquire(ctx, key)
				if ctx == full {
					require.ErrorIs(t, err, context.Canceled)
					return
				}
				require.NoError(t, err)
				require.Equal(t, key.ID, h.id)
				if len(pinned[key.ID]) == 0 {
					sizes[key.ID] = int64(key.ID[0]) // what Grow gave may be gone
				}
				pinned[key.ID] = append(pinned[key.ID], h)
			},
			"release": func(t *rapid.T) {
				for id, holders := range pinned {
					if len(holders) > 0 {
						c.Release(id)
						pinned[id] = holders[1:]
						return
					}
				}
			},
			"grow": func(t *rapid.T) {
				for id, holders := range pinned {
					if len(holders) > 0 {
						var before, after gpu.Stats
						c.Stats(&before)
						extra := rapid.Int64Range(1, 50).Draw(t, "extra")
						grown := c.Grow(id, holders[0], extra)
						c.Stats(&after)
						require.Equal(t, before.KeyBytes+extra <= budget, grown)
						if grown {
							require.Equal(t, before.KeyBytes+extra, after.KeyBytes)
							c.Shrink(id, holders[0])
							c.Stats(&after)
							require.LessOrEqual(t, after.KeyBytes, before.KeyBytes)
							require.False(t, c.Grow(id, new(held), 1), "another key of that name")
						}
						return
					}
				}
			},
			"evict": func(t *rapid.T) {
				key := name(rapid.ByteRange(1, 60).Draw(t, "size"), rapid.ByteRange(0, 3).Draw(t, "name"))
				err := c.Evict(key.ID)
				if len(pinned[key.ID]) > 0 {
					require.ErrorIs(t, err, gpu.ErrInUse)
				} else if err != nil {
					require.ErrorIs(t, err, gpu.ErrNotLoaded)
				}
			},
			"": func(t *rapid.T) {
				var s gpu.Stats
				c.Stats(&s)
				require.LessOrEqual(t, s.KeyBytes, int64(budget))
				require.EqualValues(t, s.Loads, s.Evictions+uint64(s.Keys))
				for id, holders := range pinned {
					for _, h := range holders {
						require.False(t, h.gone, "%s was freed in use", id)
					}
				}
			},
		})
	})
}

// TestTrimsBeforeItEvicts: a key that fits once others give up what they can do
// without evicts none of them.
func TestTrimsBeforeItEvicts(t *testing.T) {
	t.Parallel()
	c := newCache(100)
	first, err := c.Acquire(t.Context(), name(30, 0))
	require.NoError(t, err)
	second, err := c.Acquire(t.Context(), name(30, 1))
	require.NoError(t, err)
	require.True(t, c.Grow(first.id, first, 20))
	require.True(t, c.Grow(second.id, second, 20))
	c.Release(first.id)
	c.Release(second.id)
	_, err = c.Acquire(t.Context(), name(35, 2))
	require.NoError(t, err)
	require.Equal(t, []int{1, 1}, []int{first.trimmed, second.trimmed})
	var s gpu.Stats
	c.Stats(&s)
	require.Equal(t, gpu.Stats{Loads: 3, Keys: 3, KeyBytes: 95}, s)
	require.False(t, first.gone || second.gone)
}

func TestFailedLoadLeavesNothing(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	c := resident.New(10, func(gpu.Key) (int64, error) { return 5, nil }, func(gpu.Key) (*held, error) { return nil, broken }, nil)
	_, err := c.Acquire(t.Context(), name(5, 0))
	require.ErrorIs(t, err, broken)
	var s gpu.Stats
	c.Stats(&s)
	require.Zero(t, s)
	require.ErrorIs(t, c.Evict(name(5, 0).ID), gpu.ErrNotLoaded)
}
