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
	job := Job{TaskID: Hash{31: 0xab}, Attempt: 3}
	id := "0x" + strings.Repeat("00", 31) + "ab/3"
	require.Equal(t, id, job.ID())
	require.Equal(t, id, JobID(job.TaskID, job.Attempt))
	require.Equal(t, id+"/failed", (&Result{TaskID: job.TaskID, Attempt: job.Attempt, Kind: ResultFailed}).ID())
	require.Equal(t, "gristmill:beat:"+id, BeatKey(id))
	require.Equal(t, "gristmill:stop:"+id, StopKey(id))
	require.Equal(t, []string{"prove", "gristmill:job", "gristmill:result"}, []string{JobQueue, JobType, ResultType})

	queue := ResultQueue(Address{0: 0xAB, 19: 0xCD})
	require.Equal(t, "results-0xab"+strings.Repeat("00", 18)+"cd", queue)
	require.True(t, IsResultQueue(queue))
	require.False(t, IsResultQueue(JobQueue))
	require.False(t, IsResultQueue("results-"+strings.Repeat("a", 121)))
}
