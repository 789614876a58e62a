package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/sallyport/sallyport/internal/httpd"
)

// Client speaks to the API, over a Unix socket or straight into a handler of
// the same process. Its methods return *Problem for what the API refused.
type Client struct{ http http.Client }

// NewSocketClient speaks to the server that listens on a Unix socket. The
// socket's owner is checked before a byte is sent, see httpd.DialAdmin.
func NewSocketClient(path string) *Client {
	return &Client{http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return httpd.DialAdmin(ctx, path) },
	}}}
}

// NewHandlerClient calls h directly.
func NewHandlerClient(h http.Handler) *Client {
	return &Client{http.Client{Transport: direct{h}}}
}

// direct is a RoundTripper into a handler. Answers of this API are small.
type direct struct{ h http.Handler }

func (d direct) RoundTrip(r *http.Request) (*http.Response, error) {
	in := r.Clone(r.Context())
	if in.Body == nil {
		in.Body = http.NoBody
	}
	w := &answerBuffer{header: http.Header{}, status: http.StatusOK}
	d.h.ServeHTTP(w, in)
	return &http.Response{
		StatusCode: w.status, Status: http.StatusText(w.status), Header: w.header, Request: r,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Body: io.NopCloser(&w.body), ContentLength: int64(w.body.Len()),
	}, nil
}

type answerBuffer struct {
	header http.Header
	status int
	begun  bool
	body   bytes.Buffer
}

func (w *answerBuffer) Header() http.Header { return w.header }

func (w *answerBuffer) WriteHeader(status int) {
	if !w.begun {
		w.status, w.begun = status, true
	}
}

func (w *answerBuffer) Write(p []byte) (int, error) {
	w.begun = true
	return w.body.Write(p)
}

// maxAnswer bounds what is read of one answer: 500 records of the largest size.
const maxAnswer = 64 << 20

// Do sends one request below Prefix. in and out may be nil.
func (c *Client) Do(ctx context.Context, method, path string, query url.Values, in, out any) error {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return fmt.Errorf("admin client: %w", err)
		}
		body = bytes.NewReader(b)
	}
	u := "http://sallyport" + Prefix + path
	if len(query) > 0 {
		u += "?" + query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, method, u, body)
	if err != nil {
		return fmt.Errorf("admin client: %w", err)
	}
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := c.http.Do(req)
	if err != nil {
		var ue *url.Error
		if errors.As(err, &ue) { // its text repeats a URL that means nothing to the reader
			err = ue.Err
		}
		return fmt.Errorf("talking to the server: %w", err)
	}
	raw, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err = errors.Join(err, res.Body.Close()); err != nil {
		return fmt.Errorf("reading the server's answer: %w", err)
	}
	if res.StatusCode >= 300 {
		return problemOf(res, raw)
	}
	if out == nil || len(raw) == 0 {
		return nil
	}
	if err := json.Unmarshal(raw, out); err != nil {
		return fmt.Errorf("reading the server's answer: %w", err)
	}
	return nil
}

func problemOf(res *http.Response, raw []byte) error {
	p := &Problem{}
	if !strings.HasPrefix(res.Header.Get("Content-Type"), "application/problem+json") || json.Unmarshal(raw, p) != nil {
		p = &Problem{Detail: "the server answered what this program does not understand; do both have the same version?"}
	}
	p.Status = res.StatusCode
	if p.Title == "" {
		p.Title = http.StatusText(res.StatusCode)
	}
	return p
}

// Get reads path into out.
func (c *Client) Get(ctx context.Context, path string, query url.Values, out any) error {
	return c.Do(ctx, http.MethodGet, path, query, nil, out)
}

// Post sends in to path and reads the answer into out.
func (c *Client) Post(ctx context.Context, path string, in, out any) error {
	return c.Do(ctx, http.MethodPost, path, nil, in, out)
}

// List pages through a list to its end. It stops after the first error.
func List[T any](ctx context.Context, c *Client, path string, query url.Values) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		q := url.Values{}
		for k, v := range query {
			q[k] = v
		}
		if q.Get("limit") == "" {
			q.Set("limit", fmt.Sprint(maxPage))
		}
		for {
			var page Page[T]
			if err := c.Get(ctx, path, q, &page); err != nil {
				var zero T
				yield(zero, err)
				return
			}
			for _, item := range page.Items {
				if !yield(item, nil) {
					return
				}
			}
			if page.Next == "" || page.Next == q.Get("cursor") || len(page.Items) == 0 && page.Next != "" {
				return
			}
			q.Set("cursor", page.Next)
		}
	}
}

// Ping finds out whether something answers, without asking it for anything.
func (c *Client) Ping(ctx context.Context) error {
	err := c.Do(ctx, http.MethodHead, "/", nil, nil, nil)
	var p *Problem
	if errors.As(err, &p) { // whatever it says, it speaks
		return nil
	}
	return err
}
