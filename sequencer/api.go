package sequencer

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/gristmill-zk/gristmill/wire"
)

// newAPI builds the API for devices and provers. Its OpenAPI 3.1 document is
// at /openapi.json.
func newAPI(s *Sequencer) http.Handler {
	mux, api := newHuma("gristmill sequencer", "Takes signed device messages and says what became of them.")
	s.registerMessages(api)
	get(api, "get-message", "/v1/messages/{id}", "What became of a message", s.getMessage, 404)
	get(api, "get-task", "/v1/tasks/{id}", "A task made of messages sent here", s.getTask, 404)
	s.registerData(api)
	get(api, "list-blocks", "/v1/blocks", "The newest blocks, whoever mined them", s.getBlocks)
	get(api, "get-deployment", "/v1/deployment", "The contracts this sequencer works for", s.getDeployment)
	get(api, "get-project", "/v1/projects/{id}", "What a device must know of a project", s.getProject, 404)
	get(api, "get-nonce", "/v1/devices/{device}/nonce", "The last nonce of a device in a project", s.getNonce)
	get(api, "health", "/healthz", "Whether this sequencer works", s.getHealth)
	dropUnused(api)
	return withNotFound(mux)
}

// dropUnused takes the schemas of huma's own errors out of the document: all
// our operations answer with a Problem.
func dropUnused(api huma.API) {
	for _, name := range []string{"ErrorModel", "ErrorDetail"} {
		delete(api.OpenAPI().Components.Schemas.Map(), name)
	}
}

func newHuma(title, description string) (*http.ServeMux, huma.API) {
	mux := http.NewServeMux()
	cfg := huma.DefaultConfig(title, "1")
	cfg.Info.Description = description
	cfg.DocsPath, cfg.SchemasPath = "", "" // no pages that load scripts from elsewhere
	cfg.CreateHooks = nil                  // no $schema members in answers
	return mux, humago.New(mux, cfg)
}

// get registers a read-only operation.
func get[I, O any](api huma.API, id, path, summary string, h func(context.Context, *I) (*O, error), errs ...int) {
	register(api, huma.Operation{OperationID: id, Method: http.MethodGet, Path: path, Summary: summary}, h, errs...)
}

func register[I, O any](api huma.API, op huma.Operation, h func(context.Context, *I) (*O, error), errs ...int) {
	documentProblems(api, &op, append([]int{400, 405, 503}, errs...)...)
	huma.Register(api, op, func(ctx context.Context, in *I) (*O, error) {
		out, err := h(ctx, in)
		if err != nil {
			return nil, problemOf(err)
		}
		return out, nil
	})
}

// documentProblems describes the error answers.
func documentProblems(api huma.API, op *huma.Operation, statuses ...int) {
	schema := huma.SchemaFromType(api.OpenAPI().Components.Schemas, typeOf[Problem]())
	if op.Responses == nil {
		op.Responses = map[string]*huma.Response{}
	}
	for _, status := range statuses {
		op.Responses[strconv.Itoa(status)] = &huma.Response{
			Description: http.StatusText(status), Headers: problemHeaders(status),
			Content: map[string]*huma.MediaType{"application/problem+json": {Schema: schema}},
		}
	}
}

// problemHeaders describes the headers that error answers of a status have.
func problemHeaders(status int) map[string]*huma.Param {
	switch status {
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		return map[string]*huma.Param{"Retry-After": {
			Description: "Seconds after which to try again.", Required: true, Schema: &huma.Schema{Type: huma.TypeInteger},
		}}
	case http.StatusMethodNotAllowed:
		return map[string]*huma.Param{"Allow": {
			Description: "The method that the path has.", Required: true, Schema: &huma.Schema{Type: huma.TypeString},
		}}
	}
	return nil
}

// withNotFound answers unknown paths and wrong methods in the API's own form.
func withNotFound(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, pattern := mux.Handler(r); pattern != "" {
			mux.ServeHTTP(w, r)
			return
		}
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			other := r.Clone(r.Context())
			other.Method = method
			if _, pattern := mux.Handler(other); pattern != "" {
				w.Header().Set("Allow", method)
				problem(http.StatusMethodNotAllowed, codeMethod, "", r.Method+" is not for this path; use "+method).write(w)
				return
			}
		}
		problem(http.StatusNotFound, wire.RejectNotFound, "", "there is nothing at "+r.URL.Path).write(w)
	})
}

type hashInput struct {
	ID string `path:"id" doc:"0x and 64 hex digits."`
}

type bodyOf[T any] struct{ Body T }

func parseHash(field, s string) (wire.Hash, error) {
	h, err := wire.ParseHash(s)
	if err != nil {
		return h, refuse(wire.RejectMalformed, field, "is 0x and 64 hex digits")
	}
	return h, nil
}

// found turns a missing row into 404 and any other failure into one for the log.
func (s *Sequencer) found(ctx context.Context, err error, what string) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, sql.ErrNoRows):
		return refuse(wire.RejectNotFound, "", "%s is not known here", what)
	default:
		return s.failed(ctx, err)
	}
}

// failed logs what the client does not get to see.
func (s *Sequencer) failed(ctx context.Context, err error) error {
	if ctx.Err() == nil {
		s.cfg.Logger.ErrorContext(ctx, "request failed", "error", err)
	}
	return err
}

func (s *Sequencer) getMessage(ctx context.Context, in *hashInput) (*bodyOf[MessageView], error) {
	id, err := parseHash("id", in.ID)
	if err != nil {
		return nil, err
	}
	v, err := loadMessage(ctx, s.db.Read(), id)
	return &bodyOf[MessageView]{v}, s.found(ctx, err, "message "+in.ID)
}

func (s *Sequencer) getTask(ctx context.Context, in *hashInput) (*bodyOf[TaskView], error) {
	id, err := parseHash("id", in.ID)
	if err != nil {
		return nil, err
	}
	v, err := loadTask(ctx, s.db.Read(), id)
	return &bodyOf[TaskView]{v}, s.found(ctx, err, "task "+in.ID)
}

type dataInput struct {
	Hash string `path:"hash" doc:"SHA-256 of the body, 0x and 64 hex digits."`
}

// dataOutput writes the answer itself, to know when the body may be let go.
type dataOutput struct {
	Body func(huma.Context)
}

const octetStream = "application/octet-stream"

func (s *Sequencer) registerData(api huma.API) {
	register(api, huma.Operation{
		OperationID: "get-data", Method: http.MethodGet, Path: "/v1/data/{hash}", Summary: "The body with this SHA-256",
		DefaultStatus: http.StatusOK,
		Responses: map[string]*huma.Response{"200": {
			Description: "The body's bytes. They never change.",
			Content:     map[string]*huma.MediaType{octetStream: {Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}}},
		}},
	}, s.getData, 404, 429)
}

// getData holds a body in memory until it is sent, and only so many bytes of
// bodies at once: asking for one costs a stranger nothing.
func (s *Sequencer) getData(ctx context.Context, in *dataInput) (*dataOutput, error) {
	hash, err := parseHash("hash", in.Hash)
	if err != nil {
		return nil, err
	}
	size, err := bodySize(ctx, s.db.Read(), hash)
	if err != nil {
		return nil, s.found(ctx, err, "data "+in.Hash)
	}
	if !s.served.TryAcquire(size) {
		return nil, errOverloaded
	}
	body, err := loadBody(ctx, s.db.Read(), hash)
	if err != nil {
		s.served.Release(size)
		return nil, s.found(ctx, err, "data "+in.Hash)
	}
	return &dataOutput{func(out huma.Context) {
		defer s.served.Release(size)
		out.SetHeader("Content-Type", octetStream)
		out.SetHeader("Cache-Control", "public, max-age=31536000, immutable")
		out.SetHeader("Content-Length", strconv.FormatInt(size, 10))
		_, _ = out.BodyWriter().Write(body) // the client went away
	}}, nil
}

type blocksInput struct {
	Limit  string `query:"limit" doc:"How many blocks, 1 to 1000; 50 when missing."`
	Before string `query:"before" doc:"Only blocks below this height."`
}

type blocksAnswer struct {
	Blocks []BlockView `json:"blocks" doc:"Newest first."`
}

func (s *Sequencer) getBlocks(ctx context.Context, in *blocksInput) (*bodyOf[blocksAnswer], error) {
	limit, err := parseUint("limit", in.Limit, 50, 1, 1000)
	if err != nil {
		return nil, err
	}
	before, err := parseUint("before", in.Before, math.MaxInt64, 0, math.MaxInt64)
	if err != nil {
		return nil, err
	}
	blocks, err := loadBlocks(ctx, s.db.Read(), int64(before), int(limit))
	if err != nil {
		return nil, s.failed(ctx, err)
	}
	return &bodyOf[blocksAnswer]{blocksAnswer{append([]BlockView{}, blocks...)}}, nil
}

func parseUint(field, s string, missing, least, most uint64) (uint64, error) {
	if s == "" {
		return missing, nil
	}
	v, err := strconv.ParseUint(s, 10, 64)
	if err != nil || v < least || v > most {
		return 0, refuse(wire.RejectMalformed, field, "is a number from %d to %d", least, most)
	}
	return v, nil
}

type deploymentAnswer struct {
	ChainID      uint64       `json:"chain_id"`
	Registry     wire.Address `json:"registry"`
	DeploymentID wire.Hash    `json:"deployment_id"`
	Minter       wire.Address `json:"minter"`
	Sequencer    wire.Address `json:"sequencer" doc:"The key that a project must list."`
	Operator     wire.Address `json:"operator" doc:"The account that sends blocks."`
}

func (s *Sequencer) getDeployment(context.Context, *struct{}) (*bodyOf[deploymentAnswer], error) {
	d := s.cfg.Chain.Deployment()
	return &bodyOf[deploymentAnswer]{deploymentAnswer{
		d.ChainID, d.Registry, d.IDBytes(), s.cfg.Chain.Minter(), s.address, s.cfg.Chain.Operator(),
	}}, nil
}

type projectInput struct {
	ID string `path:"id" doc:"The project's number."`
}

type projectAnswer struct {
	Project      uint64 `json:"project"`
	Version      uint32 `json:"version" doc:"Number of the current version."`
	PayloadLimit uint32 `json:"payload_limit" doc:"Bytes that a payload may have; part of what eddsa-bn254 signs."`
	BatchSize    uint32 `json:"batch_size" doc:"Messages per task."`
	MaxWait      uint32 `json:"max_wait" doc:"Seconds after which a partial batch leaves."`
	Paused       bool   `json:"paused"`
	Funded       bool   `json:"funded" doc:"Whether the escrow pays for another task."`
	Listed       bool   `json:"listed" doc:"Whether the project takes tasks of this sequencer."`
}

func (s *Sequencer) getProject(ctx context.Context, in *projectInput) (*bodyOf[projectAnswer], error) {
	id, err := parseUint("id", in.ID, 0, 1, math.MaxUint64)
	if err != nil {
		return nil, err
	}
	v, err := s.projects.view(ctx, id)
	if errors.Is(err, ErrNoProject) {
		return nil, refuse(wire.RejectNotFound, "", "the chain has no project %d", id)
	}
	if err != nil {
		return nil, s.failed(ctx, unavailable(err))
	}
	return &bodyOf[projectAnswer]{projectAnswer{
		id, v.Version, v.PayloadLimit, v.BatchSize, v.MaxWait, v.Paused, v.funded(1), v.listed,
	}}, nil
}

type nonceInput struct {
	Device  string `path:"device" doc:"The device's id, 0x and 64 hex digits."`
	Project string `query:"project" doc:"The project's number."`
}

type nonceAnswer struct {
	Project uint64    `json:"project"`
	Device  wire.Hash `json:"device"`
	Nonce   uint64    `json:"nonce" doc:"The highest nonce used; the next must be above it."`
	Used    bool      `json:"used" doc:"False when the device has not sent anything yet."`
}

func (s *Sequencer) getNonce(ctx context.Context, in *nonceInput) (*bodyOf[nonceAnswer], error) {
	a := nonceAnswer{}
	var err error
	if a.Device, err = parseHash("device", in.Device); err != nil {
		return nil, err
	}
	if a.Project, err = parseUint("project", in.Project, 0, 1, math.MaxInt64); err != nil {
		return nil, err
	}
	if a.Project == 0 {
		return nil, refuse(wire.RejectMissingField, "project", "is required")
	}
	var raw []byte
	err = s.db.Read().QueryRowContext(ctx, lastNonce, int64(a.Project), a.Device[:]).Scan(&raw)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return nil, s.failed(ctx, err)
	}
	a.Nonce, a.Used = nonceOf(raw), err == nil
	return &bodyOf[nonceAnswer]{a}, nil
}

type healthAnswer struct {
	Status   string `json:"status" doc:"ok"`
	Height   uint64 `json:"height" doc:"Height of the newest block."`
	EVMBlock uint64 `json:"evm_block" doc:"EVM block up to which events were applied."`
	Pending  int64  `json:"pending" doc:"Messages that no live task of the chain has yet."`
}

// tipSilence is how long the chain may go unseen before health fails.
const tipSilence = 30 * time.Second

func (s *Sequencer) getHealth(ctx context.Context, _ *struct{}) (*bodyOf[healthAnswer], error) {
	seen := s.tip.Load()
	if seen == nil || time.Since(seen.at) > max(tipSilence, 4*s.cfg.Poll) {
		return nil, refuse(wire.RejectUnavailable, "", "the chain has not answered for a while")
	}
	_, number, err := loadPosition(ctx, s.db.Read())
	if err != nil {
		return nil, s.failed(ctx, fmt.Errorf("sequencer: health: %w", err))
	}
	return &bodyOf[healthAnswer]{healthAnswer{"ok", seen.tip.Height, number, s.backlog.size()}}, nil
}
