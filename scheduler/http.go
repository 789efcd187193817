package scheduler

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/gristmill-zk/gristmill/internal/service"
	"github.com/gristmill-zk/gristmill/wire"
)

const (
	defaultList = 100
	maxList     = 1000
)

// serve is the HTTP service: bodies for workers, tasks for people.
func (s *Scheduler) serve(listener net.Listener) service.RunFunc {
	return func(ctx context.Context, ready func()) error {
		server := &http.Server{
			Handler: s.Handler(), ReadHeaderTimeout: 10 * time.Second, IdleTimeout: time.Minute,
			BaseContext: func(net.Listener) context.Context { return ctx },
		}
		ended := make(chan error, 1)
		go func() { ended <- server.Serve(listener) }()
		ready()
		select {
		case err := <-ended:
			return err
		case <-ctx.Done():
		}
		drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		if err := server.Shutdown(drain); err != nil {
			_ = server.Close()
		}
		<-ended
		return ctx.Err()
	}
}

// codeDamaged is the code of the answer when our own record cannot be read any
// more; the status is 500.
const codeDamaged wire.RejectCode = "damaged"

// Handler serves GET /v1/data/{hash}, /v1/tasks, /v1/tasks/{id},
// /v1/proofs/{task} and /healthz.
func (s *Scheduler) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/data/{hash}", s.handle(s.getData))
	mux.HandleFunc("GET /v1/tasks", s.handle(s.getTasks))
	mux.HandleFunc("GET /v1/tasks/{id}", s.handle(s.getTask))
	mux.HandleFunc("GET /v1/proofs/{task}", s.handle(s.getProof))
	mux.HandleFunc("GET /healthz", s.getHealth)
	return mux
}

// handle answers errors as RFC 9457 problems.
func (s *Scheduler) handle(fn func(http.ResponseWriter, *http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		err := fn(w, r)
		if err == nil {
			return
		}
		status, code, detail := http.StatusInternalServerError, wire.RejectUnavailable, "the store could not be read"
		var reject *wire.Reject
		switch {
		case errors.Is(err, errDamaged): // before what is wrong with its bytes: the request was good
			code, detail = codeDamaged, err.Error()
			s.logger.ErrorContext(r.Context(), "a record in the store is damaged", "path", r.URL.Path, "error", err)
		case errors.As(err, &reject):
			status, code, detail = http.StatusBadRequest, reject.Code, reject.Error()
		case isNotFound(err):
			status, code, detail = http.StatusNotFound, wire.RejectNotFound, err.Error()
		default:
			s.logger.ErrorContext(r.Context(), "request failed", "path", r.URL.Path, "error", err)
		}
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(map[string]any{
			"type": "about:blank", "title": http.StatusText(status), "status": status, "detail": detail, "code": code,
		})
	}
}

func (s *Scheduler) getData(w http.ResponseWriter, r *http.Request) error {
	hash, err := wire.ParseHash(r.PathValue("hash"))
	if err != nil {
		return err
	}
	body, err := s.store.Body(r.Context(), hash)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	_, _ = w.Write(body)
	return nil
}

func (s *Scheduler) getTasks(w http.ResponseWriter, r *http.Request) error {
	state, limit := None, defaultList
	if name := r.URL.Query().Get("state"); name != "" {
		var err error
		if state, err = ParseState(name); err != nil {
			return &wire.Reject{Code: wire.RejectMalformed, Field: "state", Msg: err.Error()}
		}
	}
	if text := r.URL.Query().Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > maxList {
			return &wire.Reject{Code: wire.RejectMalformed, Field: "limit", Msg: "is a number from 1 to " + strconv.Itoa(maxList)}
		}
		limit = n
	}
	tasks, err := s.store.Tasks(r.Context(), state, limit)
	if err != nil {
		return err
	}
	if tasks == nil {
		tasks = []*Task{}
	}
	return writeJSON(w, http.StatusOK, map[string]any{"tasks": tasks})
}

// TaskDetail is what GET /v1/tasks/{id} answers.
type TaskDetail struct {
	*Task
	Attempts []Attempt `json:"attempts"`
	History  []Step    `json:"history"`
}

// Detail reads a task with its attempts and history.
func (s *Store) Detail(ctx context.Context, id wire.Hash) (*TaskDetail, error) {
	task, err := s.Task(ctx, id)
	if err != nil {
		return nil, err
	}
	attempts, err := s.Attempts(ctx, id)
	if err != nil {
		return nil, err
	}
	history, err := s.History(ctx, id)
	if err != nil {
		return nil, err
	}
	return &TaskDetail{Task: task, Attempts: attempts, History: history}, nil
}

func (s *Scheduler) getTask(w http.ResponseWriter, r *http.Request) error {
	id, err := wire.ParseHash(r.PathValue("id"))
	if err != nil {
		return err
	}
	detail, err := s.store.Detail(r.Context(), id)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, detail)
}

func (s *Scheduler) getProof(w http.ResponseWriter, r *http.Request) error {
	id, err := wire.ParseHash(r.PathValue("task"))
	if err != nil {
		return err
	}
	proof, err := s.store.Proof(r.Context(), id)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, proof)
}

// Health is what GET /healthz answers.
type Health struct {
	// Status is "ok", or says what is wrong; the HTTP status is 503 then.
	Status string       `json:"status"`
	Prover wire.Address `json:"prover"`
	// RunningAttempts are numbered and not ended: the queue has them, or should.
	RunningAttempts int `json:"running_attempts"`
	// Chain and queue: when they answered last, and how many requests failed
	// since. The queue is asked only while attempts run.
	ChainSeenAt   time.Time `json:"chain_seen_at"`
	ChainFailures int64     `json:"chain_failures"`
	QueueSeenAt   time.Time `json:"queue_seen_at"`
	QueueFailures int64     `json:"queue_failures"`
}

// getHealth answers 200 while the chain and, if attempts run, the queue
// answered lately.
func (s *Scheduler) getHealth(w http.ResponseWriter, r *http.Request) {
	h := Health{
		Status: "ok", Prover: s.cfg.Prover,
		ChainSeenAt: s.chainSeen.lastAt(), ChainFailures: s.chainSeen.failures.Load(),
		QueueSeenAt: s.queueSeen.lastAt(), QueueFailures: s.queueSeen.failures.Load(),
	}
	var err error
	if h.RunningAttempts, err = s.store.running(r.Context()); err != nil {
		h.Status = "the store cannot be read"
		s.logger.ErrorContext(r.Context(), "health: the store cannot be read", "error", err)
	}
	if h.RunningAttempts > 0 && time.Since(h.QueueSeenAt) > s.cfg.SilentAfter {
		h.Status = "the queue does not answer"
	}
	if time.Since(h.ChainSeenAt) > s.cfg.SilentAfter {
		h.Status = "the chain does not answer"
	}
	status := http.StatusOK
	if h.Status != "ok" {
		status = http.StatusServiceUnavailable
	}
	_ = writeJSON(w, status, h)
}

func writeJSON(w http.ResponseWriter, status int, value any) error {
	raw, err := json.Marshal(value)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(raw, '\n'))
	return nil
}
