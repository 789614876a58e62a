package vectors

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/sallyport/sallyport/internal/jose"
)

// cookbook are the examples of RFC 7520, 7797 and 8037 whose compact form is
// accepted; all others must be refused, in every form they are given in.
var cookbook = map[string]bool{
	"jws/4_1.rsa_v15_signature.json":              true,
	"jws/4_4.hmac-sha2_integrity_protection.json": true,
	"curve25519/jws.json":                         true,
}

// TestCookbook runs every example. Refused are other algorithms, detached and
// unencoded payloads, the JSON serializations, and encryption.
func TestCookbook(t *testing.T) {
	if shared() == "" {
		t.Skip("the JOSE cookbook is in no Go module that can be fetched; it is read from shared/vectors alone")
	}
	dir := filepath.Join(shared(), "cookbook")
	files, err := filepath.Glob(filepath.Join(dir, "*", "*.json"))
	if err != nil || len(files) < 25 {
		t.Fatalf("%d examples, %v", len(files), err)
	}
	met, forms := 0, 0
	for _, file := range files {
		name, err := filepath.Rel(dir, file)
		if err != nil {
			t.Fatal(err)
		}
		if filepath.Dir(name) == "jwk" {
			continue
		}
		var ex struct {
			Input struct {
				Key json.RawMessage `json:"key"`
			} `json:"input"`
			Output map[string]json.RawMessage `json:"output"`
		}
		read(t, &ex, file)
		keys := publicParts(t, ex.Input.Key)
		for form, raw := range ex.Output {
			forms++
			want := form == "compact" && cookbook[filepath.ToSlash(name)]
			if got := accepts(text(raw), keys); got != want {
				t.Errorf("%s, %s: accepted %v", name, form, got)
			}
			if want {
				met++
			}
		}
	}
	if met != len(cookbook) {
		t.Errorf("%d of %d examples were accepted", met, len(cookbook))
	}
	t.Logf("%d forms of %d examples", forms, len(files))
}

// publicParts takes the private members off keys, which the cookbook publishes
// as whole pairs, and adds the algorithm that an RSA key must name here.
func publicParts(t *testing.T, data json.RawMessage) []*jose.Key {
	t.Helper()
	var list []map[string]any
	var one map[string]any
	if json.Unmarshal(data, &one) == nil {
		list = append(list, one)
	} else if json.Unmarshal(data, &list) != nil {
		return nil // a password
	}
	var keys []*jose.Key
	for _, members := range list {
		if members["kty"] != "oct" {
			for _, name := range []string{"d", "p", "q", "dp", "dq", "qi"} {
				delete(members, name)
			}
		}
		if members["kty"] == "RSA" {
			members["alg"] = "RS256"
		}
		raw, err := json.Marshal(members)
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, keysOf(raw)...)
	}
	return keys
}

// TestCookbookKeys: none of the cookbook's keys is taken as it stands: a curve
// and uses that we do not have, private members, an RSA key without algorithm,
// and secrets.
func TestCookbookKeys(t *testing.T) {
	if shared() == "" {
		t.Skip("the JOSE cookbook is in no Go module that can be fetched; it is read from shared/vectors alone")
	}
	files, err := filepath.Glob(filepath.Join(shared(), "cookbook", "jwk", "*.json"))
	if err != nil || len(files) == 0 {
		t.Fatal("no keys", err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := jose.FromJWK(data); err == nil {
			t.Errorf("%s was taken", filepath.Base(file))
		}
	}
}
