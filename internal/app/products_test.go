package app_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// call is one request of a product's client. In all texts {name} is what an
// earlier call kept, {pw} the password.
type call struct {
	line    string   // "POST /login"
	headers []string // "Name: value"
	body    string   // JSON; a form when it does not begin with { or [
	status  int
	want    string            // part of the answer
	keep    map[string]string // name -> member of the answer by dots, "cookie NAME", "header NAME" or "body"
}

// protected is a call of the API behind the gateway.
func protected(status int, headers ...string) call {
	return call{line: "GET /zz/stations", headers: headers, status: status}
}

// products are what clients of real products send, and what they look for in
// the answers. The files under testdata/contracts are the contracts.
var products = map[string][]call{
	"rocketchat": {
		{line: "POST /api/v1/login", body: `{"user":"ann","password":"{pw}"}`, status: 200, want: `{"status":"success","data":{"userId":"`, keep: map[string]string{"t": "data.authToken", "id": "data.userId"}},
		{line: "POST /api/v1/login", body: `user=ann&password=wrong+indeed`, status: 401, want: `{"status":"error","error":"Unauthorized","message":"Unauthorized"}`},
		{line: "GET /api/v1/me", headers: []string{"X-Auth-Token: {t}", "X-User-Id: {id}"}, status: 200, want: `"success":true`},
		protected(200, "X-Auth-Token: {t}", "X-User-Id: {id}"),
		{line: "POST /api/v1/logout", headers: []string{"X-Auth-Token: {t}", "X-User-Id: {id}"}, status: 200, want: "You've been logged out!"},
		protected(401, "X-Auth-Token: {t}"),
	},
	"zabbix": {
		{line: "POST /api_jsonrpc.php", headers: []string{"Content-Type: application/json-rpc"}, body: `{"jsonrpc":"2.0","method":"user.login","params":{"username":"ann","password":"{pw}"},"id":1}`, status: 200, want: `,"id":1}`, keep: map[string]string{"t": "result"}},
		{line: "POST /api_jsonrpc.php", body: `{"jsonrpc":"2.0","method":"user.login","params":{"user":"ann","password":"no such"},"id":"a-7"}`, status: 200, want: `{"jsonrpc":"2.0","error":{"code":-32602,"message":"Invalid params.","data":"Incorrect user name or password or account is temporarily blocked."},"id":"a-7"}`},
		{line: "POST /api_jsonrpc.php", body: `{"jsonrpc":"2.0","method":"user.checkAuthentication","params":{"sessionid":"{t}"},"id":2.5}`, status: 200, want: `,"id":2.5}`},
		{line: "POST /api_jsonrpc.php", body: `{"jsonrpc":"2.0","method":"host.frob","params":[],"id":3}`, status: 200, want: `"code":-32601`},
		protected(200, "Authorization: Bearer {t}"),
		{line: "POST /api_jsonrpc.php", headers: []string{"Authorization: Bearer {t}"}, body: `{"jsonrpc":"2.0","method":"user.logout","params":[],"id":4}`, status: 200, want: `{"jsonrpc":"2.0","result":true,"id":4}`},
		{line: "POST /api_jsonrpc.php", body: `{"jsonrpc":"2.0","method":"user.checkAuthentication","params":{"sessionid":"{t}"},"id":null}`, status: 200, want: `re-login, please."},"id":null}`},
	},
	"odoo": {
		{line: "POST /web/session/authenticate", body: `{"jsonrpc":"2.0","method":"call","params":{"db":"prod","login":"ann","password":"{pw}"},"id":17}`, status: 200, want: `{"jsonrpc":"2.0","id":17,"result":{"uid":null,"is_admin":false`, keep: map[string]string{"t": "cookie session_id"}},
		{line: "POST /web/session/authenticate", body: `{"jsonrpc":"2.0","params":{"db":"prod","login":"ann","password":"wrong"},"id":null}`, status: 200, want: `"name":"odoo.exceptions.AccessDenied"`},
		{line: "POST /web/session/get_session_info", headers: []string{"Cookie: session_id={t}"}, body: `{"id":1}`, status: 200, want: `"username":"ann"`},
		protected(200, "Cookie: session_id={t}"),
		{line: "POST /zz/stations", headers: []string{"Cookie: session_id={t}"}, status: 200},
		{line: "POST /zz/stations", headers: []string{"Cookie: session_id={t}", "Origin: https://evil.example", "Sec-Fetch-Site: cross-site"}, status: 403},
		{line: "POST /web/session/destroy", headers: []string{"Cookie: session_id={t}"}, body: `{}`, status: 200, want: `"result":null`},
		{line: "POST /web/session/get_session_info", headers: []string{"Cookie: session_id={t}"}, body: `{"id":9}`, status: 200, want: `{"jsonrpc":"2.0","id":9,"error":{"code":100,"message":"Odoo Session Expired"`},
	},
	"magento": {
		{line: "POST /rest/V1/integration/admin/token", body: `{"username":"ann","password":"{pw}"}`, status: 200, want: `"ey`, keep: map[string]string{"t": "body"}},
		{line: "POST /rest/de/V1/integration/customer/token", body: `{"username":"ann","password":"x"}`, status: 401, want: `{"message":"The account sign-in was incorrect`},
		{line: "POST /rest/V1/integration/admin/token", body: `{"username":"ann"}`, status: 400, want: `{"message":"\"%fieldName\" is required. Enter and try again.","parameters":{"fieldName":"password"}}`},
		protected(200, "Authorization: Bearer {t}"),
		protected(401, "Authorization: Bearer {t}x"),
	},
	"wordpress": {
		{line: "POST /wp-json/jwt-auth/v1/token", body: `username=ann&password={pw}`, status: 200, want: `"user_nicename":"ann"`, keep: map[string]string{"t": "token"}},
		{line: "POST /wp-json/jwt-auth/v1/token", body: `{"username":"ann","password":"x"}`, status: 403, want: `"code":"[jwt_auth] incorrect_password"`},
		{line: "POST /wp-json/jwt-auth/v1/token/validate", headers: []string{"Authorization: Bearer {t}"}, status: 200, want: `{"code":"jwt_auth_valid_token","data":{"status":200}}`},
		{line: "POST /wp-json/jwt-auth/v1/token/validate", status: 403, want: `jwt_auth_no_auth_header`},
		{line: "POST /wp-json/jwt-auth/v1/token/validate", headers: []string{"Authorization: Bearer {t}x"}, status: 403, want: `jwt_auth_invalid_token`},
		protected(200, "Authorization: Bearer {t}"),
	},
	"firebase": {
		{line: "POST /v1/accounts:signInWithPassword?key=AIza", body: `{"email":"ann","password":"{pw}","returnSecureToken":true}`, status: 200, want: `"expiresIn":"3600"`, keep: map[string]string{"t": "idToken", "r": "refreshToken"}},
		{line: "POST /v1/accounts:signInWithPassword?key=AIza", body: `{"email":"ann","password":"x","returnSecureToken":true}`, status: 400, want: `{"error":{"code":400,"message":"INVALID_LOGIN_CREDENTIALS"`},
		{line: "POST /v1/token?key=AIza", body: `grant_type=refresh_token&refresh_token={r}`, status: 200, want: `"token_type":"Bearer"`, keep: map[string]string{"t2": "id_token"}},
		{line: "POST /v1/accounts:lookup?key=AIza", body: `{"idToken":"{t2}"}`, status: 200, want: `"users":[{"localId":`},
		protected(200, "Authorization: Bearer {t2}"),
	},
	"vault": {
		{line: "POST /v1/auth/userpass/login/ann", body: `{"password":"{pw}"}`, status: 200, want: `"metadata":{"username":"ann"},"lease_duration":3600,"renewable":true`, keep: map[string]string{"t": "auth.client_token"}},
		{line: "PUT /v1/auth/userpass/login/ann", body: `{"password":"x"}`, status: 400, want: `{"errors":["invalid username or password"]}`},
		{line: "GET /v1/auth/token/lookup-self", headers: []string{"X-Vault-Token: {t}"}, status: 200, want: `"display_name":"userpass-ann"`},
		{line: "POST /v1/auth/token/renew-self", headers: []string{"X-Vault-Token: {t}"}, body: `{"increment":60}`, status: 200, want: `"lease_duration":3600`, keep: map[string]string{"t2": "auth.client_token"}},
		protected(200, "X-Vault-Token: {t2}"),
		{line: "POST /v1/auth/token/revoke-self", headers: []string{"X-Vault-Token: {t2}"}, status: 204},
		{line: "GET /v1/auth/token/lookup-self", headers: []string{"X-Vault-Token: {t}"}, status: 403, want: `{"errors":["permission denied"]}`},
	},
	"sonarqube": {
		{line: "POST /api/authentication/login", body: `login=ann&password={pw}`, status: 200, keep: map[string]string{"t": "cookie JWT-SESSION", "x": "cookie XSRF-TOKEN"}},
		{line: "POST /api/authentication/login", body: `login=ann&password=x`, status: 401},
		{line: "GET /api/authentication/validate", headers: []string{"Cookie: JWT-SESSION={t}"}, status: 200, want: `{"valid":true}`},
		{line: "GET /api/authentication/validate", status: 200, want: `{"valid":false}`},
		{line: "GET /api/authentication/validate", headers: []string{"Authorization: {basic:{t}:}"}, status: 200, want: `{"valid":true}`},
		protected(200, "Authorization: {basic:{t}:}"),
		protected(200, "Cookie: JWT-SESSION={t}"),
		{line: "POST /api/authentication/logout", headers: []string{"Cookie: JWT-SESSION={t}"}, status: 200},
		{line: "GET /api/authentication/validate", headers: []string{"Cookie: JWT-SESSION={t}"}, status: 200, want: `{"valid":false}`},
	},
	"grafana": {
		{line: "POST /login", body: `{"user":"ann","password":"{pw}"}`, status: 200, want: `{"message":"Logged in","redirectUrl":"/"}`, keep: map[string]string{"t": "cookie grafana_session", "e": "cookie grafana_session_expiry"}},
		{line: "POST /login", body: `{"user":"ann","password":"x"}`, status: 401, want: `"messageId":"password-auth.failed"`},
		{line: "GET /api/user", headers: []string{"Cookie: grafana_session={t}"}, status: 200, want: `"login":"ann"`},
		protected(200, "Cookie: grafana_session={t}; grafana_session_expiry={e}"),
		{line: "GET /logout", headers: []string{"Cookie: grafana_session={t}"}, status: 302},
		protected(401, "Cookie: grafana_session={t}"),
	},
	"jira": {
		{line: "POST /rest/auth/1/session", body: `{"username":"ann","password":"{pw}"}`, status: 200, want: `{"session":{"name":"JSESSIONID","value":"`, keep: map[string]string{"t": "session.value"}},
		{line: "POST /rest/auth/1/session", body: `{"username":"ann","password":"x"}`, status: 401, want: `{"errorMessages":["Login failed"],"errors":{}}`},
		{line: "GET /rest/auth/1/session", headers: []string{"Cookie: JSESSIONID={t}"}, status: 200, want: `"name":"ann"`},
		protected(200, "Cookie: JSESSIONID={t}"),
		{line: "DELETE /rest/auth/1/session", headers: []string{"Cookie: JSESSIONID={t}"}, status: 204},
		{line: "GET /rest/auth/1/session", headers: []string{"Cookie: JSESSIONID={t}"}, status: 401, want: `You are not authenticated`},
	},
	"shopware": {
		{line: "POST /api/oauth/token", body: `{"grant_type":"password","client_id":"administration","scopes":"write","username":"ann","password":"{pw}"}`, status: 200, want: `{"token_type":"Bearer","expires_in":600,"access_token":"`, keep: map[string]string{"t": "access_token", "r": "refresh_token"}},
		{line: "POST /api/oauth/token", body: `{"grant_type":"password","client_id":"administration","username":"ann","password":"x"}`, status: 400, want: `{"errors":[{"code":"6","status":"400","title":"The user credentials were incorrect.","detail":null}]}`},
		{line: "POST /api/oauth/token", body: `{"grant_type":"refresh_token","client_id":"administration","refresh_token":"{r}"}`, status: 200, want: `"expires_in":600`, keep: map[string]string{"t": "access_token"}},
		protected(200, "Authorization: Bearer {t}"),
	},
	"feathers": {
		{line: "POST /authentication", body: `{"strategy":"local","email":"ann","password":"{pw}"}`, status: 201, want: `"authentication":{"strategy":"local","payload":{"iat":`, keep: map[string]string{"t": "accessToken"}},
		{line: "POST /authentication", body: `{"strategy":"jwt","accessToken":"{t}"}`, status: 201, want: `"strategy":"jwt"`, keep: map[string]string{"t2": "accessToken"}},
		{line: "POST /authentication", body: `{"strategy":"local","email":"ann","password":"x"}`, status: 401, want: `{"name":"NotAuthenticated","message":"Invalid login","code":401,"className":"not-authenticated","errors":{}}`},
		protected(200, "Authorization: Bearer {t2}"),
		{line: "DELETE /authentication", headers: []string{"Authorization: {t2}"}, status: 200, want: `{"accessToken":null`},
		protected(401, "Authorization: Bearer {t2}"),
	},
	"loopback": {
		{line: "POST /api/users/login?include=user", body: `{"email":"ann","password":"{pw}","ttl":1209600}`, status: 200, want: `"user":{"username":"ann"`, keep: map[string]string{"t": "id"}},
		{line: "POST /api/users/login", body: `{"username":"ann","password":"x"}`, status: 401, want: `{"error":{"statusCode":401,"name":"Error","message":"login failed","code":"LOGIN_FAILED"}}`},
		protected(200, "Authorization: {t}"),
		{line: "GET /zz/stations?access_token={t}", status: 401},
		{line: "POST /api/users/logout?access_token={t}", status: 204},
		protected(401, "Authorization: {t}"),
	},
	"nestjs": {
		{line: "POST /auth/login", body: `{"username":"ann","password":"{pw}"}`, status: 201, keep: map[string]string{"t": "access_token"}},
		{line: "POST /auth/login", body: `{"username":"ann","password":"x","extra":1}`, status: 400, want: `{"message":["property extra should not exist"],"error":"Bad Request","statusCode":400}`},
		{line: "GET /auth/profile", headers: []string{"Authorization: Bearer {t}"}, status: 200, want: `"username":"ann"`},
		{line: "GET /auth/profile", status: 401, want: `{"message":"Unauthorized","statusCode":401}`},
	},
	"lexik": {
		{line: "POST /api/login_check", body: `{"username":"ann","password":"{pw}"}`, status: 200, want: `"refresh_token_expiration":17`, keep: map[string]string{"t": "token", "r": "refresh_token"}},
		{line: "POST /api/login_check", body: `{"username":"ann","password":"x"}`, status: 401, want: `{"code":401,"message":"Invalid credentials."}`},
		{line: "POST /api/token/refresh", body: `refresh_token={r}`, status: 200, keep: map[string]string{"t": "token"}},
		{line: "GET /api/token/refresh?refresh_token={r}", status: 200},
		{line: "POST /api/token/refresh", body: `{}`, status: 401, want: `Missing JWT Refresh Token`},
		protected(200, "Authorization: Bearer {t}"),
		{line: "POST /api/token/invalidate", body: `{"refresh_token":"{r}"}`, status: 200},
		{line: "POST /api/token/refresh", body: `{"refresh_token":"{r}"}`, status: 401, want: `{"code":401,"message":"JWT Refresh Token Not Found"}`},
	},
	"nakama": {
		{line: "POST /v2/account/authenticate/email?create=false", headers: []string{"Authorization: {basic:defaultkey:}"}, body: `{"email":"ann","password":"{pw}"}`, status: 200, keep: map[string]string{"t": "token", "r": "refresh_token"}},
		{line: "POST /v2/account/authenticate/email", headers: []string{"Authorization: {basic:another:}"}, body: `{"email":"ann","password":"{pw}"}`, status: 400},
		{line: "POST /v2/account/session/refresh", headers: []string{"Authorization: {basic:defaultkey:}"}, body: `{"token":"{r}"}`, status: 200, keep: map[string]string{"t": "token", "r": "refresh_token"}},
		protected(200, "Authorization: Bearer {t}"),
		{line: "POST /v2/session/logout", headers: []string{"Authorization: Bearer {t}"}, body: `{"token":"{t}","refresh_token":"{r}"}`, status: 200, want: `{}`},
		protected(401, "Authorization: Bearer {t}"),
	},
	"nextcloud": {
		{line: "GET /ocs/v2.php/core/getapppassword?format=json", headers: []string{"OCS-APIRequest: true", "Authorization: {basic:ann:{pw}}"}, status: 200, want: `{"ocs":{"meta":{"status":"ok","statuscode":200,"message":"OK"},"data":{"apppassword":"`, keep: map[string]string{"t": "ocs.data.apppassword"}},
		{line: "GET /ocs/v2.php/core/getapppassword?format=json", headers: []string{"OCS-APIRequest: true", "Authorization: {basic:ann:x}"}, status: 401, want: `"statuscode":997`},
		{line: "GET /ocs/v2.php/cloud/user?format=json", headers: []string{"OCS-APIRequest: true", "Authorization: {basic:ann:{t}}"}, status: 200, want: `"id":"ann"`},
		protected(200, "Authorization: {basic:ann:{t}}"),
		protected(401, "Authorization: {basic:ann:{pw}}"),
		protected(200, "Authorization: Bearer {t}"),
		{line: "DELETE /ocs/v2.php/core/apppassword?format=json", headers: []string{"OCS-APIRequest: true", "Authorization: {basic:ann:{t}}"}, status: 200, want: `"data":[]`},
		protected(401, "Authorization: {basic:ann:{t}}"),
	},
	"thingsboard": {
		{line: "POST /api/auth/login", body: `{"username":"ann","password":"{pw}"}`, status: 200, keep: map[string]string{"t": "token", "r": "refreshToken"}},
		{line: "POST /api/auth/login", body: `{"username":"ann","password":"x"}`, status: 401, want: `{"status":401,"message":"Invalid username or password","errorCode":10,"timestamp":"`},
		{line: "POST /api/auth/token", body: `{"refreshToken":"{r}"}`, status: 200, keep: map[string]string{"t": "token"}},
		{line: "GET /api/auth/user", headers: []string{"X-Authorization: Bearer {t}"}, status: 200, want: `"name":"ann"`},
		{line: "GET /api/auth/user", headers: []string{"X-Authorization: {t}"}, status: 401},
		protected(200, "X-Authorization: bearer {t}"),
		protected(401, "X-Authorization: Basic {t}"),
		{line: "POST /api/auth/logout", headers: []string{"X-Authorization: Bearer {t}"}, status: 200},
		protected(401, "X-Authorization: Bearer {t}"),
	},
	"qbittorrent": {
		{line: "POST /api/v2/auth/login", body: `username=ann&password={pw}`, status: 200, want: `Ok.`, keep: map[string]string{"t": "cookie SID"}},
		{line: "POST /api/v2/auth/login", body: `username=ann&password=x`, status: 200, want: `Fails.`},
		protected(200, "Cookie: SID={t}"),
		protected(403),
	},
	"synology": {
		{line: "GET /webapi/entry.cgi?api=SYNO.API.Auth&version=6&method=login&account=ann&passwd={pw}&format=sid", status: 200, want: `"success":true`, keep: map[string]string{"t": "data.sid"}},
		{line: "POST /webapi/entry.cgi", body: `api=SYNO.API.Auth&version=6&method=login&account=ann&passwd=x`, status: 200, want: `{"error":{"code":400},"success":false}`},
		{line: "GET /zz/stations?_sid={t}", status: 200},
		{line: "GET /webapi/entry.cgi?api=SYNO.API.Auth&version=6&method=logout&_sid={t}", status: 200, want: `{"success":true}`},
		{line: "GET /zz/stations?_sid={t}", status: 401},
	},
	"saleor": {
		{line: "POST /graphql/", body: `{"query":"mutation ($email: String!, $password: String!) { tokenCreate(email: $email, password: $password) { token refreshToken errors { field message } } }","variables":{"email":"ann","password":"{pw}"}}`, status: 200, want: `{"data":{"tokenCreate":{"token":"`, keep: map[string]string{"t": "data.tokenCreate.token", "r": "data.tokenCreate.refreshToken"}},
		{line: "POST /graphql/", body: `{"query":"mutation { tokenCreate }","variables":{"email":"ann","password":"x"}}`, status: 200, want: `"code":"INVALID_CREDENTIALS"`},
		{line: "POST /graphql/", body: `{"query":"mutation { tokenRefresh }","variables":{"refreshToken":"{r}"}}`, status: 200, want: `{"data":{"tokenRefresh":{"token":"`},
		{line: "POST /graphql/", body: `{"query":"mutation { tokenVerify }","variables":{"token":"{t}"}}`, status: 200, want: `{"data":{"tokenVerify":{"isValid":true`},
		protected(200, "Authorization: Bearer {t}"),
	},
	"couchdb": {
		{line: "POST /_session", body: `name=ann&password={pw}`, status: 200, want: `{"ok":true,"name":"ann","roles":[]}`, keep: map[string]string{"t": "cookie AuthSession"}},
		{line: "POST /_session", body: `{"name":"ann","password":"x"}`, status: 401, want: `{"error":"unauthorized","reason":"Name or password is incorrect."}`},
		{line: "GET /_session", headers: []string{"Cookie: AuthSession={t}"}, status: 200, want: `"userCtx":{"name":"ann","roles":[]}`},
		{line: "GET /_session", status: 200, want: `"userCtx":{"name":null,"roles":[]}`},
		protected(200, "Cookie: AuthSession={t}"),
		{line: "DELETE /_session", headers: []string{"Cookie: AuthSession={t}"}, status: 200, want: `{"ok":true}`},
		protected(401, "Cookie: AuthSession={t}"),
	},
	"ghost": {
		{line: "POST /ghost/api/admin/session", headers: []string{"Origin: https://blog.example"}, body: `{"username":"ann","password":"{pw}"}`, status: 201, want: `Created`, keep: map[string]string{"t": "cookie ghost-admin-api-session"}},
		{line: "POST /ghost/api/admin/session", headers: []string{"Origin: https://blog.example"}, body: `{"username":"ann","password":"x"}`, status: 422, want: `"code":"PASSWORD_INCORRECT"`},
		{line: "GET /ghost/api/admin/users/me", headers: []string{"Cookie: ghost-admin-api-session={t}"}, status: 200, want: `"name":"ann"`},
		protected(200, "Cookie: ghost-admin-api-session={t}"),
		{line: "DELETE /ghost/api/admin/session", headers: []string{"Cookie: ghost-admin-api-session={t}"}, status: 204},
	},
}

var (
	keptName  = regexp.MustCompile(`\{[a-z0-9]+\}`)
	basicPair = regexp.MustCompile(`\{basic:([^}]*)\}`)
)

// fill puts what was kept into a text; unknown names stay, JSON has braces.
func fill(s string, kept map[string]string) string {
	s = keptName.ReplaceAllStringFunc(s, func(m string) string {
		if v, ok := kept[m[1:len(m)-1]]; ok {
			return v
		}
		return m
	})
	return basicPair.ReplaceAllStringFunc(s, func(m string) string {
		return "Basic " + base64.StdEncoding.EncodeToString([]byte(basicPair.FindStringSubmatch(m)[1]))
	})
}

func (c *call) run(t *testing.T, s *server, kept map[string]string) {
	t.Helper()
	method, path, _ := strings.Cut(c.line, " ")
	body := fill(c.body, kept)
	if !strings.HasPrefix(body, "{") { // a form
		body = strings.ReplaceAll(body, password, strings.ReplaceAll(password, " ", "+"))
	}
	path = strings.ReplaceAll(fill(path, kept), " ", "+")
	req, err := http.NewRequestWithContext(t.Context(), method, s.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	switch {
	case strings.HasPrefix(body, "{"):
		req.Header.Set("Content-Type", "application/json")
	case body != "":
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for _, h := range c.headers {
		name, val, _ := strings.Cut(h, ": ")
		req.Header.Set(name, fill(val, kept))
	}
	res, err := http.DefaultTransport.RoundTrip(req) // redirects are answers, too
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	raw := make([]byte, 1<<16)
	n, _ := res.Body.Read(raw)
	got := string(raw[:n])
	if res.StatusCode != c.status || !strings.Contains(got, c.want) {
		t.Fatalf("%s %s\n%d %s\nwant %d …%s…", c.line, body, res.StatusCode, got, c.status, c.want)
	}
	for name, from := range c.keep {
		if kept[name] = pick(res, got, from); kept[name] == "" {
			t.Fatalf("%s: no %s in %s", c.line, from, got)
		}
	}
}

// pick finds what a client keeps of an answer.
func pick(res *http.Response, body, from string) string {
	if name, ok := strings.CutPrefix(from, "cookie "); ok {
		for _, c := range res.Cookies() {
			if c.Name == name {
				return c.Value
			}
		}
		return ""
	}
	var v any
	if json.Unmarshal([]byte(body), &v) != nil {
		return ""
	}
	if from != "body" {
		for _, name := range strings.Split(from, ".") {
			m, _ := v.(map[string]any)
			v = m[name]
		}
	}
	s, _ := v.(string)
	return s
}

// TestProducts: the login routes of products, as their clients use them.
func TestProducts(t *testing.T) {
	for name, calls := range products {
		t.Run(name, func(t *testing.T) {
			text, err := os.ReadFile(filepath.Join("..", "contract", "testdata", "contracts", name+".yaml"))
			if err != nil {
				t.Fatal(err)
			}
			s := serveContract(t, string(text))
			s.user("", "ann", "user")
			kept := map[string]string{"pw": password}
			for i := range calls {
				calls[i].run(t, s, kept)
			}
		})
	}
}
