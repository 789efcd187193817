package chain_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gristmill-zk/gristmill/chain"
)

// TestEndpointKeysStayHidden dials with keys in every place of a URL: they
// reach the endpoint, and no error.
func TestEndpointKeysStayHidden(t *testing.T) {
	t.Parallel()
	const path = "/v3/s3cret"
	var broken func(http.ResponseWriter, *http.Request)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		switch {
		case user != "s3cretUser" || password != "s3cretWord" || r.URL.RequestURI() != path+"?key=s3cretKey":
			w.WriteHeader(http.StatusForbidden)
		case broken != nil:
			broken(w, r)
		default:
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":1,"result":"0x7a69"}`)
		}
	}))
	defer server.Close()
	host := strings.TrimPrefix(server.URL, "http://")
	tail := host + path + "?key=s3cretKey"

	client, err := chain.Dial(t.Context(), "http://s3cretUser:s3cretWord@"+tail)
	require.NoError(t, err)
	defer client.Close()
	require.EqualValues(t, 31337, client.ID())

	hidden := func(err error, says string) {
		t.Helper()
		require.ErrorContains(t, err, says)
		require.NotContains(t, err.Error(), "s3cret")
	}
	broken = func(w http.ResponseWriter, r *http.Request) {
		http.Error(w, "Cannot POST "+r.URL.RequestURI()+" "+r.URL.Path, http.StatusNotFound)
	}
	_, err = client.BlockNumber(t.Context())
	hidden(err, "Cannot POST")
	broken = func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://127.0.0.1:1"+r.URL.RequestURI(), http.StatusPermanentRedirect)
	}
	_, err = client.BlockNumber(t.Context())
	hidden(err, "308")
	_, err = chain.Dial(t.Context(), "ws://s3cretUser:s3cretWord@"+tail)
	hidden(err, host)

	server.Close()
	_, err = client.BlockNumber(t.Context())
	hidden(err, host)
	for _, scheme := range []string{"http://", "ws://"} {
		_, err = chain.Dial(t.Context(), scheme+"s3cretUser:s3cretWord@"+tail)
		hidden(err, scheme+host)
	}
	for _, bad := range []string{"s3cret", host + path, "http://us:s3cret%zz@h", "http://h:s3cret/", "ftp://h/s3cret", "http:///s3cret", "localhost:8545/s3cret"} {
		_, err = chain.Dial(t.Context(), bad)
		hidden(err, "endpoint is not a URL")
	}
}
