package sequencer

import (
	"context"
	"errors"
	"io"
	"mime"
	"net"
	"net/http"
	"reflect"
	"slices"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"golang.org/x/sync/semaphore"

	"github.com/gristmill-zk/gristmill/wire"
)

func typeOf[T any]() reflect.Type { return reflect.TypeFor[T]() }

type bodyKey struct{}

// withBody reads a JSON request body of at most limit bytes before the
// operation runs. huma's own reading would answer other errors than protocol's:
// decoding is strict and wire's, field names included. The body's bytes are
// taken from memory as they come, so that nobody holds what they only
// announce, and given back when the operation has ended.
func withBody(limit int64, memory *semaphore.Weighted) func(huma.Context, func(huma.Context)) {
	return func(ctx huma.Context, next func(huma.Context)) {
		r, w := humago.Unwrap(ctx)
		held := &reservation{memory: memory}
		defer held.release()
		body, err := readJSON(w, r, limit, held)
		if err != nil {
			problemOf(err).write(w)
			return
		}
		next(huma.WithValue(ctx, bodyKey{}, body))
	}
}

// reservation is memory taken piece by piece.
type reservation struct {
	memory *semaphore.Weighted
	bytes  int64
}

// reserveStep is how many bytes are taken at once.
const reserveStep = 64 << 10

// cover makes sure that n bytes are taken.
func (r *reservation) cover(n int64) bool {
	if n <= r.bytes {
		return true
	}
	more := (n - r.bytes + reserveStep - 1) / reserveStep * reserveStep
	if !r.memory.TryAcquire(more) {
		return false
	}
	r.bytes += more
	return true
}

func (r *reservation) release() { r.memory.Release(r.bytes) }

func bodyFrom(ctx context.Context) []byte {
	body, _ := ctx.Value(bodyKey{}).([]byte)
	return body
}

func readJSON(w http.ResponseWriter, r *http.Request, limit int64, held *reservation) ([]byte, error) {
	kind, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "application/json" || !utf8OrNothing(params["charset"]) {
		return nil, refuse(wire.RejectContentType, "", "Content-Type is %q, not application/json", r.Header.Get("Content-Type"))
	}
	if enc := r.Header.Get("Content-Encoding"); enc != "" && enc != "identity" {
		return nil, refuse(wire.RejectContentType, "", "Content-Encoding %q is not taken", enc)
	}
	if r.ContentLength > limit {
		w.Header().Set("Connection", "close") // the rest is not worth reading
		return nil, tooBig(limit)
	}
	body, err := readHeld(http.MaxBytesReader(w, r.Body, limit), held)
	var long *http.MaxBytesError
	var netErr net.Error
	switch {
	case err == nil:
		return body, nil
	case errors.As(err, &long):
		return nil, tooBig(limit)
	case errors.Is(err, errOverloaded):
		w.Header().Set("Connection", "close")
		return nil, err
	case errors.As(err, &netErr) && netErr.Timeout():
		return nil, problem(http.StatusRequestTimeout, codeTimeout, "", "the request body did not come in time")
	default:
		return nil, refuse(wire.RejectTruncated, "", "the request body ends after %d bytes, before its announced length", len(body))
	}
}

// readHeld reads to the end as far as there is memory for it.
func readHeld(r io.Reader, held *reservation) ([]byte, error) {
	var body []byte
	for {
		if !held.cover(int64(len(body)) + 1) {
			return body, errOverloaded
		}
		body = slices.Grow(body, int(held.bytes)-len(body))
		n, err := r.Read(body[len(body):held.bytes])
		body = body[:len(body)+n]
		if errors.Is(err, io.EOF) {
			return body, nil
		}
		if err != nil {
			return body, err
		}
	}
}

func utf8OrNothing(charset string) bool {
	return charset == "" || charset == "utf-8" || charset == "UTF-8"
}

func tooBig(limit int64) error {
	return refuse(wire.RejectTooBig, "", "the request has more than %d bytes", limit)
}

// jsonBody describes a request body whose decoding is ours.
func jsonBody(description string, schema *huma.Schema) *huma.RequestBody {
	return &huma.RequestBody{Description: description, Content: map[string]*huma.MediaType{"application/json": {Schema: schema}}}
}

// requireBody documents that the POST operation at path wants its body. It is
// said after registration, in a copy: huma would look for a body that withBody
// has read already.
func requireBody(api huma.API, path string) {
	item := api.OpenAPI().Paths[path]
	op, body := *item.Post, *item.Post.RequestBody
	body.Required = true
	op.RequestBody = &body
	item.Post = &op
}

// schemaOf registers a type's schema.
func schemaOf[T any](api huma.API) *huma.Schema {
	return huma.SchemaFromType(api.OpenAPI().Components.Schemas, typeOf[T]())
}
