package worker_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gristmill-zk/gristmill/gpu"
	"github.com/gristmill-zk/gristmill/gpu/cpu"
	"github.com/gristmill-zk/gristmill/internal/groth16vk"
	"github.com/gristmill-zk/gristmill/internal/redistest"
	"github.com/gristmill-zk/gristmill/internal/service"
	"github.com/gristmill-zk/gristmill/wire"
	"github.com/gristmill-zk/gristmill/worker"
)

// patience is what only a hang exceeds.
const patience = 2 * time.Minute

// rig is a worker with its queue and a server of task data.
type rig struct {
	t       testing.TB
	redis   *redis.Client
	client  *asynq.Client
	inspect *asynq.Inspector
	plugins *plugins
	cfg     worker.Config
	unit    *service.Unit
	worker  *worker.Worker

	over chan struct{} // closed when the test is over: nothing may wait any more

	digest wire.Hash
	body   []byte // what jobs are about
	data   *httptest.Server

	mu     sync.Mutex
	bodies map[string][]byte // all that were set, by the path where they are served
	events []worker.Event
}

// newRig makes a worker over the embedded queue; start it with start.
func newRig(t testing.TB) *rig {
	return newRigAt(t, redistest.Embedded(t).Addr())
}

func newRigAt(t testing.TB, addr string) *rig {
	t.Helper()
	r := &rig{t: t, plugins: &plugins{}, over: make(chan struct{}), bodies: map[string][]byte{}}
	r.setBody(makeBody(t, 3))
	r.redis = redis.NewClient(&redis.Options{Addr: addr})
	t.Cleanup(func() { assert.NoError(t, r.redis.Close()) })
	r.client, r.inspect = asynq.NewClientFromRedisClient(r.redis), asynq.NewInspectorFromRedisClient(r.redis)
	r.data = httptest.NewServer(http.HandlerFunc(r.serve))
	t.Cleanup(r.data.Close)
	engine, err := cpu.New(cpu.Config{})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, engine.Close()) })
	dir := t.TempDir()
	r.digest = writeBundle(t, dir, nil)
	r.cfg = worker.Config{
		Redis: asynq.RedisClientOpt{Addr: addr}, Slots: 2, Devices: []gpu.Engine{engine}, Plugins: r.plugins, BundleDir: dir, AllowInsecure: true,
		Name: "bench", Poll: 10 * time.Millisecond, Beat: 10 * time.Second, Logger: quiet(), Observe: r.observe,
	}
	return r
}

// serve answers /v1/data/<hash> with a body that was set, and other paths with
// what can go wrong.
func (r *rig) serve(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	body, known := r.bodies[req.URL.Path]
	if !known {
		body = r.body
	}
	r.mu.Unlock()
	if known {
		_, _ = w.Write(body)
		return
	}
	switch req.URL.Path {
	case "/other":
		_, _ = w.Write(body[1:])
	case "/cut":
		w.Header().Set("Content-Length", "100000")
		_, _ = w.Write(body)
	case "/endless":
		for chunk := make([]byte, 1<<20); ; {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	case "/moved":
		http.Redirect(w, req, "/v1/data/"+wire.DataHash(body).String(), http.StatusFound)
	default:
		http.NotFound(w, req)
	}
}

// setBody changes the data that is served and that jobs are about.
func (r *rig) setBody(body []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.body = body
	r.bodies["/v1/data/"+wire.DataHash(body).String()] = body
}

func (r *rig) observe(e worker.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, e)
}

func (r *rig) seen(kind worker.EventKind) (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.events {
		if e.Kind == kind {
			n++
		}
	}
	return n
}

func (r *rig) start() *rig {
	r.t.Helper()
	w, err := worker.New(r.cfg)
	require.NoError(r.t, err)
	r.worker = w
	r.unit = service.New("worker", w.Run)
	require.NoError(r.t, r.unit.Start(context.Background()))
	r.t.Cleanup(func() {
		close(r.over)
		r.unit.Stop()
	})
	return r
}

// job is a valid job about the rig's body; n makes its task distinct.
func (r *rig) job(n byte) *wire.Job {
	r.t.Helper()
	return r.jobFor(n, batchSize, payloadLimit)
}

// jobFor is job for a circuit of other sizes.
func (r *rig) jobFor(n byte, batch, limit uint32) *wire.Job {
	r.t.Helper()
	var body wire.Body
	require.NoError(r.t, body.UnmarshalBinary(r.body))
	commitment, err := body.Commitment(deployment, batch, limit)
	require.NoError(r.t, err)
	job := wire.NewJob()
	job.Deployment, job.TaskID, job.Attempt, job.Prover = deployment, wire.Hash{n, 1}, 1, prover
	job.Project, job.Version, job.BundleDigest = 1, 1, r.digest
	vk, err := groth16vk.EncodeVK(fixture(r.t).VK)
	require.NoError(r.t, err)
	job.VKID, job.Outputs = groth16vk.ID(vk), 1
	job.DataHash, job.DataURLs = wire.DataHash(r.body), []string{r.data.URL + "/v1/data/" + wire.DataHash(r.body).String()}
	job.BatchSize, job.PayloadLimit, job.Count = batch, limit, uint32(len(body.Messages))
	job.DataCommitment = wire.ElementHash(commitment)
	job.ReplyQueue = queueName
	return job
}

var queueName = wire.ResultQueue(deployment, prover)

func (r *rig) send(job *wire.Job) {
	r.t.Helper()
	payload, err := job.Encode()
	require.NoError(r.t, err)
	r.enqueue(payload, id(job))
}

func (r *rig) enqueue(payload []byte, id string) {
	r.t.Helper()
	_, err := r.client.Enqueue(asynq.NewTask(wire.JobType, payload),
		asynq.Queue(wire.JobQueue), asynq.TaskID(id), asynq.MaxRetry(1000), asynq.Timeout(time.Hour))
	require.NoError(r.t, err)
}

func id(job *wire.Job) string { return job.ID() }

// results reads what was sent so far and leaves it in the queue.
func (r *rig) results() []*wire.Result {
	infos, err := r.inspect.ListPendingTasks(queueName, asynq.PageSize(100))
	if errors.Is(err, asynq.ErrQueueNotFound) {
		return nil
	}
	if !assert.NoError(r.t, err) {
		return nil
	}
	var out []*wire.Result
	for _, info := range infos {
		result, err := wire.ParseResult(info.Payload)
		if assert.NoError(r.t, err) && assert.Equal(r.t, wire.ResultType, info.Type) {
			assert.Equal(r.t, result.TaskID.String()+"/1/"+string(result.Kind), info.ID)
			out = append(out, result)
		}
	}
	return out
}

// await waits for the result of a kind of a job.
func (r *rig) await(job *wire.Job, kind wire.ResultKind) *wire.Result {
	r.t.Helper()
	var found *wire.Result
	require.Eventually(r.t, func() bool {
		found = r.find(job, kind)
		return found != nil
	}, patience, 10*time.Millisecond, "no %s result", kind)
	return found
}

func (r *rig) find(job *wire.Job, kind wire.ResultKind) *wire.Result {
	for _, result := range r.results() {
		if result.TaskID == job.TaskID && result.Kind == kind {
			return result
		}
	}
	return nil
}

func (r *rig) fails(job *wire.Job, code string) *wire.Result {
	r.t.Helper()
	result := r.await(job, wire.ResultFailed)
	require.Equal(r.t, code, result.Error.Code, result.Error.Message)
	require.Nil(r.t, r.find(job, wire.ResultProved))
	return result
}

func (r *rig) eventually(what string, ok func() bool) {
	r.t.Helper()
	require.Eventually(r.t, ok, patience, 5*time.Millisecond, what)
}

// spoilt is an engine some of whose proofs are wrong.
type spoilt struct {
	gpu.Engine
	spoil func(n int, proof *gpu.Proof) error // n counts from 1

	mu sync.Mutex
	n  int
}

// spoil makes the rig's device one whose proofs are spoilt.
func (r *rig) spoil(spoil func(n int, proof *gpu.Proof) error) {
	r.cfg.Devices = []gpu.Engine{&spoilt{Engine: r.cfg.Devices[0], spoil: spoil}}
}

func (s *spoilt) Prove(ctx context.Context, req gpu.Request) (*gpu.Proof, error) {
	proof, err := s.Engine.Prove(ctx, req)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	s.n++
	n := s.n
	s.mu.Unlock()
	if err := s.spoil(n, proof); err != nil {
		return nil, err
	}
	return proof, nil
}
