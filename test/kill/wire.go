package main

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/sallyport/sallyport/internal/admin"
)

// api speaks to one life of the server. A life's connections die with it, so
// the next life gets an api of its own.
type api struct {
	base  string
	http  *http.Client
	admin *admin.Client
}

func newAPI(base string, adm *admin.Client) *api {
	return &api{
		base:  base,
		admin: adm,
		http:  &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 64}},
	}
}

// answer is a complete HTTP answer: one that was acknowledged.
type answer struct {
	status int
	raw    []byte
	body   map[string]any // nil when it is no JSON object
}

func (r *answer) text(name string) string {
	s, _ := r.body[name].(string)
	return s
}

func (r *answer) String() string {
	raw := r.raw
	if len(raw) > 300 {
		raw = raw[:300]
	}
	return fmt.Sprintf("%d %s", r.status, raw)
}

// busy answers say that the server has too much to do, and nothing about a
// credential.
func (r *answer) busy() bool {
	return r.status == http.StatusServiceUnavailable || r.status == http.StatusTooManyRequests
}

// do sends one request. An error means that the outcome is unknown.
func (a *api) do(ctx context.Context, method, path, bearer, media, body string) (*answer, error) {
	req, err := http.NewRequestWithContext(ctx, method, a.base+path, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	if media != "" {
		req.Header.Set("Content-Type", media)
	}
	if bearer != "" {
		req.Header.Set("Authorization", "Bearer "+bearer)
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
	r := &answer{status: res.StatusCode, raw: raw}
	_ = json.Unmarshal(raw, &r.body) // no JSON leaves it nil, which no check accepts
	return r, nil
}

func (a *api) form(ctx context.Context, path string, v url.Values) (*answer, error) {
	return a.do(ctx, http.MethodPost, path, "", "application/x-www-form-urlencoded", v.Encode())
}

func (a *api) json(ctx context.Context, path string, v any) (*answer, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	return a.do(ctx, http.MethodPost, path, "", "application/json", string(b))
}

// call asks the API behind the gateway.
func (a *api) call(ctx context.Context, token string) (*answer, error) {
	return a.do(ctx, http.MethodGet, "/api/stations", token, "", "")
}

// mint asks for an application token (ItemPath).
func (a *api) mint(ctx context.Context, refresh string) (*answer, error) {
	return a.do(ctx, http.MethodPost, "/api/users/application-token", refresh, "", "")
}

// mount is one contract as a client of it knows it.
type mount struct {
	name            string
	rotates         bool
	login           func(*api, context.Context, *subject) (*answer, error)
	refresh         func(*api, context.Context, string) (*answer, error)
	access, renewed string // members of the answers that hold the tokens
	refreshed       int    // status of a refused refresh
	refusal         []string
}

// refused says whether an answer is the contract's refusal with the status
// given: its documented members and no token.
func (m *mount) refused(r *answer, status int, members []string) bool {
	if r.status != status || len(r.body) != len(members) {
		return false
	}
	for _, name := range members {
		if _, there := r.body[name]; !there {
			return false
		}
	}
	return true
}

var netography = &mount{
	name: "netography", rotates: true,
	login: func(a *api, ctx context.Context, s *subject) (*answer, error) {
		if s.key {
			return a.json(ctx, "/api/v1/auth/token", map[string]string{"jwt": s.requestToken(time.Now())})
		}
		return a.form(ctx, "/api/auth/bearer/token", url.Values{"username": {s.name}, "password": {s.secret}})
	},
	refresh: func(a *api, ctx context.Context, tok string) (*answer, error) {
		return a.form(ctx, "/api/auth/bearer/refresh", url.Values{"refresh_token": {tok}})
	},
	access: "access_token", renewed: "refresh_token", refreshed: http.StatusBadRequest,
	refusal: []string{"status", "name", "message"},
}

var itempath = &mount{
	name: "itempath",
	login: func(a *api, ctx context.Context, s *subject) (*answer, error) {
		return a.json(ctx, "/api/users/login", map[string]string{"username": s.name, "password": s.secret})
	},
	refresh: func(a *api, ctx context.Context, tok string) (*answer, error) {
		return a.do(ctx, http.MethodPost, "/api/users/refresh", tok, "", "")
	},
	access: "accessToken", renewed: "refreshToken", refreshed: http.StatusUnauthorized,
	refusal: []string{"msg"},
}

// claims are what the harness reads of a token. It trusts its own server.
type claims struct {
	SID string `json:"sid"`
	JTI string `json:"jti"`
	Gen int64  `json:"gen"`
}

func readClaims(token string) (c claims, err error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return c, fmt.Errorf("%.40q is no token", token)
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return c, fmt.Errorf("reading a token: %w", err)
	}
	return c, json.Unmarshal(raw, &c)
}

// requestToken signs what an API key exchanges for tokens.
func (s *subject) requestToken(now time.Time) string {
	var id [16]byte
	_, _ = rand.Read(id[:]) // never fails
	head := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"HS256","typ":"JWT"}`))
	body, _ := json.Marshal(map[string]any{ // plain strings and a number
		"iat": now.Unix(), "jti": fmt.Sprintf("%x", id), "appname": s.name, "appkey": s.appKey, "shortname": "default",
	})
	input := head + "." + base64.RawURLEncoding.EncodeToString(body)
	m := hmac.New(sha256.New, []byte(s.secret))
	m.Write([]byte(input))
	return input + "." + base64.RawURLEncoding.EncodeToString(m.Sum(nil))
}
