package client_test

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/client"
)

var apiKey = client.Netosecret{URL: "https://auth.example.com/api/v1", AppName: "flöws?", AppKey: "key_>>>", Shortname: "acme", SharedSecret: "???~~~ secret"}

// spell gives a key in the spellings of the field.
func spell(t testing.TB, n client.Netosecret) []string {
	t.Helper()
	compact, err1 := json.Marshal(n)
	indented, err2 := json.MarshalIndent(n, "", "\t")
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	std := base64.StdEncoding.EncodeToString(compact)
	return []string{
		std, strings.TrimRight(std, "="), base64.URLEncoding.EncodeToString(compact), base64.RawURLEncoding.EncodeToString(compact),
		base64.StdEncoding.EncodeToString(indented), " " + std[:20] + "\r\n" + std[20:] + "\n",
	}
}

func TestParseNetosecret(t *testing.T) {
	for _, s := range spell(t, apiKey) {
		if n, err := client.ParseNetosecret(s); err != nil || *n != apiKey {
			t.Errorf("%q: %v", s, err)
		}
	}
	for name, s := range map[string]string{
		"nothing": "", "no base64": "what?", "no JSON": "aGVsbG8=", "a number": base64.StdEncoding.EncodeToString([]byte(`{"appname":1}`)),
		"a member missing": base64.StdEncoding.EncodeToString([]byte(`{"appname":"a","appkey":"b","shortname":"c"}`)),
	} {
		if n, err := client.ParseNetosecret(s); err == nil || n != nil {
			t.Errorf("%s: no error", name)
		}
	}
	for in, want := range map[string]string{
		"https://a.example/api/v1": "https://a.example", "https://a.example/api/v1/": "https://a.example",
		"https://a.example/": "https://a.example", "https://a.example/x/api/v1": "https://a.example/x",
	} {
		if got := (&client.Netosecret{URL: in}).BaseURL(); got != want {
			t.Errorf("%s: %s", in, got)
		}
	}
}

func FuzzParseNetosecret(f *testing.F) {
	for _, s := range spell(f, apiKey) {
		f.Add(s)
	}
	f.Add("e30")
	f.Add("====")
	f.Fuzz(func(t *testing.T, s string) {
		n, err := client.ParseNetosecret(s)
		if err != nil {
			if n != nil || (len(s) > 40 && strings.Contains(err.Error(), s)) {
				t.Error("an error with a value, or that quotes its input")
			}
			return
		}
		for _, again := range spell(t, *n) { // every spelling of what was read reads the same
			if m, err := client.ParseNetosecret(again); err != nil || *m != *n {
				t.Errorf("%q became %q: %v", s, again, err)
			}
		}
		tok, err := n.RequestToken(time.Unix(1, 0))
		if err != nil || strings.Count(tok, ".") != 2 {
			t.Error(tok, err)
		}
	})
}
