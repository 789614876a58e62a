package contract

import (
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
)

// shapes are the members that every refusal of a contract must have.
var shapes = map[string][]string{
	"pathstack": {`{"error":{"code":`}, "itempath": {`"msg":`}, "netography": {`{"status":`, `"name":`, `"message":`},
	"simplejwt": {"{"}, "directus": {`{"errors":[{"message":`},
}

// TestBadInput sends the same nonsense to every route of every contract that
// comes with us: the answer is in the contract's shape and never a 5xx.
func TestBadInput(t *testing.T) {
	deep := `{"x":` + strings.Repeat(`[`, 200) + strings.Repeat(`]`, 200) + `}`
	bodies := []struct {
		name, body, ct string
		statuses       []int
	}{
		{"no JSON", "{", "application/json", []int{400, 401, 403, 415, 422, 204}},
		{"JSON with garbage behind", `{} x`, "application/json", []int{400, 401, 403, 415, 422, 204}},
		{"array", `[1]`, "application/json", []int{400, 401, 403, 415, 422, 204}},
		{"duplicate members", `{"username":"a","username":"b","jwt":"a","jwt":"b","email":"a","email":"b","refresh":"a","refresh":"b","token":"a","token":"b","refresh_token":"a","refresh_token":"b"}`, "application/json", []int{400, 401, 403, 415, 422}},
		{"duplicate unknown members", `{"zz":1,"zz":2}`, "application/json", []int{400, 401, 403, 415, 422}},
		{"invalid UTF-8", "{\"username\":\"\xff\",\"password\":\"x\"}", "application/json", []int{400, 401, 403, 415, 422}},
		{"lone surrogate", `{"username":"\ud800","password":"x"}`, "application/json", []int{400, 401, 403, 415, 422}},
		{"too deep", deep, "application/json", []int{400, 401, 403, 415, 422}},
		{"mistyped", `{"username":[],"password":{},"jwt":1,"email":true,"refresh":1,"token":1,"refresh_token":1,"sub":1}`, "application/json", []int{400, 401, 403, 415, 422}},
		{"null", `{"username":null,"password":null,"jwt":null,"refresh":null,"token":null,"refresh_token":null}`, "application/json", []int{400, 401, 403, 415, 422}},
		{"empty texts", `{"username":"","password":"","jwt":"","email":"","refresh":"","token":"","refresh_token":"","sub":""}`, "application/json", []int{400, 401, 403, 415, 422}},
		{"too long", `{"username":"` + strings.Repeat("u", 300) + `","password":"` + strings.Repeat("p", 5000) + `","jwt":"` + strings.Repeat("j", 9000) + `","email":"` + strings.Repeat("e", 300) + `","refresh":"` + strings.Repeat("r", 9000) + `","token":"` + strings.Repeat("r", 9000) + `","refresh_token":"` + strings.Repeat("r", 9000) + `","sub":"s"}`, "application/json", []int{400, 401, 403, 415, 422}},
		{"too large", `{"username":"` + strings.Repeat("u", 70_000) + `"}`, "application/json", []int{413, 401, 403}},
		{"repeated parameter", "username=a&username=b&refresh_token=a&refresh_token=b", "application/x-www-form-urlencoded", []int{400, 401, 403, 415, 422}},
		{"bad percent", "username=%zz&refresh_token=%f", "application/x-www-form-urlencoded", []int{400, 401, 403, 415, 422}},
		{"form with invalid UTF-8", "username=%ff&password=x&refresh_token=%ff", "application/x-www-form-urlencoded", []int{400, 401, 403, 415, 422}},
		{"too many parameters", strings.Repeat("a=1&", 5000), "application/x-www-form-urlencoded", []int{400, 401, 403, 415, 422}},
		{"empty", "", "application/json", []int{400, 401, 403, 422, 204}},
		{"text", "hello", "text/plain", []int{415, 401, 403}},
		{"odd charset", "{}", "application/json; charset=utf-16", []int{415, 401, 403}},
		{"broken media type", "{}", ";;;", []int{415, 401, 403}},
		{"nothing at all", "", "", []int{400, 401, 403, 422, 204}},
	}
	for name, want := range shapes {
		rt, ms := mountOf(t, newFake(), name)
		h := serveRouter(rt)
		for _, route := range ms[0].Routes() {
			for _, b := range bodies {
				r := httptest.NewRequest(route.Method, route.Pattern, strings.NewReader(b.body))
				if b.ct != "" {
					r.Header.Set("Content-Type", b.ct)
				}
				w := httptest.NewRecorder()
				h.ServeHTTP(w, r)
				where := fmt.Sprintf("%s %s %s, %s: %d %.200s", name, route.Method, route.Pattern, b.name, w.Code, w.Body)
				if !contains(b.statuses, w.Code) {
					t.Errorf("%s: want one of %v", where, b.statuses)
				}
				if w.Code != 204 && (w.Header().Get("Content-Type") != "application/json" || !hasAll(w.Body.String(), want)) {
					t.Errorf("%s: not in the contract's shape", where)
				}
				if strings.Contains(w.Body.String(), strings.Repeat("p", 50)) || strings.Contains(w.Body.String(), "goroutine") {
					t.Errorf("%s: repeats what was sent", where)
				}
			}
			for _, method := range []string{"BREW", "PATCH", "TRACE"} {
				w := do(t, h, method+" "+route.Pattern, "")
				if w.Code != 405 || w.Header().Get("Allow") == "" || !hasAll(w.Body.String(), want) {
					t.Errorf("%s %s: %d %v %s", method, route.Pattern, w.Code, w.Header(), w.Body)
				}
			}
		}
	}
}

func contains(list []int, n int) bool {
	for _, x := range list {
		if x == n {
			return true
		}
	}
	return false
}

func hasAll(s string, parts []string) bool {
	for _, p := range parts {
		if !strings.Contains(s, p) {
			return false
		}
	}
	return true
}

// TestExactRefusals pins what single inputs are told.
func TestExactRefusals(t *testing.T) {
	rt, _ := mountOf(t, newFake(), "pathstack", "netography", "itempath")
	h := serveRouter(rt)
	for _, c := range []struct {
		name, line, body, ct string
		status               int
		want                 string
	}{
		{"over-long user name", "POST /token", `{"username":"` + strings.Repeat("ü", 255) + `","password":"x"}`, "application/json", 422, `{"error":{"code":422,"message":"String should have at most 254 characters","loc":["body","username"],"msg":"String should have at most 254 characters","type":"string_too_long"}}`},
		{"longest user name", "POST /token", `{"username":"` + strings.Repeat("ü", 254) + `","password":"x"}`, "application/json", 401, `{"error":{"code":401,"message":"Invalid username or password"}}`},
		{"duplicate", "POST /token", `{"username":"a","username":"b"}`, "application/json", 422, `{"error":{"code":422,"message":"Field given more than once","loc":["body","username"],"msg":"Field given more than once","type":"value_error"}}`},
		{"duplicate spelt with an escape", "POST /token", `{"username":"a","\u0075sername":"b"}`, "application/json", 422, `{"error":{"code":422,"message":"Field given more than once","loc":["body","username"],"msg":"Field given more than once","type":"value_error"}}`},
		{"name spelt with an escape", "POST /token", `{"\u0075sername":"mgordon","password":"pwd Test-1!"}`, "application/json; charset=UTF-8", 200, `{"data":{"token_type":"Bearer","expires_in":3600,"access_token":"acc.ess.tok","refresh_token":"ref.resh.tok","sub":"a6caf0bd-dbdf-4dfb-bcab-34f73e4c5b64"}}`},
		{"name in another case", "POST /token", `{"Username":"mgordon","password":"x"}`, "application/json", 422, `{"error":{"code":422,"message":"Field required","loc":["body","username"],"msg":"Field required","type":"missing"}}`},
		{"unknown field", "POST /api/v1/auth/token", `{"jwt":"x","a":{"b":1}}`, "application/json", 400, `{"status":400,"name":"Bad Request","message":"a is not known here; leave it out"}`},
		{"large", "POST /api/auth/bearer/token", "username=" + strings.Repeat("a", 70_000), "application/x-www-form-urlencoded", 413, `{"status":413,"name":"Request Entity Too Large","message":"The body has more than 65536 bytes"}`},
		{"media type", "POST /api/users/login", `username=a`, "application/x-www-form-urlencoded", 415, `{"msg":"Send the body as application/json"}`},
	} {
		w := do(t, h, c.line, c.body, "Content-Type: "+c.ct)
		if w.Code != c.status || w.Body.String() != c.want {
			t.Errorf("%s: %d %s\nwant %d %s", c.name, w.Code, w.Body, c.status, c.want)
		}
	}
}
