package vectors

import (
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/sallyport/sallyport/internal/jose"
)

// group is a group of vectors, as all files about JSON tokens have them.
type group struct {
	Comment string          `json:"comment"`
	Private json.RawMessage `json:"private"`
	Public  json.RawMessage `json:"public"`
	Tests   []struct {
		ID      int             `json:"tcId"`
		Comment string          `json:"comment"`
		JWS     json.RawMessage `json:"jws"`
		JWE     json.RawMessage `json:"jwe"`
		Result  string          `json:"result"`
		Flags   []string        `json:"flags"`
	} `json:"tests"`
}

// text is a token, or the text of an object in the JSON serialization.
func text(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) != nil {
		return string(raw)
	}
	return s
}

// keysOf are the keys of a JWK or a JWK Set that can be used here. HMAC keys,
// which nobody publishes, are taken by their bytes. No set mixes HMAC and public
// keys or has an id twice: DESIGN forbids both.
func keysOf(data json.RawMessage) []*jose.Key {
	var set struct{ Keys []json.RawMessage }
	if json.Unmarshal(data, &set) != nil || set.Keys == nil {
		set.Keys = []json.RawMessage{data}
	}
	var keys []*jose.Key
	for _, raw := range set.Keys {
		var oct struct{ Kty, Alg, K, Kid string }
		_ = json.Unmarshal(raw, &oct) // what is no JWK is none of ours
		k, err := jose.FromJWK(raw)
		if oct.Kty == "oct" && oct.Alg == "HS256" {
			var secret []byte
			if secret, err = base64.RawURLEncoding.DecodeString(oct.K); err == nil {
				k, err = jose.NewHMAC(oct.Kid, secret)
			}
		}
		if err != nil {
			continue
		}
		if slices.ContainsFunc(keys, func(o *jose.Key) bool {
			return o.ID() == k.ID() || o.Algorithm().Symmetric() != k.Algorithm().Symmetric()
		}) {
			return nil
		}
		keys = append(keys, k)
	}
	return keys
}

func accepts(tok string, keys []*jose.Key) bool {
	p, err := jose.Parse(tok)
	if err != nil {
		return false
	}
	for _, k := range keys {
		if _, err := p.Verify(k); err == nil {
			return true
		}
	}
	return false
}

// exceptions are vectors with which we disagree, by tcId of
// json_web_signature_test.json. Vectors under keys of other algorithms than ours
// are refused and need no exception.
var exceptions = map[int]string{
	259: "valid, and its payload is empty: no token of ours has an empty segment",
	367: "invalid for padding that is not in the vector; the token is that of 372 without its question mark",
	370: "the same as 367",
	372: "valid, with a question mark in a segment",
	373: "valid, with a question mark in a segment",
}

// TestTokens runs all vectors about JSON tokens: what is marked invalid is
// refused, what is marked valid is accepted if the key is of an algorithm of
// ours, and every JWE is refused.
func TestTokens(t *testing.T) {
	dir := need(t, wycheproofDir)
	for _, file := range []string{"json_web_signature_test.json", "json_web_key_test.json", "json_web_crypto_test.json", "json_web_encryption_test.json"} {
		t.Run(file, func(t *testing.T) {
			var doc struct {
				Groups []group `json:"testGroups"`
			}
			read(t, &doc, dir, file)
			counts, used := map[string]int{}, 0
			for _, g := range doc.Groups {
				data := g.Public
				if data == nil {
					data = g.Private
				}
				keys := keysOf(data)
				for _, tc := range g.Tests {
					want := tc.Result == "valid" && len(keys) > 0 && tc.JWE == nil
					if file == "json_web_signature_test.json" && exceptions[tc.ID] != "" {
						used++
						want = !want
					}
					if got := accepts(text(tc.JWS)+text(tc.JWE), keys); got != want {
						t.Errorf("%s, tcId %d (%s, %s %v): accepted %v", g.Comment, tc.ID, tc.Comment, tc.Result, tc.Flags, got)
					}
					counts[tc.Result]++
					if want {
						counts["accepted"]++
					}
				}
			}
			if file == "json_web_signature_test.json" && (used != len(exceptions) || counts["accepted"] == 0) {
				t.Errorf("%d exceptions of %d were met, %d vectors accepted", used, len(exceptions), counts["accepted"])
			}
			t.Logf("%v", counts)
		})
	}
}

// TestEveryKey reads each JWK in all files, also of algorithms that we know
// nothing of: it is refused, or is of ours and comes out again as it went in.
func TestEveryKey(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(need(t, wycheproofDir), "*.json"))
	if err != nil || len(files) == 0 {
		t.Fatal(err)
	}
	counts := map[string]int{}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var doc any
		if err := json.Unmarshal(data, &doc); err != nil {
			t.Fatal(err)
		}
		for _, jwk := range jwksIn(doc, nil) {
			checkKey(t, filepath.Base(file), jwk, counts)
		}
	}
	t.Logf("%d files: %v", len(files), counts)
	if counts["ES256"] == 0 || counts["refused"] == 0 {
		t.Error("too few keys to prove anything")
	}
}

func checkKey(t *testing.T, file string, jwk map[string]any, counts map[string]int) {
	t.Helper()
	raw, err := json.Marshal(jwk)
	if err != nil {
		t.Fatal(err)
	}
	k, err := jose.FromJWK(raw)
	if err != nil {
		counts["refused"]++
		return
	}
	counts[string(k.Algorithm())]++
	for _, private := range []string{"d", "p", "q", "k"} {
		if jwk[private] != nil {
			t.Errorf("%s: a key with the private member %s was taken", file, private)
		}
	}
	out, err := k.JWK()
	if err != nil {
		t.Fatal(err)
	}
	again, err := jose.FromJWK(out)
	if err != nil || again.Thumbprint() != k.Thumbprint() {
		t.Errorf("%s: %s comes out as %s, %v", file, raw, out, err)
	}
	var back map[string]any
	if err := json.Unmarshal(out, &back); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"kty", "crv", "x", "y", "n", "e"} {
		if jwk[name] != back[name] {
			t.Errorf("%s: %s is %v, was %v", file, name, back[name], jwk[name])
		}
	}
}

// jwksIn lists what looks like a JWK.
func jwksIn(v any, found []map[string]any) []map[string]any {
	switch v := v.(type) {
	case map[string]any:
		if _, ok := v["kty"].(string); ok {
			found = append(found, v)
		}
		for _, each := range v {
			found = jwksIn(each, found)
		}
	case []any:
		for _, each := range v {
			found = jwksIn(each, found)
		}
	}
	return found
}
