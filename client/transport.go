package client

import (
	"errors"
	"io"
	"net/http"
	"slices"
)

// Transport is an http.RoundTripper that puts an access token on requests.
type Transport struct {
	src     Source
	base    http.RoundTripper
	origins []string
	bad     string
}

// NewTransport makes a Transport of a Source. base sends the requests; nil is http.DefaultTransport. The token is put
// on requests to the given origins ("https://api.example.com"), without any on those to the Session's own server, and
// on no other: a redirect to another host, another port or plain HTTP goes on without it.
func NewTransport(src Source, base http.RoundTripper, origins ...string) *Transport {
	t := &Transport{src: src, base: base}
	if base == nil {
		t.base = http.DefaultTransport
	}
	if s, ok := src.(interface{ Origin() string }); ok && len(origins) == 0 {
		origins = []string{s.Origin()}
	}
	for _, o := range origins {
		if n := originOf(o); n != "" {
			t.origins = append(t.origins, n)
		} else {
			t.bad = o
		}
	}
	return t
}

// RoundTrip sends the request with a token. When the answer is 401 and the Source can renew, it renews and sends the
// request once more, provided that its body can be had again (GetBody). If that does not work out, the 401 is the
// answer.
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	if t.bad != "" || len(t.origins) == 0 {
		closeBody(req)
		return nil, errors.New("client: the transport does not know where to send its token; give NewTransport origins such as https://api.example.com, not " + `"` + t.bad + `"`)
	}
	if !slices.Contains(t.origins, origin(req.URL)) {
		return t.base.RoundTrip(req)
	}
	tok, err := t.src.Token(req.Context())
	if err != nil {
		closeBody(req)
		return nil, err
	}
	res, err := t.base.RoundTrip(withToken(req, req.Body, tok))
	if err != nil || res.StatusCode != http.StatusUnauthorized {
		return res, err
	}
	// Also when this request can't be repeated: the next one needs it.
	fresh := t.renewed(req, tok)
	if fresh == nil {
		return res, nil
	}
	body, ok := again(req)
	if !ok {
		return res, nil
	}
	drain(res.Body)
	return t.base.RoundTrip(withToken(req, body, fresh))
}

// renewed is a token other than tok, or nil. What went wrong is in the Session's OnError; the caller gets the 401.
func (t *Transport) renewed(req *http.Request, tok *Token) *Token {
	r, ok := t.src.(Renewer)
	if !ok {
		return nil
	}
	fresh, err := r.Renew(req.Context(), tok)
	if err != nil || fresh.AccessToken == tok.AccessToken {
		return nil
	}
	return fresh
}

// withToken is a copy of req: a RoundTripper must not change what it was given, and headers of the original would
// follow redirects.
func withToken(req *http.Request, body io.ReadCloser, tok *Token) *http.Request {
	r := req.Clone(req.Context())
	r.Body = body
	r.Header.Set("Authorization", "Bearer "+tok.AccessToken)
	return r
}

// again is the request's body from its start.
func again(req *http.Request) (io.ReadCloser, bool) {
	if req.Body == nil || req.Body == http.NoBody {
		return req.Body, true
	}
	if req.GetBody == nil {
		return nil, false
	}
	body, err := req.GetBody()
	return body, err == nil
}

// drain reads a little, so that the connection can be used again.
func drain(body io.ReadCloser) {
	_, _ = io.CopyN(io.Discard, body, 64<<10) // it is thrown away
	_ = body.Close()
}

func closeBody(req *http.Request) {
	if req.Body != nil {
		_ = req.Body.Close() // nothing was sent
	}
}
