package sequencer

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gristmill-zk/gristmill/chain"
	"github.com/gristmill-zk/gristmill/wire"
)

// TestLeafTwiceInABlock: a miner may put a task's leaf into its block twice.
// The contract skips the second under the same id; the first stands.
func TestLeafTwiceInABlock(t *testing.T) {
	t.Parallel()
	id := wire.Hash{1}
	mined := fact{kind: KindTaskMined, task: id, height: 7}
	skipped := fact{kind: KindTaskSkipped, task: id, reason: chain.SkipDuplicateData.String()}
	offered, settled := fact{kind: KindTaskOffered, task: id}, fact{kind: KindTaskSettled, task: id}
	for name, c := range map[string]struct {
		facts []fact
		state string
	}{
		"good, then again": {[]fact{mined, offered, mined, skipped}, stateMined},
		"settled later":    {[]fact{mined, offered, mined, skipped, settled}, stateSettled},
		"bad, then good":   {[]fact{mined, skipped, mined, offered}, stateMined},
		"only skipped":     {[]fact{mined, skipped}, batchOpen},
		"skipped twice":    {[]fact{mined, skipped, mined, skipped}, batchOpen},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tasks := fold(c.facts)
			require.Len(t, tasks, 1)
			require.EqualValues(t, 7, tasks[0].height)
			require.Equal(t, c.state, judge(&Config{Attempts: 8}, tasks, 1).state)
		})
	}
}
