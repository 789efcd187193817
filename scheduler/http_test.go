package scheduler_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gristmill-zk/gristmill/scheduler"
	"github.com/gristmill-zk/gristmill/wire"
)

func get(t *testing.T, url string) (int, []byte, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	require.NoError(t, err)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	require.NoError(t, err)
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, body, resp.Header.Get("Content-Type")
}

func TestHTTPServesDataTasksAndProofs(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	s, _ := e.start(t)
	e.workers(t)
	id := e.mine(t, me)
	want := await(t, s, id, scheduler.Settled)

	status, body, kind := get(t, s.URL()+"/v1/data/"+want.DataHash.String())
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, "application/octet-stream", kind)
	require.Equal(t, want.DataHash, wire.DataHash(body))

	status, body, _ = get(t, s.URL()+"/v1/tasks?state=settled&limit=5")
	require.Equal(t, http.StatusOK, status)
	var list struct{ Tasks []scheduler.Task }
	require.NoError(t, json.Unmarshal(body, &list))
	require.Len(t, list.Tasks, 1)
	require.Equal(t, id, list.Tasks[0].ID)
	_, body, _ = get(t, s.URL()+"/v1/tasks?state=dead")
	require.JSONEq(t, `{"tasks":[]}`, string(body))

	status, body, _ = get(t, s.URL()+"/v1/tasks/"+id.String())
	require.Equal(t, http.StatusOK, status)
	var detail scheduler.TaskDetail
	require.NoError(t, json.Unmarshal(body, &detail))
	require.Equal(t, scheduler.Settled, detail.State)
	require.Equal(t, "offered in block 1", detail.History[0].Reason)
	require.Len(t, detail.Attempts, 1)

	status, body, _ = get(t, s.URL()+"/v1/proofs/"+id.String())
	require.Equal(t, http.StatusOK, status)
	var proof wire.ProofEnvelope
	require.NoError(t, json.Unmarshal(body, &proof))
	require.Equal(t, id, proof.TaskID)

	status, body, _ = get(t, s.URL()+"/healthz")
	require.Equal(t, http.StatusOK, status, string(body))
}

// TestHTTPTellsADamagedProof damages a byte of the stored proof at a time: also
// those of attempt, engine and timings, which nothing else would show.
func TestHTTPTellsADamagedProof(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	s, _ := e.start(t)
	e.workers(t)
	id := e.mine(t, me)
	await(t, s, id, scheduler.Settled)
	exec := func(text string) { require.NoError(t, s.Store().Exec(t.Context(), text)) }
	exec(`CREATE TABLE kept AS SELECT id, envelope FROM tasks`)
	for at := 1; at < 400; at += 13 {
		damaged := 0
		for _, value := range []string{"00", "ff"} { // one of them is not what stands there
			exec(fmt.Sprintf(`UPDATE tasks SET envelope = substr(envelope, 1, %d) || x'%s' || substr(envelope, %d)`, at-1, value, at+1))
			status, body, _ := get(t, s.URL()+"/v1/proofs/"+id.String())
			if status == http.StatusInternalServerError {
				require.Contains(t, string(body), `"code":"damaged"`)
				damaged++
			} else {
				require.Equal(t, http.StatusOK, status, string(body))
			}
			exec(`UPDATE tasks SET envelope = (SELECT kept.envelope FROM kept WHERE kept.id = tasks.id)`)
		}
		require.Positive(t, damaged, "byte %d", at)
	}
	status, _, _ := get(t, s.URL()+"/v1/proofs/"+id.String())
	require.Equal(t, http.StatusOK, status)
}

func TestHTTPRefusals(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	s, _ := e.start(t)
	absent := wire.Hash{1}.String()
	for path, want := range map[string]struct {
		status int
		code   wire.RejectCode
	}{
		"/v1/data/" + absent:       {404, wire.RejectNotFound},
		"/v1/data/0x12":            {400, wire.RejectMalformed},
		"/v1/tasks/" + absent:      {404, wire.RejectNotFound},
		"/v1/tasks/zz":             {400, wire.RejectMalformed},
		"/v1/tasks?state=finished": {400, wire.RejectMalformed},
		"/v1/tasks?limit=0":        {400, wire.RejectMalformed},
		"/v1/tasks?limit=many":     {400, wire.RejectMalformed},
		"/v1/proofs/" + absent:     {404, wire.RejectNotFound},
	} {
		status, body, kind := get(t, s.URL()+path)
		require.Equal(t, want.status, status, path)
		require.Equal(t, "application/problem+json", kind)
		var problem struct {
			Code   wire.RejectCode
			Detail string
		}
		require.NoError(t, json.Unmarshal(body, &problem))
		require.Equal(t, want.code, problem.Code, path)
		require.NotEmpty(t, problem.Detail)
	}
	status, _, _ := get(t, s.URL()+"/")
	require.Equal(t, http.StatusNotFound, status)
}

func health(t *testing.T, s *scheduler.Scheduler) (int, scheduler.Health) {
	t.Helper()
	status, body, _ := get(t, s.URL()+"/healthz")
	var h scheduler.Health
	require.NoError(t, json.Unmarshal(body, &h), string(body))
	return status, h
}

func TestHealthTellsWhoDoesNotAnswer(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		down, back func(*env)
		status     string
		failures   func(scheduler.Health) int64
	}{
		"chain": {
			func(e *env) { e.chain.Set(func(c *fakeChain) { c.down = errOffline }) },
			func(e *env) { e.chain.Set(func(c *fakeChain) { c.down = nil }) },
			"the chain does not answer", func(h scheduler.Health) int64 { return h.ChainFailures },
		},
		"queue": {
			func(e *env) { e.queue.SetDown(errOffline) }, func(e *env) { e.queue.SetDown(nil) },
			"the queue does not answer", func(h scheduler.Health) int64 { return h.QueueFailures },
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newEnv(t)
			e.cfg.SilentAfter = 300 * time.Millisecond
			s, _ := e.start(t)
			id := e.mine(t, me)
			await(t, s, id, scheduler.Dispatched)
			healthy := func() bool {
				code, h := health(t, s)
				return code == http.StatusOK && h.Status == "ok" && h.RunningAttempts == 1
			}
			require.Eventually(t, healthy, patience, tick)
			c.down(e)
			require.Eventually(t, func() bool {
				code, h := health(t, s)
				return code == http.StatusServiceUnavailable && h.Status == c.status && c.failures(h) > 0
			}, patience, tick)
			c.back(e)
			require.Eventually(t, healthy, patience, tick)
		})
	}
}

// Without attempts nobody asks the queue, and its silence says nothing.
func TestHealthOfAnIdleSchedulerNeedsNoQueue(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	e.cfg.SilentAfter = 100 * time.Millisecond
	s, _ := e.start(t)
	e.queue.SetDown(errOffline)
	var h scheduler.Health
	require.Eventually(t, func() bool {
		var code int
		code, h = health(t, s)
		return code == http.StatusOK && time.Since(h.QueueSeenAt) > 2*e.cfg.SilentAfter
	}, patience, tick)
	require.Zero(t, h.RunningAttempts)
}
