package sequencer

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gristmill-zk/gristmill/wire"
)

func TestMessageIsTakenOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for i, scheme := range []wire.Scheme{wire.SchemeEdDSABN254, wire.SchemeSecp256k1, wire.SchemeP256, wire.SchemeEd25519} {
		m := newDevice(t, scheme, byte(10+i)).message(t, 1, 5, "hello")
		want, err := m.ID()
		require.NoError(t, err)
		var a MessageAnswer
		resp := r.post(m)
		require.Equal(t, http.StatusAccepted, resp.StatusCode, string(resp.raw))
		resp.into(t, &a)
		require.Equal(t, MessageAnswer{ID: want, State: "pending"}, a)
		resp = r.post(m)
		require.Equal(t, http.StatusOK, resp.StatusCode)
		resp.into(t, &a)
		require.True(t, a.Duplicate)
		require.Equal(t, want, a.ID)

		var v MessageView
		r.get("/v1/messages/"+want.String()).into(t, &v)
		require.Equal(t, uint64(5), v.Nonce)
	}
}

// TestNumbersMayBeStrings: numbers of some clients end at 2^53.
func TestNumbersMayBeStrings(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	raw, err := json.Marshal(newDevice(t, wire.SchemeEd25519, 1).message(t, 1, 1<<60+1, "x"))
	require.NoError(t, err)
	var form map[string]json.RawMessage
	require.NoError(t, json.Unmarshal(raw, &form))
	for _, name := range []string{"project", "nonce", "time"} {
		form[name] = json.RawMessage(`"` + string(form[name]) + `"`)
	}
	require.Equal(t, 202, r.post(form).StatusCode)
	require.Equal(t, 200, r.post(raw).StatusCode, "the same message")
}

// TestBadMessages sends everything that protocol.md says is refused, and after
// each a good message that goes through.
func TestBadMessages(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *Config) { c.MaxBody = 256 << 10 })
	d, outsider := newDevice(t, wire.SchemeEdDSABN254, 1), newDevice(t, wire.SchemeEd25519, 2)
	r.chain.change(1, func(p *fakeProject) {
		p.denied[outsider.id] = true
		paused, broke, unlisted := *p, *p, *p
		paused.Paused, broke.free, unlisted.unlisted = true, big.NewInt(9), true
		r.chain.projects[2], r.chain.projects[3], r.chain.projects[4] = &paused, &broke, &unlisted
	})
	nonce := uint64(100)
	first := d.message(t, 1, nonce, "first")
	require.Equal(t, http.StatusAccepted, r.post(first).StatusCode)

	edited := func(edit func(map[string]any)) []byte {
		raw, err := json.Marshal(d.message(t, 1, nonce+1, "x"))
		require.NoError(t, err)
		var form map[string]any
		dec := json.NewDecoder(bytes.NewReader(raw))
		dec.UseNumber()
		require.NoError(t, dec.Decode(&form))
		edit(form)
		raw, err = json.Marshal(form)
		require.NoError(t, err)
		return raw
	}
	forged := d.message(t, 1, nonce+1, "x")
	forged.Payload = []byte("y")
	otherLimit := &wire.Message{Project: 1, Nonce: nonce + 1, Time: 1, Payload: []byte("x")}
	require.NoError(t, d.signer.Sign(r.chain.Deployment(), 128, otherLimit))
	otherChain := &wire.Message{Project: 1, Nonce: nonce + 1, Time: 1, Payload: []byte("x")}
	require.NoError(t, d.signer.Sign(wire.Deployment{ChainID: 1}, 64, otherChain))
	long := &wire.Message{Project: 1, Nonce: nonce + 1, Time: 1, Payload: make([]byte, 65)}
	require.NoError(t, d.signer.Sign(r.chain.Deployment(), 128, long))

	for name, c := range map[string]struct {
		body   any
		status int
		code   wire.RejectCode
		field  string
	}{
		"wrong signature":         {forged, 401, wire.RejectBadSignature, "signature"},
		"signed for other limit":  {otherLimit, 401, wire.RejectBadSignature, "signature"},
		"signed for other chain":  {otherChain, 401, wire.RejectBadSignature, "signature"},
		"unknown project":         {d.message(t, 77, 1, "x"), 403, wire.RejectUnknownProject, "project"},
		"project beyond int64":    {d.message(t, 1<<63+1, 1, "x"), 403, wire.RejectUnknownProject, "project"},
		"sequencer not listed":    {d.message(t, 4, 1, "x"), 403, wire.RejectUnknownProject, "project"},
		"device not listed":       {outsider.message(t, 1, 1, "x"), 403, wire.RejectDeviceNotAllowed, "key"},
		"project paused":          {d.message(t, 2, 1, "x"), 402, wire.RejectProjectPaused, "project"},
		"project out of funds":    {d.message(t, 3, 1, "x"), 402, wire.RejectOutOfFunds, "project"},
		"same nonce, other bytes": {d.message(t, 1, nonce, "second"), 409, wire.RejectStaleNonce, "nonce"},
		"older nonce":             {d.message(t, 1, nonce-1, "x"), 409, wire.RejectStaleNonce, "nonce"},
		"payload too long":        {long, 400, wire.RejectPayloadTooLong, "payload"},
		"oversized":               {[]byte(`{"payload":"0x` + strings.Repeat("00", 200_000) + `"}`), 413, wire.RejectTooBig, ""},
		"not json":                {[]byte(`hello`), 400, wire.RejectMalformed, ""},
		"cut json":                {[]byte(`{"scheme":"eddsa`), 400, wire.RejectTruncated, "scheme"},
		"empty body":              {[]byte(``), 400, wire.RejectTruncated, ""},
		"bytes after":             {append(edited(func(map[string]any) {}), '{'), 400, wire.RejectTrailing, ""},
		"missing field":           {edited(func(m map[string]any) { delete(m, "nonce") }), 400, wire.RejectMissingField, "nonce"},
		"unknown field":           {edited(func(m map[string]any) { m["nonse"] = 1 }), 400, wire.RejectUnknownField, "nonse"},
		"negative nonce":          {edited(func(m map[string]any) { m["nonce"] = -1 }), 400, wire.RejectMalformed, "nonce"},
		"nonce too large":         {edited(func(m map[string]any) { m["nonce"] = "18446744073709551616" }), 400, wire.RejectMalformed, "nonce"},
		"payload not hex":         {edited(func(m map[string]any) { m["payload"] = "0xzz" }), 400, wire.RejectMalformed, "payload"},
		"unknown scheme":          {edited(func(m map[string]any) { m["scheme"] = "rsa" }), 400, wire.RejectUnknownScheme, "scheme"},
		"short key":               {edited(func(m map[string]any) { m["key"] = "0x01" }), 400, wire.RejectBadKey, "key"},
		"number is text":          {edited(func(m map[string]any) { m["time"] = "soon" }), 400, wire.RejectMalformed, "time"},
		"null":                    {[]byte(`null`), 400, wire.RejectMalformed, ""},
		"empty array":             {[]byte(`[]`), 400, wire.RejectBadCount, ""},
		"too many messages":       {[]byte(`[` + strings.Repeat(`1,`, maxArray) + `1]`), 400, wire.RejectBadCount, ""},
	} {
		t.Run(name, func(t *testing.T) {
			resp := r.post(c.body)
			p := resp.problem(t)
			require.Equal(t, c.status, p.Status, p.Detail)
			require.Equal(t, c.code, p.Code, p.Detail)
			require.Equal(t, c.field, p.Field, p.Detail)
			nonce++
			resp = r.post(d.message(t, 1, nonce, "good"))
			require.Equal(t, http.StatusAccepted, resp.StatusCode, string(resp.raw))
		})
	}
}

func TestWrongContentType(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	d := newDevice(t, wire.SchemeEd25519, 1)
	raw, err := json.Marshal(d.message(t, 1, 1, "x"))
	require.NoError(t, err)
	for _, kind := range []string{"", "text/plain", "application/x-www-form-urlencoded", "application/cbor", "application/json; charset=latin1", ";"} {
		p := r.do(http.MethodPost, "/v1/messages", kind, raw).problem(t)
		require.Equal(t, 415, p.Status, kind)
		require.Equal(t, wire.RejectContentType, p.Code)
	}
	require.Equal(t, 202, r.do(http.MethodPost, "/v1/messages", "application/json; charset=utf-8", raw).StatusCode)
}

// TestTruncatedBody ends the connection before the announced length.
func TestTruncatedBody(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", r.server.Listener.Addr().String())
	require.NoError(t, err)
	defer conn.Close()
	_, err = fmt.Fprintf(conn, "POST /v1/messages HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n{\"scheme\":")
	require.NoError(t, err)
	require.NoError(t, conn.(*net.TCPConn).CloseWrite())
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(patience)))
	var got bytes.Buffer
	_, _ = got.ReadFrom(conn)
	require.Contains(t, got.String(), "HTTP/1.1 400")
	require.Contains(t, got.String(), `"code":"truncated"`)
	require.Equal(t, 202, r.post(newDevice(t, wire.SchemeEd25519, 1).message(t, 1, 1, "x")).StatusCode)
}

func TestArrayAnswersEach(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	d := newDevice(t, wire.SchemeEdDSABN254, 1)
	good, next := d.message(t, 1, 1, "a"), d.message(t, 1, 2, "b")
	forged := d.message(t, 1, 3, "c")
	forged.Nonce = 4
	var a messagesAnswer
	resp := r.post([]any{good, next, good, forged, d.message(t, 1, 1, "other"), map[string]any{"scheme": "rsa"}})
	require.Equal(t, http.StatusMultiStatus, resp.StatusCode)
	resp.into(t, &a)
	var statuses []int
	for _, res := range a.Results {
		statuses = append(statuses, res.Status)
	}
	require.Equal(t, []int{202, 202, 200, 401, 409, 400}, statuses)
	require.True(t, a.Results[2].Duplicate)
	require.Equal(t, wire.RejectStaleNonce, a.Results[4].Code)

	resp = r.post([]any{d.message(t, 1, 10, "x"), d.message(t, 1, 11, "y")})
	require.Equal(t, http.StatusAccepted, resp.StatusCode)
}

func TestOverloadAsksToComeBack(t *testing.T) {
	t.Parallel()
	d := newDevice(t, wire.SchemeEd25519, 1)
	for _, edit := range []func(*Config){
		func(c *Config) { c.MaxInFlight = 1 },
		func(c *Config) { c.MaxPending = 1 },
	} {
		r := newRig(t, edit)
		resp := r.post([]any{d.message(t, 1, 1, "a"), d.message(t, 1, 2, "b")})
		require.Equal(t, http.StatusMultiStatus, resp.StatusCode)
		require.Equal(t, 202, r.post(d.message(t, 1, 3, "c")).StatusCode)
	}
	r := newRig(t)
	r.seq.ingest.inFlight.Add(int64(r.seq.cfg.MaxInFlight))
	resp := r.post(d.message(t, 1, 1, "a"))
	require.Equal(t, 429, resp.problem(t).Status)
	require.Equal(t, "1", resp.Header.Get("Retry-After"))
	r.seq.ingest.inFlight.Add(-int64(r.seq.cfg.MaxInFlight))
	require.Equal(t, 202, r.post(d.message(t, 1, 1, "a")).StatusCode)
}

// TestMemoryIsBounded: what a stranger may send or ask for without a signature.
func TestMemoryIsBounded(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	d := newDevice(t, wire.SchemeEd25519, 1)
	require.True(t, r.seq.bodies.TryAcquire(r.seq.cfg.MaxBodies))
	resp := r.post(d.message(t, 1, 1, "a"))
	require.Equal(t, 429, resp.problem(t).Status)
	r.seq.bodies.Release(r.seq.cfg.MaxBodies)
	ids := r.send(d.message(t, 1, 1, "a"))
	r.reaches(stateBatched, ids...)
	path := "/v1/data/" + r.state(ids[0]).DataHash.String()
	require.True(t, r.seq.served.TryAcquire(r.seq.cfg.MaxServed))
	require.Equal(t, 429, r.get(path).problem(t).Status)
	r.seq.served.Release(r.seq.cfg.MaxServed)
	for range 3 {
		require.Equal(t, 200, r.get(path).StatusCode)
	}
	require.Equal(t, 400, r.post([]byte("hello")).StatusCode)
	r.eventually("all is given back", func() bool {
		if !r.seq.bodies.TryAcquire(r.seq.cfg.MaxBodies) || !r.seq.served.TryAcquire(r.seq.cfg.MaxServed) {
			return false
		}
		r.seq.bodies.Release(r.seq.cfg.MaxBodies)
		r.seq.served.Release(r.seq.cfg.MaxServed)
		return true
	})
}

// TestUnknownProjectsCostNothing asks for many numbers that no project has.
func TestUnknownProjectsCostNothing(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *Config) { c.CacheFor = time.Hour })
	require.Equal(t, 404, r.get("/v1/projects/2").StatusCode)
	r.chain.setDown(true)
	for id := range 50 {
		require.Equal(t, 404, r.get(fmt.Sprint("/v1/projects/", id+2)).StatusCode)
	}
}

func TestChainAwayIs503(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	d := newDevice(t, wire.SchemeEd25519, 1)
	sent := d.message(t, 1, 1, "a")
	require.Equal(t, 202, r.post(sent).StatusCode)
	r.chain.setDown(true)
	r.seq.projects.changed(1)
	resp := r.post(d.message(t, 1, 2, "a"))
	require.Equal(t, 503, resp.problem(t).Status)
	require.NotContains(t, string(resp.raw), "refused", "causes are for the log")
	require.Equal(t, 200, r.post(sent).StatusCode, "what is known needs no chain")
	r.chain.setDown(false)
	require.Equal(t, 202, r.post(d.message(t, 1, 2, "a")).StatusCode)
}

func TestReading(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	d := newDevice(t, wire.SchemeEd25519, 1)
	var nonce nonceAnswer
	r.get("/v1/devices/"+d.id.String()+"/nonce?project=1").into(t, &nonce)
	require.False(t, nonce.Used)
	id := r.send(d.message(t, 1, 1<<63+7, "x"))[0]
	r.get("/v1/devices/"+d.id.String()+"/nonce?project=1").into(t, &nonce)
	require.Equal(t, nonceAnswer{1, d.id, 1<<63 + 7, true}, nonce)

	var dep deploymentAnswer
	r.get("/v1/deployment").into(t, &dep)
	require.Equal(t, r.chain.Deployment().IDBytes(), dep.DeploymentID)
	require.Equal(t, r.seq.Address(), dep.Sequencer)
	var p projectAnswer
	r.get("/v1/projects/1").into(t, &p)
	require.Equal(t, projectAnswer{1, 1, 64, 4, 0, false, true, true}, p)
	r.eventually("healthy", func() bool { return r.get("/healthz").StatusCode == 200 })

	r.mine()
	r.reaches(stateMined, id)
	v := r.state(id)
	require.NotNil(t, v.TaskID)
	var task TaskView
	r.get("/v1/tasks/"+v.TaskID.String()).into(t, &task)
	require.Equal(t, "offered", task.State)
	require.Equal(t, []wire.Hash{id}, task.Messages)
	require.NotNil(t, task.Block)
	data := r.get("/v1/data/" + task.DataHash.String())
	require.Equal(t, "application/octet-stream", data.Header.Get("Content-Type"))
	require.Equal(t, task.DataHash, wire.DataHash(data.raw))
	var blocks blocksAnswer
	r.get("/v1/blocks").into(t, &blocks)
	require.Equal(t, *task.Block, blocks.Blocks[0].Hash)
	r.get(fmt.Sprintf("/v1/blocks?before=%d&limit=3", blocks.Blocks[0].Height)).into(t, &blocks)
	require.Empty(t, blocks.Blocks)
}

func TestReadingWhatIsNotThere(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	none := wire.Hash{1}.String()
	for path, want := range map[string]struct {
		status int
		code   wire.RejectCode
	}{
		"/v1/messages/" + none:                      {404, wire.RejectNotFound},
		"/v1/tasks/" + none:                         {404, wire.RejectNotFound},
		"/v1/data/" + none:                          {404, wire.RejectNotFound},
		"/v1/projects/9":                            {404, wire.RejectNotFound},
		"/v1/messages/0x12":                         {400, wire.RejectMalformed},
		"/v1/projects/x":                            {400, wire.RejectMalformed},
		"/v1/blocks?limit=0":                        {400, wire.RejectMalformed},
		"/v1/blocks?before=-1":                      {400, wire.RejectMalformed},
		"/v1/devices/" + none + "/nonce":            {400, wire.RejectMissingField},
		"/v1/devices/" + none + "/nonce?project=1x": {400, wire.RejectMalformed},
		"/v2":          {404, wire.RejectNotFound},
		"/v1/messages": {405, codeMethod},
	} {
		p := r.get(path).problem(t)
		require.Equal(t, want.status, p.Status, path)
		require.Equal(t, want.code, p.Code, path)
	}
	p := r.do(http.MethodDelete, "/v1/blocks", "", nil)
	require.Equal(t, 405, p.problem(t).Status)
	require.Equal(t, "GET", p.Header.Get("Allow"))
}

func TestOpenAPI(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	var doc struct {
		OpenAPI    string
		Paths      map[string]map[string]json.RawMessage
		Components struct {
			Schemas map[string]struct {
				Properties map[string]struct{ Type any }
			}
		}
	}
	raw := r.get("/openapi.json").raw
	require.NoError(t, json.Unmarshal(raw, &doc))
	require.Equal(t, "3.1.0", doc.OpenAPI)
	for _, path := range []string{"/v1/messages", "/v1/messages/{id}", "/v1/tasks/{id}", "/v1/data/{hash}", "/v1/blocks",
		"/v1/deployment", "/v1/projects/{id}", "/v1/devices/{device}/nonce", "/healthz"} {
		require.Contains(t, doc.Paths, path)
	}
	require.Equal(t, "string", doc.Components.Schemas["MessageView"].Properties["id"].Type)
	require.Contains(t, string(doc.Paths["/v1/messages"]["post"]), "application/problem+json")
	require.NotContains(t, string(raw), "ErrorModel", "nothing answers so")
	require.Contains(t, string(doc.Paths["/v1/data/{hash}"]["get"]), octetStream)
}
