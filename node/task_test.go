package node

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gristmill-zk/gristmill/chain"
	"github.com/gristmill-zk/gristmill/wire"
)

// A block may have the leaf of a task twice. The one that stands is the task.
func TestTaskListIgnoresTheSecondLeafOfATask(t *testing.T) {
	t.Parallel()
	id, prover := wire.Hash{1}, wire.Address{2}
	mined := func(size uint32) chain.Event {
		return chain.TaskMined{TaskID: id, Task: wire.Task{Project: 1, Size: size}}
	}
	skipped := func(why chain.SkipReason) chain.Event { return chain.TaskSkipped{TaskID: id, Reason: why} }
	offered := chain.TaskOffered{TaskID: id, Prover: prover, Attempt: 1}
	for name, c := range map[string]struct {
		events []chain.Event
		status string
		size   uint32
	}{
		"duplicate after an offer": {[]chain.Event{mined(1), offered, mined(2), skipped(chain.SkipDuplicateData)}, "offered", 1},
		"duplicate after waiting":  {[]chain.Event{mined(1), chain.TaskWaiting{TaskID: id}, mined(2), skipped(chain.SkipDuplicateData)}, "waiting", 1},
		"good after bad":           {[]chain.Event{mined(1), skipped(chain.SkipBadAuthorisation), mined(2), offered}, "offered", 2},
		"bad twice":                {[]chain.Event{mined(1), skipped(chain.SkipBadAuthorisation), mined(2), skipped(chain.SkipExpired)}, "skipped", 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fold := taskFold{at: map[wire.Hash]int{}}
			for _, e := range c.events {
				fold.add(e)
			}
			require.Len(t, fold.list, 1)
			require.Equal(t, c.status, fold.list[0].Status)
			require.Equal(t, c.size, fold.list[0].Size)
			if c.status == "offered" {
				require.Equal(t, prover, fold.list[0].Prover)
				require.Empty(t, fold.list[0].Why)
			}
		})
	}
}

func TestAttemptInALine(t *testing.T) {
	t.Parallel()
	a := ProverAttempt{Number: 2, State: "failed", Worker: "rig-1", Reason: "plugin_timeout: no solution after 3s", Progress: "assign; hang: hanging"}
	require.Equal(t, "failed on worker rig-1: plugin_timeout: no solution after 3s (assign; hang: hanging)", a.String())
	require.Equal(t, "sent", ProverAttempt{Number: 3, State: "sent"}.String())
}

func TestPluginLimitsNameTheirFlag(t *testing.T) {
	t.Parallel()
	for flag, p := range map[string]Plugins{
		"--plugin-time":   {Time: -1},
		"--plugin-memory": {Memory: 1 << 20},
	} {
		require.ErrorContains(t, p.validate(), flag)
	}
	require.NoError(t, (&Plugins{}).validate())
	require.NoError(t, (&Plugins{Time: 1, Memory: leastPluginMemory}).validate())
}
