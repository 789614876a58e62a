package clients

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Mount is one contract as a client of it knows it.
type Mount struct {
	Name            string
	rotates         bool
	login           func(*API, context.Context, *Subject) (*Answer, error)
	Refresh         func(*API, context.Context, string) (*Answer, error)
	Access, Renewed string // members of the answers that hold the tokens
	refreshed       int    // status of a refused refresh
	refusal         []string
}

// refused says whether an answer is the contract's refusal with the status
// given: its documented members and no token.
func (m *Mount) refused(r *Answer, status int, members []string) bool {
	if r.Status != status || len(r.Body) != len(members) {
		return false
	}
	for _, name := range members {
		if _, there := r.Body[name]; !there {
			return false
		}
	}
	return true
}

var Netography = &Mount{
	Name: "netography", rotates: true,
	login: func(a *API, ctx context.Context, s *Subject) (*Answer, error) {
		if s.key {
			// Signed anew for each try: one that was taken is a replay later.
			return a.json(ctx, "/api/v1/auth/token", func() map[string]string { return map[string]string{"jwt": s.requestToken(time.Now())} })
		}
		return a.form(ctx, "/api/auth/bearer/token", url.Values{"username": {s.name}, "password": {s.secret}})
	},
	Refresh: func(a *API, ctx context.Context, tok string) (*Answer, error) {
		return a.form(ctx, "/api/auth/bearer/refresh", url.Values{"refresh_token": {tok}})
	},
	Access: "access_token", Renewed: "refresh_token", refreshed: http.StatusBadRequest,
	refusal: []string{"status", "name", "message"},
}

var ItemPath = &Mount{
	Name: "itempath",
	login: func(a *API, ctx context.Context, s *Subject) (*Answer, error) {
		return a.json(ctx, "/api/users/login", func() map[string]string { return map[string]string{"username": s.name, "password": s.secret} })
	},
	Refresh: func(a *API, ctx context.Context, tok string) (*Answer, error) {
		return a.do(ctx, request{method: http.MethodPost, path: "/api/users/refresh", bearer: tok})
	},
	Access: "accessToken", Renewed: "refreshToken", refreshed: http.StatusUnauthorized,
	refusal: []string{"msg"},
}

// Claims are what the harness reads of a token. It trusts its own server.
type Claims struct {
	SID string `json:"sid"`
	JTI string `json:"jti"`
	Gen int64  `json:"gen"`
}

// ReadClaims reads a token without verifying it.
func ReadClaims(token string) (c Claims, err error) {
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
func (s *Subject) requestToken(now time.Time) string {
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
