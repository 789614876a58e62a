package admin_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/sallyport/sallyport/internal/admin"
	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/core/authserver"
	"github.com/sallyport/sallyport/internal/keyring"
	"github.com/sallyport/sallyport/internal/password"
	"github.com/sallyport/sallyport/internal/store/sqlite"
)

const start = 1_700_000_000_000 // 2023-11-14T22:13:20Z

// fixture is the API over a real core and store, with a clock that stands.
type fixture struct {
	t       testing.TB
	h       http.Handler
	client  *admin.Client
	service *core.Service
	clients *authserver.Server
	store   *sqlite.Store
	now     atomic.Int64
}

// extras counts calls; what it answers is app's business.
type extras struct{ confirmed []core.Actor }

func (x *extras) Status(context.Context) (*admin.Status, error) {
	return &admin.Status{Version: "test", Running: true, Clock: admin.Clock{Trusted: len(x.confirmed) > 0}}, nil
}

func (x *extras) ConfirmClock(_ context.Context, a core.Actor) error {
	x.confirmed = append(x.confirmed, a)
	return nil
}

func (x *extras) ExplainRoute(_ context.Context, q admin.RouteQuery) (*admin.RouteAnswer, error) {
	return &admin.RouteAnswer{Handler: "gateway", Detail: q.Method + " " + q.Host + q.Path}, nil
}

func setUp(t testing.TB) *fixture {
	t.Helper()
	f := &fixture{t: t}
	f.now.Store(start)
	dir := t.TempDir()
	ctx := context.Background()
	var err error
	if f.store, err = sqlite.Open(ctx, sqlite.Config{Dir: dir, Create: true, Now: f.now.Load}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.store.Close() })
	master, err := keyring.LoadMaster(keyring.Source{File: filepath.Join(dir, "master.key"), CreateIfNewStore: true})
	if err != nil {
		t.Fatal(err)
	}
	keys, err := keyring.Open(ctx, keyring.Config{Rows: f.store, Meta: f.store, Master: master, Now: f.now.Load})
	if err != nil {
		t.Fatal(err)
	}
	hasher, err := password.New(password.Config{})
	if err != nil {
		t.Fatal(err)
	}
	f.service, err = core.New(ctx, core.Config{
		Store: f.store, Keys: keys, Passwords: hasher, Policy: password.Policy{MinLength: 8},
		Issuer: "https://id.example", Now: f.now.Load,
	})
	if err != nil {
		t.Fatal(err)
	}
	f.clients = authserver.New(authserver.Config{Service: f.service, Engine: f.service.Engine(), Store: f.store, Keys: keys, Now: f.now.Load})
	f.h = admin.New(admin.Config{
		Service: f.service, Clients: f.clients, Extras: &extras{},
		Actor: func(*http.Request) string { return "operator:1000" },
	})
	f.client = admin.NewHandlerClient(f.h)
	return f
}

// send gives status and body of one raw request.
func (f *fixture) send(method, path, contentType, body string) (int, http.Header, map[string]any) {
	f.t.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	w := httptest.NewRecorder()
	f.h.ServeHTTP(w, r)
	var m map[string]any
	if w.Body.Len() > 0 {
		if err := json.Unmarshal(w.Body.Bytes(), &m); err != nil {
			f.t.Fatalf("%s %s answered no JSON object: %s", method, path, w.Body)
		}
	}
	return w.Code, w.Header(), m
}

func (f *fixture) post(path string, in, out any) {
	f.t.Helper()
	if err := f.client.Post(context.Background(), path, in, out); err != nil {
		f.t.Fatalf("POST %s: %v", path, err)
	}
}

func (f *fixture) addUser(in admin.NewUser) admin.User {
	f.t.Helper()
	var u admin.User
	f.post("/users", in, &u)
	return u
}

func problem(t *testing.T, err error) *admin.Problem {
	t.Helper()
	p, ok := err.(*admin.Problem)
	if !ok {
		t.Fatalf("got %v (%T), want a *Problem", err, err)
	}
	return p
}

// TestBadRequests: what is wrong with a request is said exactly, and nothing
// is done.
func TestBadRequests(t *testing.T) {
	f := setUp(t)
	const js = "application/json"
	for _, c := range []struct {
		name, method, path, contentType, body string
		status                                int
		code, detail, loc                     string
	}{
		{"no route", "GET", "/admin/v1/nothing", "", "", 404, "not_found", "there is no resource at /admin/v1/nothing", ""},
		{"outside", "GET", "/", "", "", 404, "not_found", "there is no resource at /", ""},
		{"method", "DELETE", "/admin/v1/users", "", "", 405, "method_not_allowed", "this resource takes GET, POST", ""},
		{"media type", "POST", "/admin/v1/users", "text/plain", `{"username":"a"}`, 415, "media_type_unsupported", "send the body as Content-Type: application/json", ""},
		{"no media type", "POST", "/admin/v1/users", "", `{"username":"a"}`, 415, "media_type_unsupported", "send the body as Content-Type: application/json", ""},
		{"not JSON", "POST", "/admin/v1/users", js, `{"username":`, 400, "body_malformed", "the body is not JSON (at byte 12)", "body"},
		{"two values", "POST", "/admin/v1/users", js, `{} {}`, 400, "body_malformed", "the body is not JSON (at byte 3)", "body"},
		{"invalid UTF-8", "POST", "/admin/v1/users", js, "{\"username\":\"\xff\"}", 400, "body_malformed", "the body is not JSON (at byte 13)", "body"},
		{"a list", "POST", "/admin/v1/users", js, `[]`, 422, "field_invalid", "the body has the wrong type; it should be an object", "body"},
		{"mistyped", "POST", "/admin/v1/users", js, `{"username":1}`, 422, "field_invalid", "the member username has the wrong type; it should be a string", "body username"},
		{"mistyped inside", "POST", "/admin/v1/users", js, `{"username":"a","roles":["x",2]}`, 422, "field_invalid", "the member roles.1 has the wrong type; it should be a string", "body roles 1"},
		{"unknown", "POST", "/admin/v1/users", js, `{"username":"a","role":"x"}`, 422, "field_unknown", "the member role is not known here", "body role"},
		{"case counts", "POST", "/admin/v1/users", js, `{"Username":"a"}`, 422, "field_unknown", "the member Username is not known here", "body Username"},
		{"repeated", "POST", "/admin/v1/users", js, `{"username":"a","username":"b"}`, 422, "field_repeated", "the member username is given twice", "body username"},
		{"missing", "POST", "/admin/v1/users", js, `{}`, 422, "field_missing", "the member username is needed", "body username"},
		{"missing body", "POST", "/admin/v1/users", "", ``, 422, "field_missing", "the member username is needed", "body username"},
		{"a body where none belongs", "POST", "/admin/v1/users/x/disable", js, `{"reason":"x"}`, 422, "field_unknown", "the member reason is not known here", "body reason"},
		{"too large", "POST", "/admin/v1/users", js, `{"username":"` + strings.Repeat("a", 70_000) + `"}`, 413, "body_too_large", "the request body is larger than 65536 bytes", ""},
		{"unknown parameter", "GET", "/admin/v1/users?page=2", "", "", 422, "field_unknown", "the parameter page is not known here", "query page"},
		{"repeated parameter", "GET", "/admin/v1/users?limit=1&limit=2", "", "", 422, "field_repeated", "the parameter limit is given twice", "query limit"},
		{"limit", "GET", "/admin/v1/users?limit=501", "", "", 422, "field_invalid", "the parameter limit is a number from 1 to 500", "query limit"},
		{"cursor", "GET", "/admin/v1/users?cursor=xx", "", "", 422, "field_invalid", "the parameter cursor is not a cursor of this list; take it from the answer before, or leave it out to start over", "query cursor"},
		{"cursor of another list", "GET", "/admin/v1/sessions?cursor=YQ", "", "", 422, "field_invalid", "the parameter cursor is not a cursor of this list; take it from the answer before, or leave it out to start over", "query cursor"},
		{"two ways to revoke", "POST", "/admin/v1/sessions/revoke", js, `{"session":"a","everything":true}`, 422, "field_invalid", "give exactly one of session, subject and everything", ""},
		{"no way to revoke", "POST", "/admin/v1/sessions/revoke", js, `{}`, 422, "field_invalid", "give exactly one of session, subject and everything", ""},
		{"weak password", "POST", "/admin/v1/users", js, `{"username":"a","password":"short"}`, 422, "field_invalid", "", "body password"},
		{"generate and password", "POST", "/admin/v1/users", js, `{"username":"a","password":"x","generate":true}`, 422, "field_invalid", "generate a password or give one, not both", ""},
		{"unknown account", "GET", "/admin/v1/users?account=acme", "", "", 404, "not_found", "there is no account named \"acme\"; `sallyport account list` shows those there are", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			status, header, m := f.send(c.method, c.path, c.contentType, c.body)
			if status != c.status || m["code"] != c.code || c.detail != "" && m["detail"] != c.detail {
				t.Fatalf("got %d %v, want %d %s %q", status, m, c.status, c.code, c.detail)
			}
			if got := header.Get("Content-Type"); got != "application/problem+json" {
				t.Errorf("Content-Type is %q", got)
			}
			if got := header.Get("Cache-Control"); got != "no-store" {
				t.Errorf("Cache-Control is %q", got)
			}
			loc := ""
			if vs, ok := m["violations"].([]any); ok {
				loc = strings.Trim(fmt.Sprint(vs[0].(map[string]any)["loc"]), "[]")
			}
			if loc != c.loc {
				t.Errorf("violation at %q, want %q", loc, c.loc)
			}
		})
	}
	if status, header, _ := f.send("PUT", "/admin/v1/status", "", ""); status != 405 || header.Get("Allow") != "GET" {
		t.Errorf("PUT /status: %d, Allow %q", status, header.Get("Allow"))
	}
	for u, err := range admin.List[admin.User](context.Background(), f.client, "/users", nil) {
		t.Errorf("a refused request left user %v, %v", u.Username, err)
	}
}

// TestSecretsNotRepeated: a refusal never carries the password back.
func TestSecretsNotRepeated(t *testing.T) {
	f := setUp(t)
	for _, body := range []string{
		`{"username":"a","password":["hunter2hunter2"]}`,
		`{"username":"a","password":"hunter2hunter2"`,
		`{"username":"a","password":"hunter2hunter2","password":"hunter2hunter2"}`,
		`{"username":"a","password":"hunter2"}`,
	} {
		_, _, m := f.send("POST", "/admin/v1/users", "application/json", body)
		if strings.Contains(fmt.Sprint(m), "hunter2") {
			t.Errorf("the answer to %s repeats the password: %v", body, m)
		}
	}
}

// TestNobody: without an actor nothing is answered.
func TestNobody(t *testing.T) {
	f := setUp(t)
	h := admin.New(admin.Config{Service: f.service, Clients: f.clients, Extras: &extras{}, Actor: func(*http.Request) string { return "" }})
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/admin/v1/users", nil))
	if w.Code != http.StatusUnauthorized {
		t.Errorf("got %d, want 401", w.Code)
	}
}

func TestUserLife(t *testing.T) {
	f, ctx := setUp(t), context.Background()
	f.post("/accounts", map[string]string{"shortname": "acme"}, nil)
	u := f.addUser(admin.NewUser{Account: "acme", Username: "Alice", Email: "al@x.example", Roles: []string{"a"}, Password: "a long enough one"})
	want := admin.User{
		ID: u.ID, Account: "acme", Username: "Alice", Email: "al@x.example", EmailVerified: true, Type: "user", State: "active",
		Roles: []string{"a"}, Attributes: json.RawMessage("{}"), PasswordSet: true, CreatedAt: start, UpdatedAt: start, PasswordChangedAt: start,
	}
	same(t, "created", u, want)
	for _, ref := range []string{"alice", "AL@x.example", u.ID} {
		var got admin.User
		if err := f.client.Get(ctx, "/users/lookup", url.Values{"account": {"acme"}, "ref": {ref}}, &got); err != nil {
			t.Fatalf("lookup %s: %v", ref, err)
		}
		same(t, "lookup "+ref, got, want)
	}
	if p := problem(t, f.client.Get(ctx, "/users/lookup", url.Values{"ref": {"alice"}}, nil)); p.Status != 404 {
		t.Errorf("found in another account: %v", p)
	}
	if p := problem(t, f.client.Get(ctx, "/users/alice", nil, nil)); p.Detail != `there is no user with id "alice"` {
		t.Errorf("a path took a login name for an id: %v", p)
	}
	if p := problem(t, f.client.Post(ctx, "/users", admin.NewUser{Account: "acme", Username: "ALICE"}, nil)); p.Status != 409 || p.Code != "conflict" {
		t.Errorf("second Alice: %+v", p)
	}

	f.now.Add(1000)
	email, attrs := "", json.RawMessage(`{"site":1}`)
	var got admin.User
	if err := f.client.Do(ctx, "PATCH", "/users/"+u.ID, nil, admin.UserChange{Email: &email, Attributes: &attrs}, &got); err != nil {
		t.Fatal(err)
	}
	want.Email, want.EmailVerified, want.Attributes, want.UpdatedAt = "", false, attrs, start+1000
	same(t, "updated", got, want)

	var with admin.User
	f.post("/users/"+u.ID+"/password", admin.NewPassword{Generate: true}, &with)
	if len(with.Password) != 31 {
		t.Errorf("generated password %q, want 28 signs in four groups", with.Password)
	}
	for _, step := range [][2]string{{"disable", "disabled"}, {"enable", "active"}, {"unlock", "active"}, {"compromised", "active"}} {
		f.post("/users/"+u.ID+"/"+step[0], nil, &got)
		if got.State != step[1] {
			t.Errorf("after %s: %s, want %s", step[0], got.State, step[1])
		}
	}
	if got.PasswordSet {
		t.Error("compromised left the password")
	}
	if err := f.client.Do(ctx, "DELETE", "/users/"+u.ID, nil, nil, nil); err != nil {
		t.Fatal(err)
	}
	if p := problem(t, f.client.Get(ctx, "/users/"+u.ID, nil, nil)); p.Status != 404 {
		t.Errorf("deleted user answers %v", p)
	}
	if p := problem(t, f.client.Do(ctx, "DELETE", "/users/"+u.ID, nil, nil, nil)); p.Status != 404 {
		t.Errorf("second delete answers %v", p)
	}
}

func same(t *testing.T, what string, got, want any) {
	t.Helper()
	g, _ := json.Marshal(got)
	w, _ := json.Marshal(want)
	if !bytes.Equal(g, w) {
		t.Errorf("%s:\n got %s\nwant %s", what, g, w)
	}
}

// TestEveryActHasAnActor reads the audit log after each kind of act.
func TestEveryActHasAnActor(t *testing.T) {
	f, ctx := setUp(t), context.Background()
	u := f.addUser(admin.NewUser{Username: "a", Generate: true})
	var k admin.APIKey
	f.post("/api-keys", admin.NewAPIKey{AppName: "d"}, &k)
	f.post("/api-keys/"+k.ID+"/rotate", admin.Rotation{OverlapSeconds: 60}, nil)
	f.post("/api-keys/"+k.ID+"/disable", nil, nil)
	f.post("/api-keys/"+k.ID+"/enable", nil, nil)
	f.post("/users/"+u.ID+"/disable", nil, nil)
	f.post("/sessions/revoke", admin.Revocation{Everything: true}, nil)
	f.post("/accounts", map[string]string{"shortname": "x"}, nil)
	f.post("/accounts/x/disable", nil, nil)
	if err := f.client.Do(ctx, "DELETE", "/api-keys/"+k.ID, nil, nil, nil); err != nil {
		t.Fatal(err)
	}
	var kinds []string
	for r, err := range admin.List[admin.AuditRecord](ctx, f.client, "/audit", nil) {
		if err != nil {
			t.Fatal(err)
		}
		if r.Actor != "operator:1000" {
			t.Errorf("%s was done by %q", r.Kind, r.Actor)
		}
		kinds = append(kinds, r.Kind)
	}
	want := "user.create apikey.create apikey.rotate apikey.disable apikey.enable user.disable revoke.everything account.create account.disable apikey.delete"
	if got := strings.Join(kinds, " "); got != want {
		t.Errorf("audit:\n got %s\nwant %s", got, want)
	}
}
