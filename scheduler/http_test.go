package scheduler_test

import (
	"encoding/json"
	"io"
	"net/http"
	"testing"

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
