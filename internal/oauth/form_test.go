package oauth

import (
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf8"

	"github.com/sallyport/sallyport/internal/core"
)

func TestParseForm(t *testing.T) {
	for body, want := range map[string]string{
		"":                               "",
		"a=b":                            "a=b",
		"a=b&c=":                         "a=b", // without a value it counts as left out
		"a=b%20c%2Bd+e":                  "a=b+c%2Bd+e",
		"a=b&&c=d":                       "a=b&c=d",
		"a=1&a=2":                        "!",
		"a=&a=":                          "!", // twice is twice
		"a=%zz":                          "!",
		"a=1;b=2":                        "!",
		"a=%ff":                          "!",
		"%ff=a":                          "!",
		"a=%00":                          "!",
		strings.Repeat("&", maxParams):   "!",
		strings.Repeat("&", maxParams-1): "",
	} {
		form, err := parseForm(body)
		got := form.Encode()
		if err != nil {
			got = "!"
			if core.CodeOf(err) != core.BadRequest {
				t.Errorf("%q: %v", body, err)
			}
		}
		if got != want {
			t.Errorf("%q: %q, want %q", body, got, want)
		}
	}
}

// FuzzParseForm: whatever comes, a form that is taken has one text a name.
func FuzzParseForm(f *testing.F) {
	for _, s := range []string{"", "a=b", "a=b&a=c", "a=%00", "grant_type=client_credentials&scope=a+b", "%", ";", "a=%F0%9F%98%80"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, body string) {
		form, err := parseForm(body)
		if err != nil {
			return
		}
		for name, values := range form {
			if len(values) != 1 || values[0] == "" || !utf8.ValidString(values[0]) || strings.ContainsRune(values[0], 0) || !utf8.ValidString(name) {
				t.Fatalf("%q: %q has %q", body, name, values)
			}
		}
		again, err := parseForm(form.Encode())
		if err != nil || again.Encode() != form.Encode() {
			t.Fatalf("%q is %v, and read again %v, %v", body, form, again, err)
		}
	})
}

func basicOf(id, secret string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(url.QueryEscape(id)+":"+url.QueryEscape(secret)))
}

func TestBasic(t *testing.T) {
	for _, c := range [][2]string{{"client_a", "s"}, {"client_a", ""}, {"a b", "c:d"}, {"ä", "%+&"}, {"a:b", "c"}} {
		got, err := basic(basicOf(c[0], c[1]))
		if err != nil || got.ID != c[0] || got.Secret != c[1] || got.Method != core.AuthSecretBasic {
			t.Errorf("%q: %+v, %v", c, got, err)
		}
	}
	for _, h := range []string{
		"", "Basic", "Basic ", "Bearer abc", "Basic !", "Basic YQ", "Basic YTpi=", "Basic YQ==", "Basic OmI=", "Basic YT pi",
		"Basic  YTpi", "Basic " + base64.StdEncoding.EncodeToString([]byte("%zz:b")), "Basic YTpi\n",
	} {
		if c, err := basic(h); err == nil {
			t.Errorf("%q is taken as %+v", h, c)
		} else if core.CodeOf(err) != core.BadCredentials {
			t.Errorf("%q: %v", h, err)
		}
	}
}

// FuzzBasic: what is taken can be written again and says the same.
func FuzzBasic(f *testing.F) {
	for _, s := range []string{"", "Basic YTpi", "basic YTpi", "Basic =", "Basic JTI1OiUyNQ==", "Bearer x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, header string) {
		c, err := basic(header)
		if err != nil {
			return
		}
		again, err := basic(basicOf(c.ID, c.Secret))
		if err != nil || *again != *c {
			t.Fatalf("%q is %+v, and written again %+v, %v", header, c, again, err)
		}
	})
}

func TestBearerToken(t *testing.T) {
	for _, c := range []struct {
		headers []string
		token   string
		bad     bool
	}{
		{nil, "", false},
		{[]string{"Bearer abc"}, "abc", false},
		{[]string{"bearer abc"}, "abc", false},
		{[]string{"Basic abc"}, "", false},
		{[]string{"Token abc"}, "", false},
		{[]string{"Bearer"}, "", true},
		{[]string{"Bearer "}, "", true},
		{[]string{"Bearer  abc"}, "", true},
		{[]string{"Bearer a,b"}, "", true},
		{[]string{"Bearer a b"}, "", true},
		{[]string{"Bearer a", "Bearer a"}, "", true},
	} {
		got, err := BearerToken(&http.Request{Header: http.Header{"Authorization": c.headers}})
		if got != c.token || (err != nil) != c.bad {
			t.Errorf("%q: %q, %v", c.headers, got, err)
		}
	}
}

// TestErrorTable: every code of core's has a status and a name of the RFCs.
func TestErrorTable(t *testing.T) {
	names := map[string]bool{
		"invalid_request": true, "invalid_client": true, "invalid_grant": true, "temporarily_unavailable": true, "server_error": true,
	}
	for _, code := range core.Codes() {
		status, f, retry := describe(&core.Error{Code: code, Reason: "secret reason", Message: "say \"this\" \\ ü\n"})
		if status < 400 || !names[f.Error] || (retry > 0) != (status == 503 || status == 429) {
			t.Errorf("%s: %d %+v, retry %d", code, status, f, retry)
		}
		for i := range len(f.Description) {
			if c := f.Description[i]; c < 0x20 || c > 0x7e || c == '"' || c == '\\' {
				t.Errorf("%s: the description holds %q", code, c)
			}
		}
		bstatus, header, body := BearerRefusal(&core.Error{Code: code, Reason: "secret reason"})
		if bstatus < 400 || strings.Contains(string(body), "reason") || bstatus == 401 && !strings.HasPrefix(header.Get("WWW-Authenticate"), "Bearer ") {
			t.Errorf("%s: %d %v %s", code, bstatus, header, body)
		}
	}
	if status, f, _ := describe(core.ErrStoreUnavailable); status != 503 || f.Error != "temporarily_unavailable" {
		t.Errorf("a store that does not answer: %d %v", status, f)
	}
}

// TestReadBody: what is too long is refused unread, and costs nothing.
func TestReadBody(t *testing.T) {
	post := func(body io.Reader, length int64) *http.Request {
		r := httptest.NewRequest("POST", "/oauth2/token", body)
		r.ContentLength = length
		return r
	}
	unread := iotest.ErrReader(errors.New("was read"))
	for _, tc := range []struct {
		name string
		r    *http.Request
		want string // the body, or a code
	}{
		{"short", post(strings.NewReader("a=b"), 3), "a=b"},
		{"empty", post(strings.NewReader(""), 0), ""},
		{"chunked", post(strings.NewReader("a=b"), -1), "a=b"},
		{"longest", post(strings.NewReader(strings.Repeat("x", maxForm)), maxForm), strings.Repeat("x", maxForm)},
		{"one more", post(unread, maxForm+1), string(core.BodyTooLarge)},
		{"one more, chunked", post(strings.NewReader(strings.Repeat("x", maxForm+1)), -1), string(core.BodyTooLarge)},
		{"cut off", post(strings.NewReader("a=b"), 9), string(core.BadRequest)},
		{"broken", post(io.MultiReader(strings.NewReader("a="), unread), -1), string(core.BadRequest)},
	} {
		got, err := readBody(tc.r)
		if err != nil {
			got = string(core.CodeOf(err))
		}
		if got != tc.want {
			t.Errorf("%s: %.40q, want %.40q", tc.name, got, tc.want)
		}
	}
	r := post(strings.NewReader(strings.Repeat("x", 60_000)), 60_000)
	if n := testing.AllocsPerRun(10, func() { _, _ = readBody(r) }); n > 10 {
		t.Errorf("%v allocations for a form that is not read", n)
	}
}
