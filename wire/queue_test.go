package wire

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestQueueNames pins the names: workers and schedulers of other builds use
// them too.
func TestQueueNames(t *testing.T) {
	t.Parallel()
	d := Deployment{ChainID: 31337, Registry: Address{19: 1}}
	prover := Address{0: 0xAB, 19: 0xCD}
	hexProver := "0xab" + strings.Repeat("00", 18) + "cd"
	job := Job{Deployment: d, Prover: prover, TaskID: Hash{31: 0xab}, Attempt: 3}
	task := "0x" + strings.Repeat("00", 31) + "ab"
	id := "2f410c36b05dc795/" + hexProver + "/" + task + "/3"
	require.Equal(t, id, job.ID())
	require.Equal(t, id, JobID(d, prover, job.TaskID, job.Attempt))
	require.Equal(t, task+"/3/failed", (&Result{TaskID: job.TaskID, Attempt: job.Attempt, Kind: ResultFailed}).ID())
	require.Equal(t, "gristmill:beat:"+id, BeatKey(id))
	require.Equal(t, "gristmill:stop:"+id, StopKey(id))
	require.Equal(t, []string{"prove", "gristmill:job", "gristmill:result"}, []string{JobQueue, JobType, ResultType})

	queue := ResultQueue(d, prover)
	require.Equal(t, "results-2f410c36b05dc795-"+hexProver, queue)
	elsewhere := Deployment{ChainID: 31338, Registry: d.Registry}
	require.NotEqual(t, id, JobID(elsewhere, prover, job.TaskID, 3), "another deployment")
	require.NotEqual(t, id, JobID(d, Address{1}, job.TaskID, 3), "another prover")
	require.NotEqual(t, queue, ResultQueue(elsewhere, prover))
	require.True(t, IsResultQueue(queue))
	require.False(t, IsResultQueue(JobQueue))
	require.False(t, IsResultQueue("results-"+strings.Repeat("a", 121)))
}
