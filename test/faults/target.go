package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/internal/admin"
	"github.com/sallyport/sallyport/test/clients"
	"github.com/sallyport/sallyport/test/faults/history"
	"github.com/sallyport/sallyport/test/faults/world"
)

// chain is a contract for histories: rotating, with a grace time of choice.
type chain struct {
	name  string
	grace time.Duration
}

// Two kinds of sessions: those of honest clients, and those whose ancestors
// are soon too late, so that reuse happens.
var chains = []chain{{"patient", 2 * time.Minute}, {"hasty", 2 * time.Second}}

const chainContract = `format: 1
contract: %[1]s
tokens:
  access: {lifetime: 15m, alg: HS256}
  refresh: {lifetime: 30d, rotation: {grace: %[2]s}}
routes:
  - route: POST /%[1]s/token
    grant: password
    accept: {form: {username: $username, password: $password}}
    answer: {body: {access_token: $access_token, refresh_token: $refresh_token}}
  - route: POST /%[1]s/refresh
    grant: refresh
    accept: {form: {refresh_token: $refresh_token}}
    answer: {body: {access_token: $access_token, refresh_token: $refresh_token}}
error:
  body: {error: $message}
errors:
  bad_request: {status: 400}
  unauthorized: {status: 401}
  forbidden: {status: 403}
  not_found: {status: 404}
  conflict: {status: 409}
  too_many: {status: 429}
  unavailable: {status: 503}
  internal: {status: 500}
`

// writeChains writes the contracts into a folder and gives the value of
// --mounts that serves them.
func writeChains(dir string) (mounts string, err error) {
	var files []string
	for _, c := range chains {
		file := filepath.Join(dir, c.name+".yaml")
		if err := os.WriteFile(file, fmt.Appendf(nil, chainContract, c.name, c.grace), 0o600); err != nil {
			return "", fmt.Errorf("writing a contract: %w", err)
		}
		files = append(files, file)
	}
	b, err := json.Marshal(files)
	return string(b), err
}

// target speaks to the nodes of a world for a history. It asks each node
// directly: whose memory is judged has to be known.
type target struct {
	chain  chain
	world  *world.World
	urls   []string // where each node is reached; its own address unless something stands before it
	admins []*admin.Client
	users  []string
	basic  [2]string // OAuth client that introspects
	http   *http.Client

	turn    atomic.Int64
	mu      sync.Mutex
	strange map[string]int // answers that no fault excuses
}

func newTarget(c chain, w *world.World, users []string, basic [2]string, timeout time.Duration) *target {
	t := &target{
		chain: c, world: w, users: users, basic: basic, strange: map[string]int{},
		http: &http.Client{Timeout: timeout, Transport: &http.Transport{MaxIdleConnsPerHost: 64}},
	}
	for _, n := range w.Nodes {
		t.urls = append(t.urls, n.URL)
		t.admins = append(t.admins, n.Admin())
	}
	return t
}

// addUsers makes users for histories.
func addUsers(ctx context.Context, a *admin.Client, hash string, n int) (names []string, err error) {
	for i := range n {
		name := fmt.Sprintf("history-%d", i)
		if err := a.Post(ctx, "/users", admin.NewUser{Username: name, PasswordHash: hash}, nil); err != nil {
			return nil, fmt.Errorf("making a user: %w", err)
		}
		names = append(names, name)
	}
	return names, nil
}

// Nodes is how many there are.
func (t *target) Nodes() int { return len(t.urls) }

// Login opens a session of one of the users in turn.
func (t *target) Login(ctx context.Context, node int) (history.Tokens, bool) {
	user := t.users[int(t.turn.Add(1))%len(t.users)]
	got, v := t.grant(ctx, node, "token", url.Values{"username": {user}, "password": {clients.Secret}})
	if v == history.Refused {
		t.odd("login refused")
	}
	return got, v == history.Granted
}

// Refresh presents a refresh token.
func (t *target) Refresh(ctx context.Context, node int, token string) (history.Tokens, history.Verdict) {
	return t.grant(ctx, node, "refresh", url.Values{"refresh_token": {token}})
}

func (t *target) grant(ctx context.Context, node int, route string, form url.Values) (history.Tokens, history.Verdict) {
	status, body, err := t.send(ctx, http.MethodPost, t.urls[node]+"/"+t.chain.name+"/"+route, "", form)
	switch {
	case err != nil || status == http.StatusServiceUnavailable || status == http.StatusTooManyRequests:
		return history.Tokens{}, history.Unknown
	case status == http.StatusUnauthorized:
		return history.Tokens{}, history.Refused
	case status != http.StatusOK:
		t.odd("%s answered %d", route, status)
		return history.Tokens{}, history.Unknown
	}
	got := history.Tokens{}
	got.Refresh, _ = body["refresh_token"].(string) // absent ones fail below
	got.Access, _ = body["access_token"].(string)
	if err := readTokens(&got); err != nil {
		t.odd("%s: %v", route, err)
		return history.Tokens{}, history.Unknown
	}
	return got, history.Granted
}

// readTokens fills in what the refresh token says.
func readTokens(t *history.Tokens) error {
	parts := strings.Split(t.Refresh, ".")
	if len(parts) != 3 || t.Access == "" {
		return errors.New("the answer lacks a token")
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return errors.New("a refresh token that is none")
	}
	var c struct {
		SID string `json:"sid"`
		Gen int64  `json:"gen"`
		IAT int64  `json:"iat"`
	}
	if err := json.Unmarshal(raw, &c); err != nil {
		return errors.New("a refresh token that is none")
	}
	t.Session, t.Gen, t.Issued = c.SID, c.Gen, c.IAT*int64(time.Second)
	return nil
}

// Revoke ends a session over a node's own socket.
func (t *target) Revoke(ctx context.Context, node int, session string) history.Verdict {
	ctx, stop := context.WithTimeout(ctx, t.http.Timeout)
	defer stop()
	err := t.admins[node].Post(ctx, "/sessions/revoke", admin.Revocation{Session: session}, nil)
	var p *admin.Problem
	switch {
	case err == nil:
		return history.Done
	case errors.As(err, &p) && p.Status == http.StatusNotFound:
		return history.Nothing
	case errors.As(err, &p) && p.Status != http.StatusServiceUnavailable && p.Status != http.StatusTooManyRequests:
		t.odd("revoking answered %d", p.Status)
	}
	return history.Unknown
}

// Introspect asks a node what an access token is worth: in turn by OAuth
// introspection and by calling the API behind it.
func (t *target) Introspect(ctx context.Context, node int, access string) history.Verdict {
	if t.turn.Add(1)%2 == 0 {
		return t.call(ctx, node, access)
	}
	status, body, err := t.send(ctx, http.MethodPost, t.urls[node]+"/oauth2/introspect", "", url.Values{"token": {access}})
	switch active, said := body["active"].(bool); {
	case err != nil || status == http.StatusServiceUnavailable || status == http.StatusTooManyRequests:
	case status != http.StatusOK || !said:
		t.odd("introspection answered %d", status)
	case active:
		return history.Active
	default:
		return history.Inactive
	}
	return history.Unknown
}

func (t *target) call(ctx context.Context, node int, access string) history.Verdict {
	status, _, err := t.send(ctx, http.MethodGet, t.urls[node]+"/api/stations", access, nil)
	switch {
	case err != nil || status == http.StatusServiceUnavailable || status == http.StatusTooManyRequests:
	case status == http.StatusOK:
		return history.Active
	case status == http.StatusUnauthorized:
		return history.Inactive
	default:
		t.odd("a call through the gateway answered %d", status)
	}
	return history.Unknown
}

func (t *target) send(ctx context.Context, method, to, bearer string, form url.Values) (int, map[string]any, error) {
	req, err := http.NewRequestWithContext(ctx, method, to, strings.NewReader(form.Encode()))
	if err != nil {
		return 0, nil, err
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	switch {
	case bearer != "":
		req.Header.Set("Authorization", "Bearer "+bearer)
	case strings.HasSuffix(to, "/oauth2/introspect"):
		req.SetBasicAuth(url.QueryEscape(t.basic[0]), url.QueryEscape(t.basic[1]))
	}
	res, err := t.http.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = res.Body.Close() }() // read to its end, or the error is reported
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, nil, err
	}
	var body map[string]any
	_ = json.Unmarshal(raw, &body) // no JSON leaves it nil, which no caller accepts
	return res.StatusCode, body, nil
}

func (t *target) odd(format string, args ...any) {
	t.mu.Lock()
	t.strange[fmt.Sprintf(format, args...)]++
	t.mu.Unlock()
}
