package app_test

import (
	"bytes"
	"compress/zlib"
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// readStatusList reads a list as the draft says and as nothing of ours does.
func readStatusList(t *testing.T, s *server, a *answer, uri string) []byte {
	t.Helper()
	var c struct {
		jwt.RegisteredClaims
		TTL  int `json:"ttl"`
		List struct {
			Bits int    `json:"bits"`
			List string `json:"lst"`
			All  string `json:"aggregation_uri"`
		} `json:"status_list"`
	}
	_, err := jwt.ParseWithClaims(a.raw, &c, func(tok *jwt.Token) (any, error) {
		if tok.Header["typ"] != "statuslist+jwt" {
			t.Errorf("header %v", tok.Header)
		}
		return publicKey(t, s, tok.Header["kid"].(string)), nil
	}, jwt.WithValidMethods([]string{"ES256"}), jwt.WithTimeFunc(func() time.Time { return time.UnixMilli(s.clock.Load()) }))
	if err != nil {
		t.Fatal(err)
	}
	if c.Subject != uri || c.Issuer != s.url || c.TTL != 2 || c.ExpiresAt.Sub(c.IssuedAt.Time) != 30*time.Second ||
		c.List.Bits != 1 || c.List.All != s.url+"/oauth2/status-lists" {
		t.Errorf("%s", a.raw)
	}
	packed, err := base64.RawURLEncoding.DecodeString(c.List.List)
	if err != nil {
		t.Fatal(err)
	}
	z, err := zlib.NewReader(bytes.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	bits, err := io.ReadAll(z)
	if err != nil || len(bits) != 8192 {
		t.Fatalf("%d bytes, %v", len(bits), err)
	}
	return bits
}

// publicKey is a key of the JWK Set.
func publicKey(t *testing.T, s *server, kid string) *ecdsa.PublicKey {
	t.Helper()
	var set struct {
		Keys []struct{ Kid, X, Y string }
	}
	if err := json.Unmarshal([]byte(s.do("GET", "/.well-known/jwks.json", "", nil).want(200, "").raw), &set); err != nil {
		t.Fatal(err)
	}
	for _, k := range set.Keys {
		if k.Kid == kid {
			x, errX := base64.RawURLEncoding.DecodeString(k.X)
			y, errY := base64.RawURLEncoding.DecodeString(k.Y)
			key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), slices.Concat([]byte{4}, x, y))
			if err := errors.Join(errX, errY, err); err != nil {
				t.Fatal(err)
			}
			return key
		}
	}
	t.Fatalf("no key %s in the JWK Set", kid)
	return nil
}

// TestStatusListAnswers looks at status lists as a client of HTTP does.
func TestStatusListAnswers(t *testing.T) {
	s := serve(t, "")
	get := func(path string, header ...string) *answer {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), "GET", s.url+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(header); i += 2 {
			req.Header.Set(header[i], header[i+1])
		}
		return s.send(req)
	}
	const list, media = "/oauth2/status-lists/s0", "application/statuslist+jwt"
	get(list).want(404, "")
	get("/oauth2/status-lists").want(200, `{"status_lists":[]}`)

	s.user("", "ann", "user")
	tok, _ := s.bearerLogin("ann")
	_, c := claims(t, tok)
	ref := c["status"].(map[string]any)["status_list"].(map[string]any)
	if ref["uri"] != s.url+list {
		t.Fatalf("status %v", ref)
	}
	idx := int(ref["idx"].(float64))
	a := get(list, "Accept", media).want(200, "")
	h := a.header
	if h.Get("Content-Type") != media || h.Get("Cache-Control") != "public, max-age=1" || h.Get("Access-Control-Allow-Origin") != "*" || h.Get("ETag") == "" {
		t.Errorf("headers %v", h)
	}
	dead := func(bits []byte) bool { return bits[idx/8]>>(idx%8)&1 == 1 }
	if dead(readStatusList(t, s, a, s.url+list)) {
		t.Error("a live session reads as revoked")
	}
	get(list, "If-None-Match", h.Get("ETag")).want(304, "")
	for accept, want := range map[string]int{"*/*": 200, "application/*;q=0.5": 200, "text/html, " + media: 200, "application/statuslist+cwt": 406, "text/html": 406} {
		if a := get(list, "Accept", accept); a.status != want {
			t.Errorf("Accept %q: %d, want %d", accept, a.status, want)
		}
	}
	get(list+"?time=1790000000", "Accept", media).want(501, "")
	s.do("POST", list, "", nil).want(405, "")
	s.do("OPTIONS", list, "", nil).want(204, "")

	s.act("/sessions/revoke", map[string]any{"session": c["sid"]})
	for end := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		if dead(readStatusList(t, s, get(list), s.url+list)) {
			break
		}
		if time.Now().After(end) {
			t.Fatal("a revoked session reads as valid")
		}
	}
	if m := get("/.well-known/oauth-authorization-server").want(200, ""); m.text("status_list_aggregation_endpoint") != s.url+"/oauth2/status-lists" {
		t.Errorf("metadata %s", m.raw)
	}
}

// TestStatusListsWithoutOAuth: contracts name them, whether OAuth is on or not.
func TestStatusListsWithoutOAuth(t *testing.T) {
	s := serve(t, "oauth: {enabled: false}\nmounts:\n  - netography\n  - {contract: itempath, status_list: false}\n")
	s.user("", "ann", "user")
	s.bearerLogin("ann")
	readStatusList(t, s, s.do("GET", "/oauth2/status-lists/s0", "", nil).want(200, ""), s.url+"/oauth2/status-lists/s0")
	s.do("GET", "/oauth2/status-lists", "", nil).want(200, `{"status_lists":["`+s.url+`/oauth2/status-lists/s0"]}`)
	a := s.do("POST", "/api/users/login", "", map[string]string{"username": "ann", "password": password}).want(200, "")
	if _, c := claims(t, a.text("accessToken")); c["status"] != nil || c["acct"] != "ac_default" {
		t.Errorf("claims %v", c)
	}
}
