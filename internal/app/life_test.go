package app_test

import (
	"encoding/base64"
	"encoding/json"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/admin"
	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/token"
)

// claims reads a token's header and payload without verifying it, as a client
// that looks inside would.
func claims(t *testing.T, tok string) (header string, payload map[string]any) {
	t.Helper()
	parts := strings.Split(tok, ".")
	if len(parts) != 3 {
		t.Fatalf("%q is no token", tok)
	}
	h, err1 := base64.RawURLEncoding.DecodeString(parts[0])
	p, err2 := base64.RawURLEncoding.DecodeString(parts[1])
	if err1 != nil || err2 != nil || json.Unmarshal(p, &payload) != nil {
		t.Fatalf("%q is no token", tok)
	}
	return string(h), payload
}

// TestLifeItemPath follows the tokens of the ItemPath contract from login to
// their ends, to the second.
func TestLifeItemPath(t *testing.T) {
	s := serve(t, "gateway:\n  words: itempath\n")
	s.user("", "scanner", "application", "reader")
	login := func() (access, refresh string) {
		a := s.do("POST", "/api/users/login", "", map[string]string{"username": "scanner", "password": password}).want(200, "")
		if len(a.body) != 3 || a.body["login"] != true {
			t.Fatalf("the login answers %s", a.raw)
		}
		return a.text("accessToken"), a.text("refreshToken")
	}
	stations := func(tok string) *answer { return s.do("GET", "/api/stations", tok, nil) }
	refresh := func(method, tok string) *answer { return s.do(method, "/api/users/refresh", tok, nil) }

	access, ref := login()
	header, c := claims(t, access)
	if header != `{"typ":"JWT","alg":"HS256"}` {
		t.Errorf("header %s", header)
	}
	if c["fresh"] != false || c["type"] != "access" || c["identity"] != "scanner" || c["nbf"] != c["iat"] || c["exp"].(float64)-c["iat"].(float64) != 900 || c["aud"] != nil {
		t.Errorf("claims %v", c)
	}
	if _, rc := claims(t, ref); rc["type"] != "refresh" || rc["exp"].(float64)-rc["iat"].(float64) != 30*86400 {
		t.Errorf("refresh claims %v", rc)
	}
	stations(access).want(200, `{"user":"scanner","account":"default","path":"/api/stations"}`)
	stations(ref).want(422, `{"msg":"Only access tokens are allowed"}`)
	stations("").want(401, `{"msg":"Missing Authorization Header"}`)

	s.pass(15*time.Minute - time.Second)
	stations(access).want(200, "")
	s.pass(time.Second)
	stations(access).want(401, `{"msg":"Token has expired"}`)

	a := refresh("POST", ref).want(200, "")
	if len(a.body) != 1 {
		t.Errorf("the refresh answers %s", a.raw)
	}
	stations(a.text("accessToken")).want(200, "")
	g := refresh("GET", ref).want(200, "")
	if g.header.Get("Vary") == "" || !strings.Contains(g.header.Get("Vary"), "Authorization") {
		t.Errorf("a GET refresh varies by %q", g.header.Get("Vary"))
	}
	refresh("POST", access).want(401, `{"msg":"Token has expired"}`)
	refresh("POST", a.text("accessToken")).want(422, `{"msg":"Only refresh tokens are allowed"}`)

	app := s.do("POST", "/api/users/application-token", ref, nil).want(200, "").text("token")
	if _, ac := claims(t, app); ac["exp"] != nil || ac["type"] != "access" {
		t.Errorf("application token claims %v", ac)
	}
	if strings.Contains(app, "=") {
		t.Error("a token contains =")
	}
	stations(app).want(200, "")

	// 30 days from the login, not prolonged by use.
	s.clock.Store(start + 30*86400_000 - 1000)
	refresh("POST", ref).want(200, "")
	s.pass(time.Second)
	refresh("POST", ref).want(401, `{"msg":"Token has expired"}`)
	access, _ = login()
	stations(access).want(200, "")

	s.pass(365 * 24 * time.Hour)
	stations(app).want(200, "")
	var list admin.Page[admin.ApplicationToken]
	if err := s.admin.Get(t.Context(), "/application-tokens", nil, &list); err != nil || len(list.Items) != 1 {
		t.Fatal(err, list)
	}
	s.act("/application-tokens/"+list.Items[0].ID+"/revoke", nil)
	stations(app).want(401, `{"msg":"Token has been revoked"}`)
}

// TestLifePathStack does the same for PathStack.
func TestLifePathStack(t *testing.T) {
	s := serve(t, "")
	id := s.user("", "ann", "user")
	login := func() *answer {
		return s.do("POST", "/token", "", map[string]string{"username": "ann", "password": password}).want(200, "")
	}
	refresh := func(sub, tok string) *answer {
		return s.do("POST", "/refresh", "", map[string]string{"sub": sub, "refresh_token": tok})
	}
	a := login()
	access, ref := a.text("data", "access_token"), a.text("data", "refresh_token")
	if a.text("data", "sub") != id || a.body["data"].(map[string]any)["expires_in"] != 3600.0 || a.text("data", "token_type") != "Bearer" {
		t.Errorf("the login answers %s", a.raw)
	}
	s.do("GET", "/v2/things", access, nil).want(200, "")
	s.pass(time.Hour)
	s.do("GET", "/v2/things", access, nil).want(401, `{"error":{"code":401,"message":"JWT has expired"}}`)
	b := refresh(id, ref).want(200, "")
	if b.text("data", "refresh_token") != ref {
		t.Error("a contract that does not rotate hands back another refresh token")
	}
	s.do("GET", "/v2/things", b.text("data", "access_token"), nil).want(200, "")
	invalid := `{"error":{"code":401,"message":"Invalid Refresh Token"}}`
	refresh("a6caf0bd-dbdf-4dfb-bcab-34f73e4c5b64", ref).want(401, invalid)
	refresh("no-uuid", ref).want(422, `{"error":{"code":422,"message":"Input should be a valid UUID","loc":["body","sub"],"msg":"Input should be a valid UUID","type":"uuid_parsing"}}`)
	refresh(id, access).want(401, invalid)
	s.clock.Store(start + 30*86400_000)
	refresh(id, ref).want(401, invalid)
	s.do("GET", "/v2/things", login().text("data", "access_token"), nil).want(200, "")
}

// TestLifeNetography does the same for Netography: rotation, grace, reuse.
func TestLifeNetography(t *testing.T) {
	s := serve(t, "gateway:\n  words: netography\n")
	s.user("", "ned", "user")
	post := func(path string, form url.Values) *answer { return s.do("POST", path, "", form) }
	login := func() *answer {
		return post("/api/auth/bearer/token", url.Values{"username": {"ned"}, "password": {password}}).want(200, "")
	}
	refresh := func(tok string) *answer {
		return post("/api/auth/bearer/refresh", url.Values{"refresh_token": {tok}})
	}
	call := func(tok string) *answer { return s.do("GET", "/api/v1/flow", tok, nil) }
	a := login()
	if len(a.body) != 9 || a.body["expires_in"] != 86400.0 || a.body["not-before-policy"] != 0.0 || a.text("token_type") != "bearer" {
		t.Errorf("the login answers %s", a.raw)
	}
	access, ref := a.text("access_token"), a.text("refresh_token")
	call(access).want(200, "")
	s.pass(time.Minute)
	b := refresh(ref).want(200, "")
	if b.text("refresh_token") == ref {
		t.Error("the refresh token was not rotated")
	}
	// A lost answer: the same bytes again, within the grace time.
	s.pass(119 * time.Second)
	if again := refresh(ref).want(200, ""); again.text("refresh_token") != b.text("refresh_token") {
		t.Error("a lost answer got another successor")
	}
	s.pass(time.Second)
	wrong := `{"status":400,"name":"Bad Request","message":"The refresh token is wrong or has expired; log in again"}`
	refresh(ref).want(400, wrong)
	// It was reuse: the family and its access tokens are dead.
	refresh(b.text("refresh_token")).want(400, wrong)
	dead := `{"status":401,"name":"Unauthorized","message":"The access token is not valid; get a new one"}`
	call(b.text("access_token")).want(401, dead)

	a = login()
	s.pass(24 * time.Hour)
	call(a.text("access_token")).want(401, `{"status":401,"name":"Unauthorized","message":"The access token has expired; refresh it or log in again"}`)
	refresh(a.text("refresh_token")).want(400, wrong)
	call(login().text("access_token")).want(200, "")
}

// TestRequestToken exchanges what daemons in the field send.
func TestRequestToken(t *testing.T) {
	s := serve(t, "")
	var made admin.APIKey
	if err := s.admin.Post(t.Context(), "/api-keys", map[string]any{"appname": "collector"}, &made); err != nil {
		t.Fatal(err)
	}
	ns, err := core.DecodeNetosecret(made.Netosecret)
	if err != nil {
		t.Fatal(err)
	}
	exchange := func(path, jwt string) *answer { return s.do("POST", path, "", map[string]string{"jwt": jwt}) }
	now := func() int64 { return s.clock.Load() / 1000 }
	sign := func(header, payload string) string {
		in := base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString([]byte(payload))
		return in + "." + hmacOf(ns.SharedSecret, in)
	}
	body := func(iat, jti string) string {
		b, _ := json.Marshal(map[string]json.RawMessage{
			"iat": json.RawMessage(iat), "jti": json.RawMessage(jti), "appname": quote(ns.AppName),
			"appkey": quote(ns.AppKey), "shortname": quote(ns.Shortname),
		})
		return string(b)
	}
	const plain = `{"alg":"HS256","typ":"JWT"}`
	number := func() string { return itoa(now()) }
	t.Run("string iat", func(t *testing.T) {
		exchange("/api/v1/auth/token", sign(plain, body(`"`+number()+`"`, `"a"`))).want(200, "")
	})
	t.Run("integer jti", func(t *testing.T) { exchange("/api/v1/auth/token", sign(plain, body(number(), `12345`))).want(200, "") })
	t.Run("white space in the header", func(t *testing.T) {
		exchange("/api/v1/auth/token", sign("{\n\t\"typ\": \"JWT\",\r\n\t\"alg\": \"HS256\"\n}", body(number(), `"b"`))).want(200, "")
	})
	t.Run("doubled slash", func(t *testing.T) { exchange("//api/v1/auth/token", sign(plain, body(number(), `"c"`))).want(200, "") })
	t.Run("doubled slash inside", func(t *testing.T) { exchange("/api/v1//auth/token", sign(plain, body(number(), `"d"`))).want(200, "") })
	t.Run("same jti, another second", func(t *testing.T) {
		s.pass(time.Second)
		exchange("/api/v1/auth/token", sign(plain, body(number(), `"a"`))).want(200, "")
	})
	refused := `{"status":401,"name":"Unauthorized","message":"The request token is not valid; sign a new one with a live API key and a correct clock"}`
	t.Run("twin, then replay", func(t *testing.T) {
		jwt := sign(plain, body(number(), `"twin"`))
		first := exchange("/api/v1/auth/token", jwt).want(200, "")
		second := exchange("/api/v1/auth/token", jwt).want(200, "")
		if first.text("session-state") != second.text("session-state") || first.text("refresh_token") != second.text("refresh_token") {
			t.Error("a twin got another session")
		}
		s.pass(5*time.Second + time.Millisecond)
		exchange("/api/v1/auth/token", jwt).want(401, refused)
		// The clock went back: still no second session.
		s.clock.Add(-3600_000)
		exchange("/api/v1/auth/token", jwt).want(401, refused)
		s.clock.Add(3600_000)
	})
	t.Run("refused", func(t *testing.T) {
		for name, jwt := range map[string]string{
			"too old":       sign(plain, body(itoa(now()-301), `"o"`)),
			"from tomorrow": sign(plain, body(itoa(now()+301), `"f"`)),
			"HS512":         sign(`{"alg":"HS512"}`, body(number(), `"h"`)),
			"none":          sign(`{"alg":"none"}`, body(number(), `"n"`)),
			"one byte more": sign(plain, body(number(), `"k"`)) + "A",
			"nonsense":      "nonsense",
		} {
			if a := exchange("/api/v1/auth/token", jwt); a.status != 401 || !sameJSON(t, a.raw, refused) {
				t.Errorf("%s: %d %s", name, a.status, a.raw)
			}
		}
	})
	t.Run("minted by our own code", func(t *testing.T) {
		k, err := token.NewRequestKey([]byte(ns.SharedSecret))
		if err != nil {
			t.Fatal(err)
		}
		jwt, err := token.MintRequest(k, &token.RequestToken{AppName: ns.AppName, AppKey: ns.AppKey, ShortName: ns.Shortname, IssuedAt: now(), ID: "own"})
		if err != nil {
			t.Fatal(err)
		}
		a := exchange("/api/v1/auth/token", jwt).want(200, "")
		s.do("GET", "/api/v1/flow", a.text("access_token"), nil).want(200, `{"user":"collector","account":"default","path":"/api/v1/flow"}`)
	})
	s.act("/api-keys/"+made.ID+"/disable", nil)
	exchange("/api/v1/auth/token", sign(plain, body(number(), `"last"`))).want(401, refused)
}
