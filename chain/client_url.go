package chain

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/url"
)

// errorPage bounds what is read of an answer that is not JSON-RPC.
const errorPage = 64 << 10

// parseEndpoint reads an endpoint's URL. Its error does not repeat the URL,
// which may hold an API key.
func parseEndpoint(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	if err == nil && u.Host != "" {
		switch u.Scheme {
		case "http", "https", "ws", "wss":
			return u, nil
		}
	}
	return nil, errors.New("chain: the endpoint is not a URL like http://host:port (or https, ws, wss)")
}

// shown is what of an endpoint's URL may be printed: providers put API keys in
// user, path and query.
func shown(u *url.URL) string { return u.Scheme + "://" + u.Host }

// concealing sends requests made for the shown part of target to target. The
// HTTP client puts the URL it was given in its errors, and callers log those,
// so the URL that it is given has nothing to hide.
type concealing struct {
	*http.Transport

	target *url.URL
}

// RoundTrip implements http.RoundTripper.
func (c concealing) RoundTrip(req *http.Request) (*http.Response, error) {
	req = req.Clone(req.Context())
	u := *c.target
	u.User, req.URL = nil, &u
	if user := c.target.User; user != nil {
		password, _ := user.Password()
		req.SetBasicAuth(user.Username(), password)
	}
	resp, err := c.Transport.RoundTrip(req)
	if err != nil || resp.StatusCode < http.StatusMultipleChoices {
		return resp, err
	}
	// The page becomes part of an error, and pages like to repeat the path.
	page, err := io.ReadAll(io.LimitReader(resp.Body, errorPage))
	_ = resp.Body.Close()
	for _, secret := range []string{u.RequestURI(), u.Path, u.RawQuery} {
		if len(secret) > 1 {
			page = bytes.ReplaceAll(page, []byte(secret), []byte("…"))
		}
	}
	resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(page)), int64(len(page))
	return resp, err
}

// stay ends at a redirect: following one would send the key on, and would
// have its new URL in errors.
func stay(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
