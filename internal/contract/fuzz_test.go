package contract

import (
	"encoding/json"
	"errors"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/sallyport/sallyport/contracts"
	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/token"
)

// FuzzParse: no input panics, every mistake names a line of the file, and what
// passes compiles, describes itself and writes valid JSON.
func FuzzParse(f *testing.F) {
	f.Add([]byte(good))
	for _, name := range slices.Concat(contracts.Names(), contracts.Examples()) {
		_, data, err := contracts.Read(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	for _, file := range testContracts(f) {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		def, err := Parse("f.yaml", data)
		if err != nil {
			var ms Mistakes
			if !errors.As(err, &ms) || len(ms) == 0 {
				t.Fatalf("not mistakes: %v", err)
			}
			for _, m := range ms {
				if m.Line < 1 || m.Col < 1 || m.Text == "" {
					t.Fatalf("a mistake without a place: %+v", m)
				}
			}
			return
		}
		c, err := Compile(def, Options{})
		if err != nil {
			t.Fatalf("passed the check, did not compile: %v", err)
		}
		m, err := c.Mount(MountOptions{ID: "x", Grants: newFake(), Now: func() int64 { return fakeNow }})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := NewRouter(m); err != nil {
			t.Fatal(err)
		}
		_ = c.Show() // must not panic
		_ = Examples(m, "http://x", Credentials{})
		if doc, err := OpenAPI(Info{}, m); err != nil || !json.Valid(doc) {
			t.Fatalf("OpenAPI: %v", err)
		}
		checkTemplates(t, c)
	})
}

// checkTemplates renders what a contract can say and demands valid JSON.
func checkTemplates(t *testing.T, c *Contract) {
	f := newFake()
	cm := &core.Mount{ID: "x", Policy: c.policy}
	for _, kind := range tokenKinds {
		if s := c.policy.Spec(kind); s != nil && s.Claims != nil {
			v := &core.TokenValues{Kind: kind, Session: f.granted(cm, "n").Session, IssuedAt: fakeNow}
			if kind != token.Refresh {
				v.Subject = fakeSubject("n")
			}
			body, err := s.Claims.AppendMembers([]byte("{"), v)
			if err != nil || !json.Valid(append(body, '}')) {
				t.Fatalf("claims of %s: %v %s", kind, err, body)
			}
		}
	}
	for _, r := range c.def.routes {
		for _, a := range r.answers {
			e := &env{granted: f.granted(cm, "n")}
			if a.body != nil && !a.content.plain && !json.Valid(a.body.append(nil, e)) {
				t.Fatalf("answer of %s: %s", r.path, a.body.append(nil, e))
			}
		}
	}
	for _, code := range core.Codes() {
		status, h, body := c.RenderRefusal(&core.Error{Code: code, Violations: []core.Violation{{Loc: []string{"body", "a"}, Message: "m", Type: "t"}}}, fakeNow)
		if status < 400 || status > 599 {
			t.Fatalf("%s is answered %d at the gateway", code, status)
		}
		if strings.Contains(h.Get("Content-Type"), "json") && !json.Valid(body) {
			t.Fatalf("%s: %s", code, body)
		}
	}
}

// FuzzDecodeJSON: what passes is an object that encoding/json reads too, with
// the same values; whatever encoding/json refuses is refused.
func FuzzDecodeJSON(f *testing.F) {
	for _, s := range []string{`{"a":"x","n":{"b":"y"},"l":["p","q"]}`, `{"a":1}`, `{"a":null,"z":[[{}]]}`, `{"a":"x","a":"y"}`, `{"n":3}`, `[]`, `{`, "{\"a\":\"\xff\"}", `{"\u0061":"é"}`, `{} {}`, `{"l":[1,"x",{}]}`} {
		f.Add([]byte(s))
	}
	root := &jsonNode{slot: -1}
	root.put([]string{"a"}, 0)
	root.put([]string{"n", "b"}, 1)
	root.put([]string{"l"}, 2)
	f.Fuzz(func(t *testing.T, data []byte) {
		got := make([]captured, 3)
		var unknown [][]string
		err := decodeJSON(data, root, got, &unknown)
		var v struct {
			A any `json:"a"`
			N any `json:"n"`
			L any `json:"l"`
		}
		if err != nil {
			if !json.Valid(data) && strings.Contains(err.Error(), string(data)) && len(data) > 8 {
				t.Fatalf("the error repeats the body: %v", err)
			}
			return
		}
		if !json.Valid(data) || !utf8.Valid(data) || json.Unmarshal(data, &v) != nil {
			t.Fatalf("accepted %q", data)
		}
		if got[0].kind == gotText && !hasFolded(data) && v.A != got[0].s {
			t.Fatalf("a is %q, want %v", got[0].s, v.A)
		}
		if n, ok := v.N.(map[string]any); ok && got[1].kind == gotText && !hasFolded(data) && n["b"] != got[1].s {
			t.Fatalf("n.b is %q, want %v", got[1].s, n["b"])
		}
	})
}

// hasFolded says whether encoding/json may have matched a name in another
// case, which it does and we never do.
func hasFolded(data []byte) bool {
	var m map[string]any
	if json.Unmarshal(data, &m) != nil {
		return true
	}
	for k := range m {
		if k != strings.ToLower(k) {
			return true
		}
	}
	return false
}

// FuzzDecodeForm: what passes is what net/url reads, each name once.
func FuzzDecodeForm(f *testing.F) {
	for _, s := range []string{"a=b&c=d", "a=%20+%2B", "a", "=", "&&", "a=b&a=c", "%zz=1", "a=%ff", "x;y=1", "a=b=c", "%61=1&a=2"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		got := map[string]string{}
		err := decodeForm([]byte(raw), func(name, value []byte) {
			if _, twice := got[string(name)]; twice {
				t.Fatalf("%q given twice", name)
			}
			got[string(name)] = string(value)
		})
		if err != nil {
			return
		}
		want, perr := url.ParseQuery(strings.ReplaceAll(raw, ";", "%3B"))
		if perr != nil {
			t.Fatalf("accepted %q: %v", raw, perr)
		}
		if len(want) != len(got) {
			t.Fatalf("%q: %v, want %v", raw, got, want)
		}
		for k, v := range want {
			if len(v) != 1 || v[0] != got[k] || !utf8.ValidString(got[k]) {
				t.Fatalf("%q: %q is %q, want %q", raw, k, got[k], v)
			}
		}
	})
}
