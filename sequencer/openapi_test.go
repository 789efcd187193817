package sequencer

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"
	"github.com/stretchr/testify/require"
)

// contract is the OpenAPI document that a server serves, read by a library that
// had no part in making it. Every exchange of the API tests is held against it.
type contract struct{ router routers.Router }

// newContract reads the document in the form of OpenAPI 3.0, which the library
// knows best; the server makes both forms from one source.
func newContract(t *testing.T, h http.Handler) *contract {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/openapi-3.0.json", nil))
	require.Equal(t, http.StatusOK, w.Code)
	doc, err := openapi3.NewLoader().LoadFromData(w.Body.Bytes())
	require.NoError(t, err)
	require.NoError(t, doc.Validate(t.Context(), openapi3.AllowExtraSiblingFields("contentMediaType"))) // a word of 3.1 that huma leaves in
	doc.Servers = nil
	router, err := gorillamux.NewRouter(doc)
	require.NoError(t, err)
	return &contract{router}
}

func init() {
	openapi3filter.RegisterBodyDecoder("application/problem+json", openapi3filter.JSONBodyDecoder)
	openapi3filter.RegisterBodyDecoder(octetStream, openapi3filter.FileBodyDecoder)
}

// check holds an exchange against the document: the answer must be one that is
// described, and a request that was granted must have been a described one.
func (c *contract) check(t *testing.T, method, path, contentType string, body []byte, got answer) {
	t.Helper()
	req := httptest.NewRequestWithContext(t.Context(), method, path, bytes.NewReader(body))
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	route, params, err := c.router.FindRoute(req)
	if err != nil {
		return // not an operation of the document
	}
	input := &openapi3filter.RequestValidationInput{Request: req, PathParams: params, Route: route}
	if got.StatusCode < 300 && got.StatusCode != http.StatusMultiStatus { // of which parts may be bad on purpose
		require.NoError(t, openapi3filter.ValidateRequest(context.Background(), input), "%s %s", method, path)
	}
	require.NoError(t, openapi3filter.ValidateResponse(context.Background(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: input, Status: got.StatusCode, Header: got.Header, Body: io.NopCloser(bytes.NewReader(got.raw)),
		Options: &openapi3filter.Options{IncludeResponseStatus: true, MultiError: true},
	}), "%s %s: %d %s", method, path, got.StatusCode, got.raw)
}

// TestContractNotices: a validator that takes anything would prove nothing.
func TestContractNotices(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	c := newContract(t, r.seq.Handler())
	check := func(path string, got answer) error {
		req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil)
		route, params, err := c.router.FindRoute(req)
		require.NoError(t, err)
		return openapi3filter.ValidateResponse(t.Context(), &openapi3filter.ResponseValidationInput{
			RequestValidationInput: &openapi3filter.RequestValidationInput{Request: req, PathParams: params, Route: route},
			Status:                 got.StatusCode, Header: got.Header, Body: io.NopCloser(bytes.NewReader(got.raw)),
			Options: &openapi3filter.Options{IncludeResponseStatus: true},
		})
	}
	good := r.get("/v1/deployment")
	require.NoError(t, check("/v1/deployment", good))
	require.Error(t, check("/v1/deployment", answer{good.Response, []byte(`{"chain_id":"one"}`)}))
	teapot := *good.Response
	teapot.StatusCode = http.StatusTeapot
	require.Error(t, check("/v1/deployment", answer{&teapot, good.raw}))
	html := *good.Response
	html.Header = http.Header{"Content-Type": {"text/html"}}
	require.Error(t, check("/v1/deployment", answer{&html, good.raw}))
}
