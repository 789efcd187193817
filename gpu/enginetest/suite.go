package enginetest

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gristmill-zk/gristmill/gpu"
)

// New makes an engine with the given budget for keys in bytes, at least two
// proofs at once.
type New func(t testing.TB, memory int64) gpu.Engine

const plenty = 1 << 30

// Run runs the suite. The keys of its circuits are small: it says nothing
// about speed.
func Run(t *testing.T, build New) {
	for name, test := range map[string]func(*testing.T, New){
		"Fingerprint":      fingerprint,
		"Proves":           proves,
		"Sizes":            sizes,
		"KnownAnswer":      knownAnswer,
		"MatchesReference": matchesReference,
		"BytesOfProof":     bytesOfProof,
		"Progress":         progress,
		"Commitments":      commitments,
		"WrongKey":         wrongKey,
		"DamagedKey":       damagedKey,
		"UnreadableKey":    unreadableKey,
		"WrongSolution":    wrongSolution,
		"LeavesSolution":   leavesSolution,
		"Concurrent":       concurrent,
		"CancelBefore":     cancelBefore,
		"CancelQueued":     cancelQueued,
		"CancelMidProof":   cancelMidProof,
		"EvictsUnderPress": evictsUnderPressure,
		"WaitsForRoom":     waitsForRoom,
		"BudgetTooSmall":   budgetTooSmall,
		"Evict":            evict,
		"Close":            closeEngine,
		"CloseInFlight":    closeInFlight,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, build)
		})
	}
}

func engine(t *testing.T, build New, memory int64) gpu.Engine {
	t.Helper()
	e := build(t, memory)
	t.Cleanup(func() { require.NoError(t, e.Close()) })
	return e
}
