package clients

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/internal/admin"
)

// Node is a server, or the balancer before it.
type Node struct {
	URL   string
	Admin *admin.Client
}

// API speaks to one life of the servers. Connections die with a server, so
// where clients don't try again the next life gets an API of its own.
type API struct {
	Nodes []Node
	// Patience is how long a request is sent again that got no answer or one
	// that says "not now", to the next node each time; 0 is once.
	Patience time.Duration
	// Tries bounds how often that is; 0 is no bound. Administrative acts of a
	// single node are not bounded: no balancer stands before its own socket.
	Tries int
	// Lag is how long after a revocation was acknowledged another node may
	// still take an access token for good. Refresh tokens have no such time.
	Lag time.Duration
	// Pause is waited before each act of a worker.
	Pause time.Duration

	http  *http.Client
	turn  atomic.Uint64
	again atomic.Int64
}

// NewAPI makes one whose requests are given up after timeout.
func NewAPI(timeout time.Duration, nodes ...Node) *API {
	return &API{
		Nodes: nodes,
		http:  &http.Client{Timeout: timeout, Transport: &http.Transport{MaxIdleConnsPerHost: 64}},
	}
}

// Close closes the connections that are idle.
func (a *API) Close() { a.http.CloseIdleConnections() }

// Again counts the requests that were sent again.
func (a *API) Again() int64 { return a.again.Load() }

// Answer is a complete HTTP answer: one that was acknowledged.
type Answer struct {
	Status int
	Raw    []byte
	Body   map[string]any // nil when it is no JSON object
}

// Text is a member of the body that is a string, "" if there is none.
func (r *Answer) Text(name string) string {
	s, _ := r.Body[name].(string)
	return s
}

func (r *Answer) String() string {
	raw := r.Raw
	if len(raw) > 300 {
		raw = raw[:300]
	}
	return fmt.Sprintf("%d %s", r.Status, raw)
}

// Busy answers say that the server has too much to do or cannot reach its
// store, and nothing about a credential.
func (r *Answer) Busy() bool {
	return r.Status == http.StatusServiceUnavailable || r.Status == http.StatusTooManyRequests
}

// NotNow answers are worth another try: the busy ones, and those that a
// balancer gives when it lost the server.
func (r *Answer) NotNow() bool {
	return r.Busy() || r.Status == http.StatusBadGateway || r.Status == http.StatusGatewayTimeout
}

// request is made anew for each try, since some credentials hold the time.
type request struct {
	method, path, bearer, media string
	body                        func() string // nil for none
}

// do sends a request until it is answered or patience ends. An error means
// that the outcome is unknown.
func (a *API) do(ctx context.Context, r request) (ans *Answer, err error) {
	err = a.persist(ctx, a.Tries, func(n Node) (done bool, err error) {
		got, err := a.once(ctx, n, r)
		if got != nil {
			ans = got
		}
		return err == nil && !got.NotNow(), err
	})
	switch {
	case ans == nil:
		return nil, err
	case a.Patience > 0 && ans.NotNow():
		return nil, fmt.Errorf("still told %s", ans)
	}
	return ans, nil
}

// manner says how clients try again.
func (a *API) manner() string {
	if a.Tries > 0 {
		return fmt.Sprintf("tried %d times", a.Tries)
	}
	return fmt.Sprintf("tried for %s", a.Patience)
}

func (a *API) adminTries() int {
	if len(a.Nodes) == 1 {
		return 0
	}
	return a.Tries
}

// persist tries until try says that it is done, or patience or the number of
// tries (0: no number) ends. It gives the last error.
func (a *API) persist(ctx context.Context, tries int, try func(Node) (bool, error)) error {
	begin, pause := time.Now(), 20*time.Millisecond
	first := int(a.turn.Add(1) % uint64(len(a.Nodes)))
	for n := 1; ; n++ {
		done, err := try(a.Nodes[(first+n)%len(a.Nodes)])
		if done || time.Since(begin) >= a.Patience || n == tries {
			return err
		}
		a.again.Add(1)
		select {
		case <-ctx.Done():
			return errors.Join(err, ctx.Err())
		case <-time.After(pause/2 + rand.N(pause)):
		}
		pause = min(2*pause, time.Second)
	}
}

func (a *API) once(ctx context.Context, n Node, r request) (*Answer, error) {
	body := ""
	if r.body != nil {
		body = r.body()
	}
	req, err := http.NewRequestWithContext(ctx, r.method, n.URL+r.path, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	if r.media != "" {
		req.Header.Set("Content-Type", r.media)
	}
	if r.bearer != "" {
		req.Header.Set("Authorization", "Bearer "+r.bearer)
	}
	res, err := a.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = res.Body.Close() }() // read to its end, or the error is reported
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, err
	}
	ans := &Answer{Status: res.StatusCode, Raw: raw}
	_ = json.Unmarshal(raw, &ans.Body) // no JSON leaves it nil, which no check accepts
	return ans, nil
}

func (a *API) form(ctx context.Context, path string, v url.Values) (*Answer, error) {
	return a.do(ctx, request{method: http.MethodPost, path: path, media: "application/x-www-form-urlencoded", body: v.Encode})
}

func (a *API) json(ctx context.Context, path string, v func() map[string]string) (*Answer, error) {
	return a.do(ctx, request{method: http.MethodPost, path: path, media: "application/json", body: func() string {
		b, _ := json.Marshal(v()) // plain strings
		return string(b)
	}})
}

// Call asks the API behind the gateway.
func (a *API) Call(ctx context.Context, token string) (*Answer, error) {
	return a.do(ctx, request{method: http.MethodGet, path: "/api/stations", bearer: token})
}

// mint asks for an application token (ItemPath).
func (a *API) mint(ctx context.Context, refresh string) (*Answer, error) {
	return a.do(ctx, request{method: http.MethodPost, path: "/api/users/application-token", bearer: refresh})
}

// post sends an administrative act. tried says whether it was sent more than
// once, so that an earlier try may have done it.
func (a *API) post(ctx context.Context, path string, in, out any) (tried bool, err error) {
	n := 0
	err = a.persist(ctx, a.adminTries(), func(node Node) (bool, error) {
		n++
		err := node.Admin.Post(ctx, path, in, out)
		var p *admin.Problem
		return err == nil || errors.As(err, &p) && !notNow(p), err
	})
	return n > 1, err
}

// get reads from the administration API.
func (a *API) get(ctx context.Context, path string, q url.Values, out any) error {
	return a.persist(ctx, a.adminTries(), func(n Node) (bool, error) {
		err := n.Admin.Get(ctx, path, q, out)
		var p *admin.Problem
		return err == nil || errors.As(err, &p) && !notNow(p), err
	})
}

// sessions gives the generations of a subject's sessions.
func (a *API) sessions(ctx context.Context, subject string) (stands map[string]int64, err error) {
	err = a.persist(ctx, a.adminTries(), func(n Node) (bool, error) {
		stands = map[string]int64{}
		for s, err := range admin.List[admin.Session](ctx, n.Admin, "/sessions", url.Values{"subject": {subject}}) {
			if err != nil {
				return false, err
			}
			stands[s.ID] = s.Generation
		}
		return true, nil
	})
	return stands, err
}

func notNow(p *admin.Problem) bool { return (&Answer{Status: p.Status}).NotNow() }

// Revoke ends a session.
func (a *API) Revoke(ctx context.Context, sid string) error {
	tried, err := a.post(ctx, "/sessions/revoke", admin.Revocation{Session: sid}, nil)
	if tried && gone(err) {
		return nil
	}
	return err
}

// gone reports whether an error says that there was nothing to do any more.
func gone(err error) bool {
	var p *admin.Problem
	return errors.As(err, &p) && (p.Status == http.StatusNotFound || p.Status == http.StatusConflict)
}
